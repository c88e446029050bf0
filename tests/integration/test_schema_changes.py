"""Tables that change while they are written: the mirror follows what it can, and stops the table alone that it cannot follow. Each row carries
a checksum over its own columns, made by the source when it was written."""
import hashlib
import json
import os
import re
import signal
import sqlite3
import threading
import time

import psycopg2

from tests.support.daemon import Pipeline, wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.workload import as_multiset, differences

# name=value of all columns that are not NULL, in order of their names.
CHECKSUM = """
create function checksum() returns trigger language plpgsql as $$ begin
  new.sum = null;
  new.sum = (select md5(string_agg(key || '=' || value, ';' order by key collate "C")) from jsonb_each_text(jsonb_strip_nulls(to_jsonb(new))));
  return new;
end $$;
create type mood as enum ('sad', 'ok');
create table tick (id int primary key, n int not null);
insert into tick values (1, 1);
"""
COLUMNS = "id int primary key, n int not null, note text, sum text"


def create(server, table, columns=COLUMNS):
    server.sql(f"create table {table} ({columns});"
               f"create trigger checksum before insert or update on {table} for each row execute function checksum()")


class Writer(threading.Thread):
    """Writes to all tables, by columns that no scenario touches."""

    def __init__(self, server, tables):
        super().__init__(daemon=True)
        self.connection, self.tables, self.stopping, self.error = server.connect(), tables, threading.Event(), None
        self.turns = 0

    def run(self):
        try:
            cursor = self.connection.cursor()
            while not self.stopping.is_set():
                for table in self.tables:
                    key = 10_000 + self.turns
                    cursor.execute(f"insert into {table} (id, n) values (%s, 1)", (key,))
                    try:
                        cursor.execute(f"update {table} set n = n + 1 where id in (%s, %s)", (key - 3, key - 50))
                    except psycopg2.errors.DeadlockDetected:
                        pass  # with the ALTER of a scenario that holds rows of the same table: the server chose us
                    cursor.execute(f"delete from {table} where id = %s", (key - 7,))
                self.turns += 1
                time.sleep(0.005)  # paces the load; nothing waits for it
        except Exception as error:
            self.error = error

    def turn(self):
        turns = self.turns
        wait_until("the writer to go on", lambda: self.error or self.turns > turns + 1)

    def stop(self):
        self.stopping.set()
        self.join()
        self.connection.close()
        if self.error:
            raise self.error


def mirrored(pipeline, table):
    with sqlite3.connect(f"file:{pipeline.copy_path}?mode=ro", uri=True, timeout=10) as connection:
        connection.row_factory = sqlite3.Row
        return [{name: row[name] for name in row.keys() if not name.startswith("_tailwater_")}
                for row in connection.execute(f"select * from {table}")]


def assert_checksums_hold(pipeline, table):
    for row in mirrored(pipeline, table):
        text = ";".join(f"{name}={row[name]}" for name in sorted(row) if name != "sum" and row[name] is not None)
        assert row["sum"] == hashlib.md5(text.encode()).hexdigest(), (table, row)


def assert_equal(server, pipeline, table):
    columns = [name for (name,) in server.sql("select column_name from information_schema.columns where table_name = %s", (table,))]
    expected = as_multiset(server.sql("select " + ", ".join(f'"{name}"::text' for name in columns) + f" from {table}"))
    copied = as_multiset([row[name] for name in columns] for row in mirrored(pipeline, table))
    assert differences(expected, copied) == "", table


def caught_up(daemon, server, sink="copy"):
    """All that is committed now has passed the sink."""
    end = server.value("select pg_current_wal_insert_lsn()")
    server.sql("update tick set n = n + 1")  # a table of the pipeline: its record goes out at once

    def passed():
        status = daemon.sink(sink)
        position = status["frontiers"].get("shop", {}).get("position")
        return position and status.get("lag_records") == 0 and server.value("select %s::pg_lsn >= %s::pg_lsn", (position, end))
    wait_until(f"sink {sink} to catch up", passed, 40)


