"""Rows that are there already: copied in chunks inside the running stream, beside writers, to everybody or to one sink."""
import json
import sqlite3
import threading
import urllib.error
import urllib.request

import pytest

from tests.conftest import start_server
from tests.support.daemon import Pipeline, wait_until
from tests.support.table_copy import assert_equal, has_table, reads
from tests.support.workload import COLUMNS, SCHEMA, TABLES, Workload

ROWS = 60_000
CHUNKS = {"snapshot": {"chunk_rows": 2000, "workers": 3, "follow_interval": "200ms"}}
ITEMS = "create table items (id bigint primary key, name text not null, amount numeric(12,2)); " \
        "insert into items select g, 'item ' || g, g / 7.0 from generate_series(1, {}) g"


class Writers:
    """Connections that change rows of `items` until told to stop: updates all over, deletes, inserts, key changes."""

    STATEMENTS = [
        "update items set amount = amount + 1 where id in (select (random() * {0})::int from generate_series(1, 5))",
        "insert into items select {0} + (random() * 1e9)::bigint, 'new', 0 on conflict do nothing",
        "delete from items where id = (random() * {0})::int",
        "update items set id = -id where id = (random() * {0})::int",
        "begin; delete from items where id = (random() * {0})::int; rollback",
    ]

    def __init__(self, server, rows, count=2):
        self.server, self.rows, self.stopping, self.errors = server, rows, threading.Event(), []
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(count)]

    def _run(self, number):
        connection = self.server.connect()
        try:
            cursor = connection.cursor()
            while not self.stopping.is_set():
                for n, statement in enumerate(self.STATEMENTS):
                    if (n + number) % 2 == 0 or number == 0:
                        cursor.execute(statement.format(self.rows))
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors


def units(daemon, table=None):
    found = daemon.source()["snapshots"]["units"]
    return [unit for unit in found if table in (None, unit["table"])]


def wait_copied(daemon, table, timeout=60, state="done"):
    def look():
        if daemon.process.poll() is not None:
            raise AssertionError(daemon.log()[-3000:])
        return [unit for unit in units(daemon, table) if unit["state"] == state]
    return wait_until(f"the copy of {table} to be {state}", look, timeout)[-1]


def wait_started(daemon):
    return wait_until("the daemon", daemon.answers)


def test_a_living_table_is_copied_whole_beside_its_writers(server, tmp_path):
    server.sql(ITEMS.format(ROWS))
    pipeline = Pipeline(tmp_path, server, ["public.items"], source_options=CHUNKS)
    with Writers(server, ROWS), pipeline.start() as daemon:
        wait_started(daemon)
        unit = wait_copied(daemon, "public.items")
        assert unit["rows"] > ROWS * 0.9 and unit["chunks"] >= ROWS // 2000
        metrics = daemon.get("/metrics")
        assert "tailwater_snapshot_rows_total" in metrics
    pipeline.catch_up()
    assert_equal(pipeline, "items", ["id", "name"])
    records = pipeline.topic()
    copied = reads(records, "public.items")
    assert len({record["id"] for record in records}) == len(records)
    assert all(record.get("snapshot") for record in copied)
    # Nothing stale: in the order of publication the last word on each row is what the source holds.
    last = {}
    for record in records:
        if record.get("table") == "public.items" and record["op"] in ("insert", "update", "delete", "read"):
            last[record["key"]["id"]] = None if record["op"] == "delete" else record["after"]["amount"]
    source = {str(key): amount for key, amount in server.sql("select id, amount::text from items")}
    assert {str(key): amount for key, amount in last.items() if amount is not None} == source


