"""One class per kind of sink, for tests that run all of them at once: its options, the troubles that its target can be put into, and what
the target holds. A new sink brings a class and adds it to KINDS.

The table is `orders (id int primary key, note text)`."""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import time

from tests.receivers.hostile import HostileServer, garbage
from tests.receivers.receiver import SECRET, Receiver
from tests.servers.clickhouse import ClickHouseServer
from tests.servers.kafka import KafkaServer
from tests.servers.opensearch import OpenSearchServer
from tests.servers.postgres import PostgresServer
from tests.support import clickhouse_copy
from tests.support.postgres_copy import PostgresCopy
from tests.support.search_proxy import SearchProxy


class Target:
    """`troubles` names context managers; while one lasts, the target takes nothing or next to nothing."""
    name = ""
    troubles = ()

    def __init__(self, home, exit_stack):
        raise NotImplementedError

    def sink(self):
        raise NotImplementedError

    def difference(self, rows, inserted):
        """In words, or "". `rows`: {id: note} of the source; `inserted`: every id that was ever inserted."""
        raise NotImplementedError


def unequal(rows, found):
    wrong = {key: (rows.get(key), found.get(key)) for key in rows.keys() | found.keys() if rows.get(key) != found.get(key)}
    return f"{len(wrong)} rows differ (source, target): {dict(list(wrong.items())[:5])}" if wrong else ""


def folded(changes):
    """Rows after these changes, as the `json` format and the webhooks say them."""
    rows = {}
    for change in changes:
        if change["op"] == "delete":
            rows.pop(change["before"]["id"] if change.get("before") else change["key"]["id"], None)
        elif change.get("after"):
            rows[change["after"]["id"]] = change["after"]["note"]
    return rows


class Sqlite(Target):
    name = "copy"
    troubles = ("locked",)

    def __init__(self, home, exit_stack):
        self.path = home / "copy.db"

    def sink(self):
        return {"type": "sqlite", "path": str(self.path)}

    @contextlib.contextmanager
    def locked(self):
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.execute("begin immediate")
        try:
            yield
        finally:
            connection.execute("rollback")
            connection.close()

    def difference(self, rows, inserted):
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as connection:
            return unequal(rows, dict(connection.execute("select id, note from orders")))


class BehindProxy(Target):
    """A server behind a proxy that delays requests, or answers some of them in its place."""
    troubles = ("frozen", "crawling", "talking_garbage")

    def __init__(self, server, exit_stack):
        self.server = exit_stack.enter_context(server)
        self.mode = None
        self.proxy = exit_stack.enter_context(SearchProxy(self.server, self._meddle))

    def _meddle(self, proxy, number, method, path):
        if self.mode == "crawling":
            time.sleep(1)
        return self.garbage(path) if self.mode == "talking_garbage" else None

    def garbage(self, path):
        """(status, json) in place of the server's answer, or None."""
        raise NotImplementedError

    @contextlib.contextmanager
    def frozen(self):
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()

    @contextlib.contextmanager
    def _while(self, mode):
        self.mode = mode
        try:
            yield
        finally:
            self.mode = None

    def crawling(self):
        return self._while("crawling")

    def talking_garbage(self):
        return self._while("talking_garbage")


class Search(BehindProxy):
    name = "search"

    def __init__(self, home, exit_stack):
        super().__init__(OpenSearchServer(), exit_stack)

    def garbage(self, path):
        return (200, {"took": "its time", "items": "many"}) if path.startswith("/_bulk") else None

    def sink(self):
        return {"type": "opensearch", "url": self.proxy.url, "index": "orders", "settings": {"number_of_replicas": 0},
                "timeouts": {"connect": "1s", "request": "3s"}, "batch": {"records": 200}}

    def difference(self, rows, inserted):
        return unequal(rows, {row["id"]: row["note"] for row in self.server.documents("orders").values()})


class ClickHouse(BehindProxy):
    name = "warehouse"

    def __init__(self, home, exit_stack):
        super().__init__(ClickHouseServer(), exit_stack)

    def garbage(self, path):
        return 200, {"status": "ok", "rows": "many"}  # as of a gateway that knows it all

    def sink(self):
        return clickhouse_copy.sink(self.server, "default", ["public.orders"], url=self.proxy.url, timeouts={"connect": "1s", "request": "3s"})

    def difference(self, rows, inserted):
        found = clickhouse_copy.query(self.server, "select id, note from default.orders final where _deleted = 0")
        doubled = len(found) - len(set(found))
        return f"{doubled} rows stand twice" if doubled else unequal(rows, {int(key): note for key, note in found})