# What the mirror follows by itself. Each line is a transaction of its own.
FOLLOWED = {
    "added": ["alter table added add extra text", "update added set extra = 'x' || id where id % 3 = 0"],
    "added_default": ["alter table added_default add extra int not null default 7"],
    "dropped": ["alter table dropped drop note"],
    "renamed": ["alter table renamed rename note to remark", "update renamed set remark = 'r' || id where id % 3 = 0"],
    "widened": ["alter table widened alter n type bigint", "update widened set n = n + 5000000000"],
    "varchars": ["alter table varchars add v varchar(5) default 'abc'", "alter table varchars alter v type varchar(50)",
                 "update varchars set v = repeat('w', 20)", "alter table varchars alter v type text"],
    "numerics": ["alter table numerics add d numeric(6,2) default 1.5", "alter table numerics alter d type numeric(12,2)",
                 "update numerics set d = 1234567890.25"],
    "narrowed": ["alter table narrowed alter n type bigint", "alter table narrowed alter n type int"],
    "numbers_to_text": ["alter table numbers_to_text add c int default 5", "update numbers_to_text set c = 6",
                        "alter table numbers_to_text alter c type text", "update numbers_to_text set c = 'six' where id % 2 = 0"],
    "came_back": ["alter table came_back drop note", "alter table came_back add note text"],
    "came_back_at_once": ["alter table came_back_at_once drop note, add note text"],
    "swapped": ["alter table swapped add a text default 'a', add b text default 'b'",
                "begin; alter table swapped rename a to t; alter table swapped rename b to a; alter table swapped rename t to b; commit"],
    "moods": ["alter table moods add m mood default 'ok'", "alter type mood add value 'glad'", "update moods set m = 'glad' where id % 2 = 0"],
    "mid_transaction": ["begin; update mid_transaction set note = 'before'; alter table mid_transaction add late text;"
                        "update mid_transaction set late = 'after' where id % 2 = 0; alter table mid_transaction drop note;"
                        "insert into mid_transaction (id, n, late) values (-1, 1, 'new'); commit"],
    "rolled_back": ["begin; update rolled_back set note = 'never'; alter table rolled_back drop note;"
                    "insert into rolled_back (id, n) values (-1, 1); rollback", "update rolled_back set note = 'later'"],
    "savepoint": ["begin; update savepoint_t set note = 'one'; savepoint s; alter table savepoint_t add gone int;"
                  "update savepoint_t set gone = 1; rollback to s; update savepoint_t set note = 'two'; commit"],
    "full_identity": ["alter table full_identity replica identity full", "update full_identity set note = 'full'"],
    "truncated": ["alter table truncated add extra int", "truncate truncated"],
}
FOLLOWED["savepoint_t"] = FOLLOWED.pop("savepoint")


def test_what_a_mirror_follows_under_writers_and_kills(server, tmp_path):
    server.sql(CHECKSUM)
    for table in FOLLOWED:
        create(server, table)
        server.sql(f"insert into {table} select g, g, 'n' || g from generate_series(1, 20) g")
    pipeline = Pipeline(tmp_path, server, ["public.tick", *(f"public.{table}" for table in FOLLOWED)])
    daemon = pipeline.start()
    try:
        daemon.wait_state("streaming")
        for table in FOLLOWED:
            server.sql(f"update {table} set n = n + 1")
        writer = Writer(server, list(FOLLOWED))
        writer.start()
        writer.turn()
        for step in range(max(map(len, FOLLOWED.values()))):
            for table, statements in FOLLOWED.items():
                if step < len(statements):
                    server.sql(statements[step])
            writer.turn()
            daemon.kill()
            daemon = pipeline.start()
            daemon.wait_state("streaming")
            writer.turn()
        writer.stop()
        caught_up(daemon, server)
        for table in ("added", "dropped", "renamed", "widened", "mid_transaction", "rolled_back", "savepoint_t", "full_identity", "moods"):
            assert_checksums_hold(pipeline, table)  # rows of every schema that there was
        # What the source does to rows without logging it shows once they are written again.
        for table in FOLLOWED:
            server.sql(f"update {table} set n = n + 1")
        caught_up(daemon, server)
        status = daemon.sink("copy")
        assert status["stopped_tables"] == [] and status["dead_letters"]["total"] == 0, status
        for table in FOLLOWED:
            assert_equal(server, pipeline, table)
        assert daemon.log().count("a column is gone in the source") <= 12
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    ids = [record["id"] for record in pipeline.topic()]
    assert len(ids) == len(set(ids))


