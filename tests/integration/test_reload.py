"""What SIGHUP and POST /api/v1/reload change in a running daemon, and what they leave alone."""
import json
import signal
import sqlite3
import urllib.error
import urllib.request

from tests.integration.test_sinks import Load
from tests.support.daemon import Daemon, Pipeline, wait_until
from tests.support.workload import COLUMNS, SCHEMA, TABLES, as_multiset, differences, source_rows


class Folder:
    """A folder of pipeline files, as a pipeline of tests.support.daemon."""

    def __init__(self, home, server):
        self.home = home
        self.server = server
        self.folder = home / "config"
        self.folder.mkdir()
        self.files = [self.folder]

    def write(self, name, document):
        (self.folder / name).write_text(document if isinstance(document, str) else json.dumps(document, indent=2))

    def remove(self, name):
        (self.folder / name).unlink()

    def pipeline(self, name, tables, sinks, database="postgres", **source):
        return {"version": 1, "pipeline": name,
                "sources": {"db": {"type": "postgres", "url": self.server.url(database), "tables": tables, **source}},
                "topic": {"type": "local", "path": str(self.home / f"topic-{name}")}, "sinks": sinks}

    def sqlite(self, name, **more):
        return {"type": "sqlite", "path": str(self.home / f"{name}.db"), **more}

    def start(self, *arguments):
        return Daemon(self, arguments, {})

    def rows(self, name, query):
        try:
            with sqlite3.connect(f"file:{self.home / name}.db?mode=ro", uri=True, timeout=10) as connection:
                return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # not made yet
            return []

    def state(self, daemon, pipeline):
        return next(p for p in daemon.status()["pipelines"] if p["name"] == pipeline)

    def sink(self, daemon, pipeline, name):
        return next(s for s in self.state(daemon, pipeline)["sinks"] if s["name"] == name)

    def wait_streaming(self, daemon, pipeline):
        def streaming():
            if not daemon.answers():
                return False
            found = [p for p in daemon.status()["pipelines"] if p["name"] == pipeline]
            return found and all(s["state"] == "streaming" for s in found[0]["sources"])
        wait_until(f"pipeline {pipeline} to stream", streaming)