@pytest.mark.parametrize("version", [12, 13, 18])
def test_every_kind_of_table_on_old_and_new_servers(version, tmp_path):
    with start_server(version) as server:
        server.sql(SCHEMA + """
            create table parted (region text, id int, v text, primary key (region, id)) partition by list (region);
            create table parted_a partition of parted for values in ('a');
            create table parted_b partition of parted for values in ('b');
            insert into parted select case g % 2 when 0 then 'a' else 'b' end, g, 'v' || g from generate_series(1, 3000) g;
            create table words (word text collate "C" primary key, n int);
            insert into words select md5(g::text), g from generate_series(1, 3000) g;
            create table ids (id uuid primary key, n int);
            insert into ids select md5(g::text)::uuid, g from generate_series(1, 3000) g;
            create table doubled (id int primary key, twice int generated always as (id * 2) stored);
            insert into doubled select generate_series(1, 100);
            create table "Odd ""name"".x" ("Key.1" int primary key, "ünïcödé" text);
            insert into "Odd ""name"".x" values (1, 'one'), (2, null);
            create table nothing (id int primary key);
        """ if version >= 13 else SCHEMA)
        connection = server.connect()
        workload = Workload(connection, seed=version)
        for _ in range(150):
            workload.step()
        pipeline = Pipeline(tmp_path, server, ["public.*"], source_options={"snapshot": {"chunk_rows": 500}})
        with pipeline.start() as daemon:
            wait_started(daemon)
            for _ in range(150):
                workload.step()
            connection.close()
            wait_until("all copies", lambda: daemon.source()["snapshots"].get("tables_waiting") == 0 and units(daemon), 60)
        pipeline.catch_up()
        for table, columns in COLUMNS.items():
            assert_equal(pipeline, table, columns)
        if version >= 13:
            assert_equal(pipeline, "parted", ["region", "id", "v"])
            assert_equal(pipeline, "words", ["word", "n"])
            assert_equal(pipeline, "ids", ["id", "n"])
            assert len(pipeline.copy("select * from doubled")) == 100


def test_column_lists_and_row_filters_hold_for_the_copy_too(server, tmp_path):
    server.sql("""
        create table people (id int primary key, name text, secret text, active boolean not null);
        insert into people select g, 'p' || g, 'hidden', true from generate_series(1, 3000) g;
        create publication ours for table people (id, name, active) where (id % 3 = 0);
    """)
    pipeline = Pipeline(tmp_path, server, ["public.people"], source_options={"publication": {"name": "ours", "create": False}})
    pipeline.catch_up()
    server.sql("update people set name = 'changed' where id < 100; insert into people values (9999, 'late', 'hidden', true)")
    pipeline.catch_up()
    assert_equal(pipeline, "people", ["id", "name"], "people where id % 3 = 0")
    assert "hidden" not in json.dumps(pipeline.topic())


def test_an_open_writer_is_waited_for_by_name_when_a_table_is_added(server, tmp_path):
    server.sql("create table first (id int primary key); create table second (id int primary key, v text); "
               "insert into second select g, 'old' from generate_series(1, 1000) g")
    pipeline = Pipeline(tmp_path, server, ["public.first"], source_options=CHUNKS)
    pipeline.catch_up()
    document = json.loads(pipeline.files[0].read_text())
    document["sources"]["shop"]["tables"].append("public.second")
    pipeline.files[0].write_text(json.dumps(document))
    writer = server.connect()
    cursor = writer.cursor()
    cursor.execute("begin; insert into second values (2001, 'written before the table was added'); select pg_backend_pid()")
    pid = cursor.fetchone()[0]
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until(f"the copy to wait for pid {pid}", lambda: any(f"pid {pid}" in u.get("waits_for", "") for u in units(daemon, "public.second")))
        cursor.execute("insert into second values (2002, 'second row of the same transaction'); commit")
        writer.close()
        wait_copied(daemon, "public.second")
        assert f"pid {pid}" in daemon.log()
    pipeline.catch_up()
    assert_equal(pipeline, "second", ["id", "v"])


def test_globs_follow_new_tables_with_a_copy_of_each(server, tmp_path):
    server.sql("create table log_1 (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.log_*"], source_options=CHUNKS)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        for n in (2, 3):
            server.sql(f"create table log_{n} (id int primary key); insert into log_{n} select generate_series(1, 5000)")
        server.sql("create table other (id int primary key)")
        for n in (2, 3):
            wait_copied(daemon, f"public.log_{n}")
            server.sql(f"insert into log_{n} values (9999)")
    pipeline.catch_up()
    for n in (2, 3):
        assert_equal(pipeline, f"log_{n}", ["id"])
    assert not has_table(pipeline, "other")