# What needs a person: statements in the source, and what the reason tells to run in the mirror.
STOPS = {
    "retyped": (["alter table retyped alter note type int using 5"], 'ALTER TABLE "retyped" DROP COLUMN "note"'),
    "came_as_another": (["alter table came_as_another drop note, add note int default 3"],
                        'ALTER TABLE "came_as_another" DROP COLUMN "note"'),
    "rekeyed": (["alter table rekeyed drop constraint rekeyed_pkey, add column k bigserial, add primary key (k)"], 'DROP TABLE "rekeyed"'),
    "keyless": (["alter table keyless drop constraint keyless_pkey", "alter table keyless replica identity full"], 'DROP TABLE "keyless"'),
    "by_index": (["create unique index by_n on by_index (n)", "update by_index set n = -id",
                  "alter table by_index replica identity using index by_n"], 'DROP TABLE "by_index"'),
}


def test_a_breaking_change_stops_its_table_until_somebody_acts(server, tmp_path):
    server.sql(CHECKSUM)
    tables = [*STOPS, "bystander"]
    for table in tables:
        create(server, table)
        server.sql(f"insert into {table} select g, g, g::text from generate_series(1, 20) g")
    pipeline = Pipeline(tmp_path, server, ["public.tick", *(f"public.{table}" for table in tables)])
    daemon = pipeline.start()
    try:
        daemon.wait_state("streaming")
        for table in tables:
            server.sql(f"update {table} set note = note || '0'")
        for table, (statements, _) in STOPS.items():
            for statement in statements:
                server.sql(statement)
        for table in tables:
            server.sql(f"insert into {table} (id, n) values (100, 100); update {table} set n = n + 1000; delete from {table} where id = 7")
        caught_up(daemon, server)
        status = daemon.sink("copy")
        assert status["state"] == "running"
        stopped = {table["table"]: table for table in status["stopped_tables"]}
        assert set(stopped) == {f"public.{table}" for table in STOPS}
        for table, (_, to_run) in STOPS.items():
            entry = stopped[f"public.{table}"]
            assert entry["code"] == "schema_incompatible" and to_run in entry["reason"], entry
            assert f"tailwater sources snapshot shop public.{table} --sink copy" in entry["reason"]
            assert entry["parked"] >= 20
        assert status["dead_stored"] == 0
        assert_equal(server, pipeline, "bystander")
        metrics = daemon.get("/metrics")
        assert f'tailwater_sink_stopped_tables{{pipeline="shop",sink="copy"}} {len(STOPS)}' in metrics
        assert "public.retyped stopped" in pipeline.command("status", TAILWATER_URL=daemon.url).stdout
        assert not ready(daemon)

        daemon.kill()  # what waits is stored
        with sqlite3.connect(pipeline.copy_path) as connection:
            for table, (_, to_run) in STOPS.items():
                connection.execute(to_run)
        daemon = pipeline.start()
        wait_until("the tables to be live", lambda: daemon.answers() and daemon.sink("copy")["state"] == "running" and
                   not daemon.sink("copy")["stopped_tables"] and not daemon.sink("copy")["parked_stored"])
        for table in tables:
            server.sql(f"update {table} set note = 8")
        caught_up(daemon, server)
        for table in tables:
            if table != "keyless":  # rows from before its DROP TABLE come by a copy only
                assert_checksums_hold(pipeline, table)
                assert_equal(server, pipeline, table)
        wait_until("all to be ready", lambda: ready(daemon))
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def ready(daemon):
    try:
        return json.loads(daemon.get("/readyz"))["ready"]
    except OSError:
        return False