def reload(daemon):
    request = urllib.request.Request(daemon.url + "/api/v1/reload", b"{}", {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def outcomes(answer):
    return {outcome["what"]: outcome["outcome"] for outcome in answer["outcomes"]}


def test_a_sink_added_under_load_touches_nobody(server, tmp_path):
    server.sql(SCHEMA)
    folder = Folder(tmp_path, server)
    folder.write("shop.yaml", folder.pipeline("shop", TABLES, {"copy": folder.sqlite("copy")}))
    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        with Load(server, 21) as load:
            load.wait_for(50)
            # Another team's file.
            folder.write("team.yaml", {"version": 1, "pipeline": "shop", "sinks": {
                "second": folder.sqlite("second"), "tail": {"type": "stdout", "path": str(tmp_path / "tail"), "start": "end"}}})
            daemon.process.send_signal(signal.SIGHUP)
            wait_until("the sinks", lambda: len(folder.state(daemon, "shop")["sinks"]) == 3)
            load.wait_for(50)
            wait_until("the new one", lambda: folder.sink(daemon, "shop", "second")["applied"] > 100)
        log = daemon.log()
        assert log.count("streaming started") == 1 and log.count("shop.copy: delivery started") == 1
        assert 'what="sink shop/second"' in log and "outcome=added" in log
        for name in ["copy", "second"]:
            wait_until(f"{name} to be whole", lambda: folder.sink(daemon, "shop", name).get("lag_records") == 0 and all(
                differences(source_rows(server, table), as_multiset(folder.rows(name, f"select {', '.join(columns)} from {table}"))) == ""
                for table, columns in COLUMNS.items()))
        assert 'sink="second"' in daemon.get("/metrics")
        folder.remove("team.yaml")
        assert outcomes(reload(daemon)) == {"sink shop/second": "removed", "sink shop/tail": "removed"}
        assert 'sink="second"' not in daemon.get("/metrics")
        state = folder.state(daemon, "shop")
        assert [s["name"] for s in state["sinks"]] == ["copy"]
        assert sorted(o["name"] for o in state["orphans"]) == ["second", "tail"]
        # It comes back where it was.
        server.sql("insert into events values (-1, 'meanwhile')")
        folder.write("team.yaml", {"version": 1, "pipeline": "shop", "sinks": {"second": folder.sqlite("second")}})
        assert outcomes(reload(daemon)) == {"sink shop/second": "added"}
        wait_until("what it missed", lambda: folder.rows("second", "select kind from events where id = -1") == [("meanwhile",)])
        assert folder.sink(daemon, "shop", "second")["superseded"] == 0
        assert outcomes(reload(daemon)) == {}
        assert daemon.stop() == 0


def test_an_invalid_file_changes_nothing(server, tmp_path):
    server.sql("create table t (id int primary key)")
    folder = Folder(tmp_path, server)
    folder.write("shop.yaml", folder.pipeline("shop", ["public.t"], {"copy": folder.sqlite("copy")}))
    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        folder.write("more.yaml", {"version": 1, "pipeline": "shop", "sinks": {"second": folder.sqlite("second")}})
        folder.write("wrong.yaml", {"version": 1, "pipeline": "shop", "sinks": {"third": {"type": "sqlight"}}})
        answer = reload(daemon)
        assert answer["error"]["code"] == "configuration_invalid"
        assert any("wrong.yaml:" in problem and "sqlight" in problem for problem in answer["problems"])
        daemon.process.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: daemon.log().count("reload refused") == 2)
        server.sql("insert into t values (1)")
        wait_until("the row", lambda: folder.rows("copy", "select id from t") == [(1,)])
        assert [s["name"] for s in folder.state(daemon, "shop")["sinks"]] == ["copy"]
        folder.remove("wrong.yaml")
        assert outcomes(reload(daemon)) == {"sink shop/second": "added"}


def test_options_apply_from_the_committed_place_and_sources_need_a_restart(server, tmp_path):
    server.sql("create table t (id int primary key); create table u (id int primary key)")
    folder = Folder(tmp_path, server)
    folder.write("shop.yaml", folder.pipeline("shop", ["public.t", "public.u"], {
        "copy": folder.sqlite("copy", tables=["public.t"]), "other": folder.sqlite("other")}))
    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        wait_until("the copies of both tables", lambda: "snapshot ended" in daemon.log())  # of one as it was after the reload, the changed sink has all
        server.sql("insert into t values (1); insert into u values (1)")
        wait_until("the rows", lambda: folder.rows("copy", "select id from t") == [(1,)] and folder.rows("other", "select id from u") == [(1,)]
                   and folder.sink(daemon, "shop", "copy").get("lag_records") == 0)
        changed = folder.pipeline("shop", ["public.t"], {"copy": folder.sqlite("copy"), "other": folder.sqlite("other"),
                                                         "late": folder.sqlite("late")})
        folder.write("shop.yaml", changed)
        answer = reload(daemon)
        assert outcomes(answer) == {"source shop/db": "rejected", "sink shop/copy": "restarted", "sink shop/late": "added"}
        rejected = answer["outcomes"][0]
        assert "needs a restart" in rejected["message"] and "shop.yaml:" in rejected["where"]
        server.sql("insert into t values (2); insert into u values (2)")
        wait_until("the changed sink", lambda: folder.rows("copy", "select id from u") == [(2,)])
        assert folder.rows("copy", "select id from t") == [(1,), (2,)]
        wait_until("the added one", lambda: folder.rows("late", "select id from u") == [(1,), (2,)])
        changed["topic"]["path"] = str(tmp_path / "elsewhere")
        folder.write("shop.yaml", changed)
        answer = reload(daemon)
        assert outcomes(answer) == {"source shop/db": "rejected", "topic of pipeline shop": "rejected"}
        assert "new pipeline" in answer["outcomes"][1]["message"]


def test_pipelines_come_and_go(server, tmp_path):
    server.sql("create table t (id int primary key)")
    server.sql("create database billing")
    server.sql("create table t (id int primary key)", database="billing")
    folder = Folder(tmp_path, server)
    folder.write("shop.yaml", folder.pipeline("shop", ["public.t"], {"copy": folder.sqlite("copy")}))
    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        folder.write("billing.yaml", folder.pipeline("billing", ["public.t"], {"bills": folder.sqlite("bills")}, database="billing"))
        assert outcomes(reload(daemon)) == {"pipeline billing": "added"}
        folder.wait_streaming(daemon, "billing")
        server.sql("insert into t values (1)", database="billing")
        wait_until("its row", lambda: folder.rows("bills", "select id from t") == [(1,)])
        assert 'pipeline="billing"' in daemon.get("/metrics")
        folder.remove("billing.yaml")
        assert outcomes(reload(daemon)) == {"pipeline billing": "removed"}
        assert [p["name"] for p in daemon.status()["pipelines"]] == ["shop"]
        assert 'pipeline="billing"' not in daemon.get("/metrics")
        wait_until("its slot to be free", lambda: server.value("select not active from pg_replication_slots where slot_name like '%%billing%%'"))
        server.sql("insert into t values (2)", database="billing")
        folder.write("billing.yaml", folder.pipeline("billing", ["public.t"], {"bills": folder.sqlite("bills")}, database="billing"))
        assert outcomes(reload(daemon)) == {"pipeline billing": "added"}
        wait_until("what came meanwhile", lambda: folder.rows("bills", "select id from t order by id") == [(1,), (2,)])
        server.sql("insert into t values (1)")
        wait_until("the other pipeline", lambda: folder.rows("copy", "select id from t") == [(1,)])
        assert daemon.log().count("shop.copy: delivery started") == 1
        assert daemon.stop() == 0
    # All of them at once, with a file that adds a sink to one.
    folder.write("team.yaml", {"version": 1, "pipeline": "billing", "sinks": {"audit": folder.sqlite("audit")}})
    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        folder.wait_streaming(daemon, "billing")
        server.sql("insert into t values (3)", database="billing")
        wait_until("the added sink", lambda: folder.rows("audit", "select id from t order by id") == [(1,), (2,), (3,)])
        assert folder.rows("copy", "select id from t") == [(1,)]
        assert daemon.stop() == 0


def test_requests_while_sinks_come_and_go(server, tmp_path):
    """Status, metrics and requests are answered while what they look at goes."""
    import threading
    server.sql("create table t (id int primary key)")
    folder = Folder(tmp_path, server)
    folder.write("shop.yaml", folder.pipeline("shop", ["public.t"], {"copy": folder.sqlite("copy")}))
    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        done = threading.Event()
        failures = []

        def look():
            while not done.is_set():
                try:
                    daemon.status()
                    daemon.get("/metrics")
                    daemon.get("/readyz") if daemon.ready() else None
                except Exception as error:  # noqa: BLE001: all of them count
                    failures.append(error)

        lookers = [threading.Thread(target=look) for _ in range(2)]
        for looker in lookers:
            looker.start()
        for round_ in range(10):
            folder.write("team.yaml", {"version": 1, "pipeline": "shop", "sinks": {
                name: {"type": "blackhole", "tables": ["public.t"]} for name in (["a", "b"] if round_ % 2 else ["b", "c"])}})
            assert "outcomes" in reload(daemon)
        done.set()
        for looker in lookers:
            looker.join()
        assert daemon.process.poll() is None, daemon.log()[-3000:]
        assert not [f for f in failures if not isinstance(f, urllib.error.HTTPError)], failures[:3]
        assert daemon.stop() == 0