def test_a_snapshot_on_request_mends_a_copy_that_went_wrong(server, tmp_path):
    server.sql(ITEMS.format(5000))
    second = tmp_path / "second.db"
    pipeline = Pipeline(tmp_path, server, ["public.items"], source_options=CHUNKS, sinks={
        "copy": {"type": "sqlite", "path": str(tmp_path / "copy.db")}, "second": {"type": "sqlite", "path": str(second)}})
    pipeline.catch_up()
    for path in (pipeline.copy_path, second):
        with sqlite3.connect(path) as damaged:
            damaged.execute("delete from items where id % 10 = 0")
            damaged.execute("update items set id = 77777, name = 'never in the source' where id = 1")
        damaged.close()
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        done = pipeline.command("sources", "snapshot", "shop", "public.items", "--sink", "copy", TAILWATER_URL=daemon.url)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until("the mended copy", lambda: pipeline.copy("select count(*) from items") == [(5000,)])
        with sqlite3.connect(f"file:{second}?mode=ro", uri=True) as other:
            assert other.execute("select count(*) from items").fetchone() == (4500,)  # not addressed, not touched
        only = pipeline.command("sources", "snapshot", "shop", "public.items", "--where", "id = 20", TAILWATER_URL=daemon.url)
        assert only.returncode == 0, only.stdout + only.stderr
        with sqlite3.connect(f"file:{second}?mode=ro", uri=True) as other:
            wait_until("the one row", lambda: other.execute("select count(*) from items where id = 20").fetchone() == (1,))
            assert other.execute("select count(*) from items").fetchone() == (4501,)  # a part removes nothing
        for arguments, words in ((["shop", "public.nowhere"], "public.nowhere"), (["nobody", "public.items"], "nobody"),
                                 (["shop", "public.items", "--where", "no sql at all ("], "condition")):
            refused = pipeline.command("sources", "snapshot", *arguments, TAILWATER_URL=daemon.url)
            assert refused.returncode != 0 and words in refused.stderr, refused.stdout + refused.stderr
    assert_equal(pipeline, "items", ["id", "name"])
    addressed = [record for record in reads(pipeline.topic(), "public.items") if record.get("addressee")]
    assert len(addressed) == 5000


def test_pause_resume_and_cancel_hold_over_a_restart(server, tmp_path):
    server.sql(ITEMS.format(ROWS))
    pipeline = Pipeline(tmp_path, server, ["public.items"], source_options={"snapshot": {"chunk_rows": 50, "workers": 1}})
    with pipeline.start() as daemon:
        wait_started(daemon)
        wait_until("some rows", lambda: any(0 < u["rows"] < ROWS for u in units(daemon)))
        assert pipeline.command("sources", "pause", "shop", TAILWATER_URL=daemon.url).returncode == 0
        wait_until("the pause", lambda: units(daemon)[0]["state"] == "paused")
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the unit", lambda: units(daemon) and units(daemon)[0]["state"] == "paused")
        rows = units(daemon)[0]["rows"]
        server.sql("insert into items values (-5, 'while paused', 1)")
        wait_until("the change", lambda: has_table(pipeline, "items") and pipeline.copy("select 1 from items where id = -5"))
        assert units(daemon)[0]["rows"] == rows
        assert pipeline.command("sources", "resume", "shop", TAILWATER_URL=daemon.url).returncode == 0
        wait_until("more rows", lambda: units(daemon)[0]["rows"] > rows)
        assert pipeline.command("sources", "cancel", "shop", "--all", TAILWATER_URL=daemon.url).returncode == 0
        wait_until("its end", lambda: all(u["state"] == "cancelled" for u in units(daemon)))
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        assert not [u for u in units(daemon) if u["state"] not in ("cancelled", "done")]
        listed = pipeline.command("sources", "list", TAILWATER_URL=daemon.url)
        assert listed.returncode == 0 and "shop" in listed.stdout


def test_a_sink_that_comes_late_gets_the_tables_for_itself_alone(server, tmp_path):
    server.sql(ITEMS.format(3000))
    pipeline = Pipeline(tmp_path, server, ["public.items"], source_options={"snapshot": {"mode": "never"}})
    pipeline.catch_up()
    assert not has_table(pipeline, "items")
    document = json.loads(pipeline.files[0].read_text())
    document["sources"]["shop"]["snapshot"] = {"mode": "initial"}
    late = tmp_path / "late.db"
    document["sinks"]["late"] = {"type": "sqlite", "path": str(late)}
    pipeline.files[0].write_text(json.dumps(document))
    pipeline.catch_up()
    with sqlite3.connect(late) as copy:
        assert copy.execute("select count(*) from items").fetchone() == (3000,)
    assert pipeline.copy("select count(*) from items") == [(0,)]  # the rows are addressed to the new one