def test_the_policies_and_a_reload_between_them(server, tmp_path):
    server.sql(CHECKSUM)
    create(server, "t")
    sinks = {name: {"type": "sqlite", "path": str(tmp_path / f"{name}.db"), "schema_changes": name} for name in ("apply", "ignore", "halt")}
    pipeline = Pipeline(tmp_path, server, ["public.t", "public.tick"], sinks=sinks)

    def rows(name):
        pipeline.copy_path = tmp_path / f"{name}.db"
        return {row["id"]: row for row in mirrored(pipeline, "t")}

    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t values (1, 1, 'a')")
        server.sql("alter table t add extra text; insert into t values (2, 2, 'b', null, 'x')")
        for name in sinks:
            caught_up(daemon, server, name)
        assert rows("apply")[2]["extra"] == "x"
        assert "extra" not in rows("ignore")[2]
        assert set(rows("halt")) == {1}
        stopped = daemon.sink("halt")["stopped_tables"]
        assert [table["code"] for table in stopped] == ["schema_change_halted"]
        assert 'ALTER TABLE "t" ADD COLUMN "extra" TEXT' in stopped[0]["reason"]
        assert re.search(r'tailwater_sink_left_out_columns_total{pipeline="shop",sink="ignore"} [1-9]', daemon.get("/metrics"))

        document = json.loads(pipeline.files[0].read_text())
        document["sinks"]["halt"]["schema_changes"] = "apply"
        pipeline.files[0].write_text(json.dumps(document))
        daemon.process.send_signal(signal.SIGHUP)
        wait_until("what was parked", lambda: rows("halt").get(2, {}).get("extra") == "x")
        assert daemon.stop() == 0