class Postgres(Target):
    name = "reports"
    troubles = ("frozen", "crawling", "talking_garbage")

    def __init__(self, home, exit_stack):
        self.server = exit_stack.enter_context(PostgresServer())
        self.copy = PostgresCopy(self.server)

    def sink(self):
        return self.copy.sink()

    def processes(self):
        """The server's and its children's, which are its sessions and workers."""
        postmaster = self.server.process.pid
        return [postmaster, *map(int, pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())]

    @contextlib.contextmanager
    def frozen(self):
        stopped = self.processes()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)

    @contextlib.contextmanager
    def crawling(self):
        self.copy.sql("create function crawl() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end'; "
                      "create trigger crawl after insert or update or delete on orders for each statement execute function crawl()")
        try:
            yield
        finally:
            self.copy.sql("drop trigger crawl on orders; drop function crawl()")

    @contextlib.contextmanager
    def talking_garbage(self):
        self.server.stop("immediate")
        try:
            with HostileServer(garbage, self.server.port, whole_requests=False):
                yield
        finally:
            self.server.start()

    def difference(self, rows, inserted):
        return unequal(rows, dict(self.copy.sql("select id, note from orders")))


class OtherKafka(Target):
    """On a cluster of its own, which may stop while the pipeline's topic goes on."""
    name = "events"
    troubles = ("frozen",)

    def __init__(self, home, exit_stack):
        self.server = exit_stack.enter_context(KafkaServer())

    def sink(self):
        return {"type": "kafka", "brokers": self.server.brokers.split(","), "format": "json", "create": {"partitions": 2, "replication": 1}}

    @contextlib.contextmanager
    def frozen(self):
        self.server.freeze()
        try:
            yield
        finally:
            self.server.thaw()

    def difference(self, rows, inserted):
        records = [record for record in self.server.records("shop.public.orders") if record["value"] is not None]
        ids = [record["headers"]["tailwater.id"] for record in records]
        if len(ids) != len(set(ids)):
            return f"{len(ids) - len(set(ids))} records were written twice"
        records.sort(key=lambda record: (record["partition"], record["offset"]))
        return unequal(rows, folded(json.loads(record["value"]) for record in records))


class Hook(Target):
    """Called for every tenth row that is inserted."""
    name = "hook"
    troubles = ("down", "crawling", "talking_garbage")

    def __init__(self, home, exit_stack):
        self.slow = False
        self.receiver = exit_stack.enter_context(Receiver(answer=self._answer))

    def _answer(self, delivery):
        if self.slow:
            time.sleep(2)
        return 204

    def sink(self):
        return {"type": "webhook", "url": self.receiver.url, "secret": SECRET, "allow_addresses": ["127.0.0.1"], "in_flight": 8,
                "tables": [{"match": "public.orders", "when": "op = 'insert' AND NEW.id % 10 = 0"}], "start": "beginning",
                "retry": {"initial": "50ms", "max": "1s"}, "breaker": {"failures": 5, "pause": "500ms"}, "timeouts": {"first_byte": "5s"}}

    @contextlib.contextmanager
    def down(self):
        self.receiver.stop()
        try:
            yield
        finally:
            self.receiver.start()

    @contextlib.contextmanager
    def crawling(self):
        self.slow = True
        try:
            yield
        finally:
            self.slow = False

    @contextlib.contextmanager
    def talking_garbage(self):
        self.receiver.stop()
        try:
            with HostileServer(garbage, self.receiver.port):
                yield
        finally:
            self.receiver.start()

    def difference(self, rows, inserted):
        called = {delivery.body["data"]["after"]["id"] for delivery in self.receiver.taken}
        wanted = {row for row in inserted if row % 10 == 0}
        return f"called for {len(called)} rows, wanted {len(wanted)}: {sorted(called ^ wanted)[:5]}" if called != wanted else ""


class Feed(Target):
    name = "feed"

    def __init__(self, home, exit_stack):
        self.path = home / "feed.json"

    def sink(self):
        return {"type": "stdout", "path": str(self.path), "start": "beginning"}

    def difference(self, rows, inserted):
        with open(self.path) as lines:
            return unequal(rows, folded(change for change in map(json.loads, lines) if change.get("table") == "public.orders"))


KINDS = (Sqlite, Search, ClickHouse, Postgres, OtherKafka, Hook, Feed)