def test_keyless_tables_are_copied_exactly_beside_writers(server, tmp_path):
    server.sql("create table visits (page text, visitor int); alter table visits replica identity full; "
               "insert into visits select 'page ' || g % 7, g % 50 from generate_series(1, 20000) g")
    stopping = threading.Event()
    errors = []

    def write():
        connection = server.connect()
        try:
            cursor = connection.cursor()
            while not stopping.is_set():
                cursor.execute("insert into visits values ('page 1', 3), ('page 1', 3)")
                cursor.execute("delete from visits where ctid in (select ctid from visits limit 1)")
                cursor.execute("update visits set visitor = 99 where ctid in (select ctid from visits where visitor = 3 limit 1)")
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    pipeline = Pipeline(tmp_path, server, ["public.visits"])
    with pipeline.start() as daemon:
        wait_started(daemon)
        wait_copied(daemon, "public.visits")
    stopping.set()
    writer.join()
    assert not errors, errors
    pipeline.catch_up()
    assert_equal(pipeline, "visits", ["page", "visitor"])


def test_what_a_person_must_mend_blocks_one_table_and_heals(tmp_path):
    with start_server() as server:
        server.sql("create role cdc login replication; create table open (id int primary key); create table closed (id int primary key); "
                   "insert into open values (1); insert into closed values (1); grant select on open to cdc; "
                   "create publication ours for table open, closed")
        pipeline = Pipeline(tmp_path, server, ["public.open", "public.closed"], user="cdc",
                            source_options={"publication": {"name": "ours", "create": False}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_copied(daemon, "public.open")
            blocked = wait_copied(daemon, "public.closed", state="blocked")
            assert "GRANT SELECT" in blocked["message"], blocked
            server.sql("insert into closed values (2)")  # the stream goes on
            wait_until("the change", lambda: has_table(pipeline, "closed") and pipeline.copy("select id from closed") == [(2,)])
            server.sql("grant select on closed to cdc")
            wait_copied(daemon, "public.closed", timeout=90)
        pipeline.catch_up()
        assert_equal(pipeline, "closed", ["id"])


def test_copying_waits_while_the_server_keeps_too_much_log(server, tmp_path):
    server.sql(ITEMS.format(3000))
    pipeline = Pipeline(tmp_path, server, ["public.items"], source_options={"snapshot": {"mode": "never", "max_retained_log": "1"}})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into items values (-1, 'before', 0)")
        wait_until("a look at the slot", lambda: (daemon.source().get("log") or {}).get("retained_bytes"))
        asked = pipeline.command("sources", "snapshot", "shop", "public.items", "--no-wait", TAILWATER_URL=daemon.url)
        assert asked.returncode == 0, asked.stderr
        waiting = wait_copied(daemon, "public.items", state="throttled")
        assert "max_retained_log" in waiting["waits_for"], waiting
        assert 'tailwater_snapshot_throttled{pipeline="shop",source="shop"} 1' in daemon.get("/metrics")
        server.sql("insert into items values (-2, 'the stream goes on', 0)")
        wait_until("the change", lambda: has_table(pipeline, "items") and pipeline.copy("select 1 from items where id = -2"))
    document = json.loads(pipeline.files[0].read_text())
    document["sources"]["shop"]["snapshot"]["max_retained_log"] = "10GiB"
    pipeline.files[0].write_text(json.dumps(document))
    with pipeline.start() as daemon:
        wait_until("the copy", lambda: daemon.answers() and has_table(pipeline, "items") and
                   pipeline.copy("select count(*) from items") == [(3002,)])


def test_a_table_that_is_dropped_and_made_anew_is_copied_again(server, tmp_path):
    server.sql("create table t (id int primary key, v text); insert into t select g, 'old' from generate_series(1, 100) g")
    pipeline = Pipeline(tmp_path, server, ["public.t*"], source_options=CHUNKS)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_copied(daemon, "public.t")
        # In one transaction: nothing is in the log of what was dropped, and the rows came before the table was published.
        server.sql("begin; drop table t; create table t (id int primary key, v text); insert into t select g, 'new' from generate_series(50, 200) g; commit")
        wait_until("the new rows and none of the old", lambda: pipeline.copy("select min(id), max(id), count(*), min(v) from t") == [(50, 200, 151, "new")])
    assert_equal(pipeline, "t", ["id", "v"])


def test_requests_over_http(server, tmp_path):
    server.sql("create table t (id int primary key); insert into t select generate_series(1, 10)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_copied(daemon, "public.t")
        path = f"{daemon.url}/api/v1/pipelines/shop/sources/shop/snapshots"
        request = urllib.request.Request(path, json.dumps({"table": "public.t"}).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status in (200, 202)
        listed = json.loads(daemon.get("/api/v1/pipelines/shop/sources/shop/snapshots"))
        assert "public.t" in json.dumps(listed)
        bad = urllib.request.Request(path, b'{"table": "public.none"}', {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(bad, timeout=20)
        assert 400 <= refused.value.code < 500