def test_a_table_that_is_made_anew_or_has_another_name(server, tmp_path):
    server.sql(CHECKSUM)
    for table in ("anew", "other_key", "leaves", "elsewhere"):
        create(server, table)
    pipeline = Pipeline(tmp_path, server, ["public.tick", "public.anew", "public.other_key", "public.leaves", "public.come*"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        for table in ("anew", "other_key", "leaves", "elsewhere"):
            server.sql(f"insert into {table} select g, g, 'a' from generate_series(1, 5) g")
        caught_up(daemon, server)
        publication = server.value("select pubname from pg_publication")

        def publish(table):
            try:
                server.sql(f"alter publication {publication} add table {table}")
            except psycopg2.errors.DuplicateObject:
                pass  # the source did it
        server.sql("drop table anew, other_key")
        create(server, "anew", COLUMNS + ", extra text")
        create(server, "other_key", "k text primary key, n int not null, note text, sum text")
        server.sql("alter table leaves rename to left_behind; alter table elsewhere rename to comes")
        for table in ("anew", "other_key", "comes"):
            publish(table)
        server.sql("insert into anew select g, g, 'b', null, 'x' from generate_series(1, 9) g")
        server.sql("insert into other_key values ('one', 1)")
        server.sql("insert into comes (id, n) values (100, 1); update comes set note = 'c'; insert into left_behind (id, n) values (100, 1)")
        caught_up(daemon, server)
        # The rows of the first table had the same keys; DROP TABLE itself is not in the log.
        assert_equal(server, pipeline, "anew")
        assert_checksums_hold(pipeline, "anew")
        assert_checksums_hold(pipeline, "comes")
        assert {row["id"] for row in mirrored(pipeline, "comes")} >= {100, 1, 5}
        assert len(mirrored(pipeline, "leaves")) == 5
        assert [table["table"] for table in daemon.sink("copy")["stopped_tables"]] == ["public.other_key"]
        assert daemon.stop() == 0


def test_three_partitions_each_meet_the_schema_by_themselves(server, kafka, tmp_path):
    server.sql(CHECKSUM)
    for table in ("t", "stops"):
        create(server, table)
    pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.tick", "public.t", "public.stops"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming", timeout=60)
        server.sql("insert into t select g, g, 'a' from generate_series(1, 50) g; insert into stops select g, g, 'a' from generate_series(1, 50) g")
        server.sql("alter table t add extra text; update t set extra = 'x' || id; alter table t drop note; update t set n = n + 1 where id % 2 = 0")
        server.sql("alter table stops alter note type int using 1; update stops set n = n + 1")
        server.sql("alter table t rename extra to other; update t set other = 'y' || id where id % 2 = 0; delete from t where id % 7 = 0")
        caught_up(daemon, server)
        stopped = daemon.sink("copy")["stopped_tables"]
        assert [table["table"] for table in stopped] == ["public.stops"]
        assert stopped[0]["parked"] >= 50
        with sqlite3.connect(pipeline.copy_path) as connection:
            connection.execute("alter table stops drop column note")
        wait_until("the table to be live", lambda: daemon.sink("copy")["parked_stored"] == 0, 40)
        server.sql("update t set n = n + 1")
        caught_up(daemon, server)
        for table in ("t", "stops"):
            assert_equal(server, pipeline, table)
            assert_checksums_hold(pipeline, table)
        assert daemon.stop() == 0


# In the middle of the copy of a table: statements, and whether the mirror needs a person afterwards.
WHILE_COPIED = {
    "gets_column": (["alter table gets_column add extra text default 'x'", "update gets_column set extra = 'y' where id % 100 = 0"], None),
    "loses_column": (["alter table loses_column drop note"], None),
    "gets_wider": (["alter table gets_wider alter n type bigint"], None),
    "is_retyped": (["alter table is_retyped alter note type int using 5"], "alter table is_retyped drop column note"),
    "is_rekeyed": (["alter table is_rekeyed drop constraint is_rekeyed_pkey, add primary key (n)"], "drop table is_rekeyed"),
    "is_truncated": (["truncate is_truncated", "insert into is_truncated (id, n) select g, g from generate_series(1, 100) g"], None),
    "is_dropped": (["drop table is_dropped"], None),
}


def test_tables_change_in_the_middle_of_their_copy(server, tmp_path):
    server.sql(CHECKSUM)
    rows = 2000
    for table in WHILE_COPIED:
        create(server, table)
        server.sql(f"insert into {table} select g, g, repeat('n', 50) from generate_series(1, {rows}) g")
    pipeline = Pipeline(tmp_path, server, ["public.tick", *(f"public.{table}" for table in WHILE_COPIED)],
                        source_options={"snapshot": {"workers": 2, "chunk_rows": 50}})

    def copied(table):
        there = os.path.exists(pipeline.copy_path) and pipeline.copy(f"select 1 from sqlite_master where name = '{table}'")
        return pipeline.copy(f"select count(*) from {table}")[0][0] if there else 0

    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        in_the_middle, pending = 0, dict(WHILE_COPIED)

        def change_one():
            nonlocal in_the_middle
            for table, (statements, _) in pending.items():
                if 0 < copied(table):
                    in_the_middle += copied(table) < rows
                    for statement in statements:
                        server.sql(statement)
                    return pending.pop(table)
        while pending:
            wait_until(f"a copy of {list(pending)} to begin", change_one, 60)
        left = [table for table in WHILE_COPIED if table != "is_dropped"]
        for table in ("loses_column", "gets_wider", "is_truncated"):
            count = server.value(f"select count(*) from {table}")
            wait_until(f"the copy of {table} to end", lambda: copied(table) == count, 60)
        caught_up(daemon, server)
        assert in_the_middle >= 1, "the copies are too quick for this test"
        stopped = {table["table"] for table in daemon.sink("copy")["stopped_tables"]}
        assert stopped == {f"public.{table}" for table, (_, to_run) in WHILE_COPIED.items() if to_run}
        with sqlite3.connect(pipeline.copy_path, timeout=30) as connection:
            for _, to_run in WHILE_COPIED.values():
                if to_run:
                    connection.execute(to_run)
        wait_until("the tables to be live", lambda: not daemon.sink("copy")["stopped_tables"] and not daemon.sink("copy")["parked_stored"], 40)
        for table in left:  # what ALTER TABLE did to rows without logging them shows once they are written again
            server.sql(f"update {table} set id = id")
        caught_up(daemon, server)
        for table in left:
            assert_equal(server, pipeline, table)
        assert daemon.stop() == 0
