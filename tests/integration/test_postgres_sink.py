"""Postgres as a target: copies of Postgres, MariaDB and MySQL that end equal, whole transactions, and what is said of bad input."""
import contextlib
import os
import shutil
import subprocess
import threading
import time

import pytest

from tests.conftest import start_mysql, start_server
from tests.integration.test_schema_changes import CHECKSUM, FOLLOWED, Writer, create, caught_up
from tests.integration.test_types import FORMATS, PREPARE, World, database, shown
from tests.support.daemon import Pipeline, wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.postgres_copy import PostgresCopy
from tests.support.workload import COLUMNS, TABLES, Workload, as_multiset, create_tables, differences


@pytest.fixture(scope="module")
def target_server():
    with start_server() as running:
        yield running


@pytest.fixture
def target(target_server):
    """A target of its own on the module's server, gone afterwards."""
    copy = PostgresCopy(target_server)
    yield copy
    target_server.sql(f"drop database {copy.database} with (force)")


@contextlib.contextmanager
def source_of(kind):
    with start_server() if kind == "postgres" else start_mysql(kind) as running:
        yield running


class Load:
    """A workload in a thread of its own until the block ends."""

    def __init__(self, server, seed):
        self.connection, self.done = server.connect(), threading.Event()
        self.workload, self.error = Workload(self.connection, seed, large=500), None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.done.is_set():
                self.workload.step()
        except Exception as error:
            self.error = error

    def wait_for(self, transactions):
        goal = self.workload.transactions + transactions
        wait_until(f"{transactions} transactions", lambda: self.error or self.workload.transactions >= goal, 60)

    def __enter__(self):
        self.thread.start()
        return self

    def stop(self):
        self.done.set()
        self.thread.join()
        if self.error:
            raise self.error

    def __exit__(self, *unused):
        self.done.set()
        self.thread.join()
        self.connection.close()


def wait_equal(target, source):
    for table in COLUMNS:
        last = [""]

        def equal():
            last[0] = target.difference(source, table)
            return not last[0]
        try:
            wait_until(f"{table} to be equal", equal, 40)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last[0]}") from None


@pytest.mark.parametrize("transactional", [False, True], ids=["rows", "transactions"])
@pytest.mark.parametrize("kind", ["postgres", "mariadb", "mysql"])
def test_a_run_under_load_ends_equal(kind, transactional, target, tmp_path):
    with source_of(kind) as source:
        create_tables(source)
        with Load(source, 21) as load:
            load.wait_for(100)  # these are copied
            pipeline = Pipeline(tmp_path, source, TABLES, sinks={"copy": target.sink(transactional=transactional)})
            with pipeline.start() as daemon:
                daemon.wait_state("streaming")
                load.wait_for(400)
                load.stop()
                wait_equal(target, source)
                sink = daemon.sink("copy")
                assert sink["state"] == "running" and sink["dead_letters"]["total"] == 0, sink
                assert daemon.stop() == 0
        # Nothing but what is documented stands beside the source's columns.
        assert target.sql("select column_name from information_schema.columns where table_schema = 'public' and table_name = 'seats' "
                          "order by ordinal_position") == [("hall",), ("seat",), ("holder",), ("_tailwater_version",)]


def test_readers_see_whole_transactions(server, target, tmp_path):
    see_whole_transactions(server, target, Pipeline(tmp_path, server, ["public.balances"], sinks={"copy": target.sink(transactional=True)},
                                                    topic_options={"transaction_size": "64KiB"}))


def test_readers_see_whole_transactions_over_partitions(server, kafka, target, tmp_path):
    """Rows of a transaction come by three partitions."""
    see_whole_transactions(server, target, KafkaPipeline(tmp_path, server, kafka, ["public.balances"], sinks={"copy": target.sink(transactional=True)}))


def see_whole_transactions(server, target, pipeline):
    """Each transaction moves money between accounts; a reader looks all the time."""
    server.sql("create table balances (id int primary key, amount int not null); insert into balances select g, 0 from generate_series(1, 50) g")
    stopping, sums = threading.Event(), []

    def read():
        connection = target.server.connect(target.database)
        with connection.cursor() as cursor:
            while not stopping.is_set():
                cursor.execute("select count(*), sum(amount) from balances")
                sums.append(cursor.fetchone())
                time.sleep(0.002)  # paces the reader; nothing waits for it
        connection.close()
    daemon = pipeline.start()
    reader = threading.Thread(target=read)
    try:
        daemon.wait_state("streaming")
        wait_until("the copy", lambda: target.has("balances") and target.value("select count(*) from balances") == 50)
        reader.start()
        connection = server.connect(autocommit=False)
        with connection.cursor() as cursor:
            for turn in range(120):
                for step in range(1 + turn % 20):
                    cursor.execute("update balances set amount = amount + 1 where id = %s", (1 + (turn + step) % 50,))
                    cursor.execute("update balances set amount = amount - 1 where id = %s", (1 + (turn * 3 + step) % 50,))
                if turn % 20 == 19:
                    cursor.execute("update balances set amount = amount + 1000; update balances set amount = amount - 1000")
                connection.commit()
                if turn == 60:
                    daemon.kill()
                    daemon = pipeline.start()
                    daemon.wait_state("streaming")
        connection.close()
        wait_until("the end", lambda: target.difference(server, "balances", ["id", "amount"]) == "", 60)
        assert daemon.stop() == 0
    finally:
        stopping.set()
        if reader.ident:
            reader.join()
        daemon.kill()
    assert len(sums) > 50
    assert set(sums) == {(50, 0)}


@FORMATS
def test_every_type(binary, target, tmp_path):
    with start_server() as source, database(source) as name:
        world = World(source, binary, name)
        target.sql(PREPARE)
        pipeline = world.pipeline(tmp_path, sinks={"copy": target.sink(), "lacking": {**target.sink(schema="lacking", state_schema="other")}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copied rows", lambda: world.copied(pipeline))
            world.write()
            wait_until("the copy", lambda: all(daemon.sink(sink).get("lag_records") == 0 for sink in ("copy", "lacking")) and all(
                target.sql(f"select to_regclass('{schema}.{table}') is not null")[0][0] and
                target.sql(f"select mark from {schema}.{table} where id = 3") == [(1,)]
                for schema in ("public", "lacking") for table in ("full_rows", "default_rows")))
            for sink in ("copy", "lacking"):
                assert daemon.sink(sink)["dead_letters"]["total"] == 0, daemon.sink(sink)
            assert daemon.stop() == 0
        wrong = []
        for table in ("full_rows", "default_rows"):
            types = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attnum > 0 and attname ~ '^c[0-9]'"
            assert sorted(target.sql(types, (table,))) == sorted(source.sql(types, (table,), database=name))
            for row in (1, 2, 3):
                texts = printed(target, table, row, world.columns)
                for case in world.cases:
                    if texts[case.column] != world.texts[case.column]:
                        wrong.append(f"{table} {row}: {case}: {shown(texts[case.column])} instead of {shown(world.texts[case.column])}")
        assert wrong == [], "\n".join(wrong[:20])


def printed(target, table, row, columns):
    """A row as the server prints it under the settings that a source pins."""
    connection = target.server.connect(target.database, options="-c DateStyle=ISO -c TimeZone=UTC -c IntervalStyle=postgres -c "
                                                                "bytea_output=hex -c extra_float_digits=3")
    connection.set_client_encoding("UTF8")
    try:
        with connection.cursor() as cursor:
            # As COPY prints them: a cast to text differs for some types.
            pieces = ", ".join(f"format('%%s', {column})" for column in columns)
            cursor.execute(f"select {pieces} from {table} where id = %s", (row,))
            return dict(zip(columns, cursor.fetchone()))
    finally:
        connection.close()


def test_what_the_target_follows_under_writers_and_kills(server, target, tmp_path):
    server.sql(CHECKSUM)
    for table in FOLLOWED:
        create(server, table)
        server.sql(f"insert into {table} select g, g, 'n' || g from generate_series(1, 20) g")
    target.sql("create type mood as enum ('sad', 'ok', 'glad')")  # types are made by people
    pipeline = Pipeline(tmp_path, server, ["public.tick", *(f"public.{table}" for table in FOLLOWED)], sinks={"copy": target.sink()})
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
        for table in FOLLOWED:
            server.sql(f"update {table} set n = n + 1")  # what was not logged shows once rows are written again
        # A type that narrowed in the source: the target keeps the wider one.
        caught_up(daemon, server)
        status = daemon.sink("copy")
        assert status["stopped_tables"] == [] and status["dead_letters"]["total"] == 0, status
        for table in FOLLOWED:
            columns = [name for (name,) in server.sql("select column_name from information_schema.columns where table_name = %s", (table,))]
            assert target.difference(server, table, columns) == "", table
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_a_truncate_and_a_copy_made_again(server, target, tmp_path):
    server.sql("create table t (id int primary key, note text); insert into t select g, 'old' from generate_series(1, 500) g")
    pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={"copy": target.sink()})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the first copy", lambda: target.difference(server, "t", ["id", "note"]) == "" and target.has("t"))
        server.sql("truncate t; insert into t select g, 'new' from generate_series(400, 600) g")
        wait_until("the truncate", lambda: target.difference(server, "t", ["id", "note"]) == "")
        # Rows that nobody told the pipeline of, and a row that was spoilt.
        target.sql("insert into t (id, note) values (9999, 'stray'); update t set note = 'spoilt' where id = 500")
        assert pipeline.command("sources", "snapshot", "shop", "public.t", "--sink", "copy", TAILWATER_URL=daemon.url).returncode == 0
        wait_until("the repair", lambda: target.difference(server, "t", ["id", "note"]) == "")
        assert daemon.stop() == 0


def stuck(daemon, code):
    return wait_until(f"the sink to say {code}", lambda: daemon.answers() and daemon.sink("copy").get("code") == code and daemon.sink("copy"))


def test_a_target_that_restarts_stops_and_is_read_only(server, tmp_path):
    server.sql("create table t (id int primary key, note text)")
    with start_server() as target_server:
        target = PostgresCopy(target_server)
        pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={"copy": target.sink()})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            for turn in range(4):
                server.sql("insert into t select g, 'a' from generate_series(%s, %s) g", (turn * 10_000, turn * 10_000 + 9_999))
                target_server.restart("immediate" if turn % 2 else "fast")
            wait_until("all rows", lambda: target.difference(server, "t", ["id", "note"]) == "")
            target.sql(f"alter database {target.database} set default_transaction_read_only = on")
            target_server.restart()
            server.sql("insert into t values (-1, 'later')")
            status = stuck(daemon, "pg_read_only")
            assert status["state"] == "waiting_operator" and "default_transaction_read_only" in status["message"]
            assert server.value("select count(*) from pg_replication_slots where active") == 1  # the source does not notice
            target_server.sql(f"alter database {target.database} reset default_transaction_read_only")
            wait_until("it to go on", lambda: target.difference(server, "t", ["id", "note"]) == "", 60)
            assert daemon.sink("copy")["dead_letters"]["total"] == 0
            assert daemon.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_a_full_disk_under_the_target_is_named_and_loses_nothing(server, tmp_path):
    server.sql("create table t (id int primary key, note text)")
    with start_server() as target_server:
        small = os.path.join(target_server.root, "small")  # where the server's user may go
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m,mode=777", "tmpfs", small], capture_output=True).returncode != 0:
            pytest.skip("a tmpfs cannot be mounted here")
        try:
            os.mkdir(small + "/space")
            shutil.chown(small + "/space", os.stat(target_server.data).st_uid, os.stat(target_server.data).st_gid)
            os.chmod(small + "/space", 0o700)
            target_server.sql(f"create tablespace small location '{small}/space'")
            target_server.sql("create database target tablespace small")
            target = PostgresCopy(target_server, create=False)
            pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={"copy": target.sink(), "other": {"type": "blackhole"}})
            with pipeline.start() as daemon:
                daemon.wait_state("streaming")
                server.sql("insert into t select g, repeat(md5(g::text), 8) from generate_series(1, 100000) g")
                status = stuck(daemon, "pg_disk_full")
                assert status["state"] == "waiting_operator" and "make room" in status["message"]
                wait_until("the other sink to have all", lambda: daemon.sink("other").get("lag_records") == 0)
                subprocess.run(["mount", "-o", "remount,size=400m", small], check=True)
                wait_until("all rows", lambda: target.difference(server, "t", ["id", "note"]) == "", 60)
                assert daemon.sink("copy")["dead_letters"]["total"] == 0
                assert daemon.stop() == 0
        finally:
            target_server.stop("immediate")
            subprocess.run(["umount", "-l", small], check=True)


def test_bad_input_is_named_with_what_to_do(server, target, tmp_path):
    server.sql("create table t (id int primary key, note text); insert into t values (1, 'a')")
    target.sql("do $$ begin create role limited login; exception when duplicate_object then null; end $$")
    cases = {
        "no_database": ({"type": "postgres", "url": target.server.url("missing")}, "pg_database_missing", "CREATE DATABASE"),
        "no_server": ({"type": "postgres", "url": "postgres://postgres@127.0.0.1:1/x"}, "pg_unreachable", "check that the server runs"),
        "no_grant": ({"type": "postgres", "url": target.server.url(target.database, "limited")}, "pg_privilege_missing",
                     'CREATE SCHEMA "tailwater" AUTHORIZATION "limited"'),
    }
    pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={**{name: sink for name, (sink, _, _) in cases.items()}, "copy": target.sink()})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the sound one", lambda: target.difference(server, "t", ["id", "note"]) == "")
        for name, (_, code, words) in cases.items():
            status = wait_until(name, lambda: daemon.sink(name).get("code") == code and daemon.sink(name))
            assert words in status["message"], status
        assert daemon.stop() == 0
    bad = Pipeline(tmp_path / "bad", server, ["public.t"], sinks={"copy": {"type": "postgres", "url": "postgres://u:secret@h/d", "lock_timeout": "10",
                                                                         "tables": [{"match": "public.*", "table": "x"}]}})
    said = bad.command("validate", bad.files[0])
    assert said.returncode == 2 and "secret" not in said.stdout + said.stderr
    for words in ("lock_timeout", "may match several", "url"):
        assert words in said.stdout + said.stderr


def test_a_table_that_is_there_is_taken_once_it_fits(server, target, tmp_path):
    server.sql("create table t (id int primary key, note text); insert into t values (1, 'a')")
    target.sql("create table mine (id int, note varchar(1), kept text default 'kept')")
    pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={"copy": target.sink(tables=[{"match": "public.t", "table": "mine"}])})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        stopped = wait_until("the table to be stopped", lambda: daemon.sink("copy")["stopped_tables"])
        reason = stopped[0]["reason"]
        assert stopped[0]["code"] == "schema_incompatible" and "holds character varying(1)" in reason and "unique index" in reason
        # What needs no schema of the source was said before its first record.
        early, = [line for line in daemon.log().splitlines() if "does not take the sink's rows as it is target=public.mine" in line]
        assert "ADD COLUMN _tailwater_version" in early and "no unique index" in early
        target.sql(reason.split("Run in the target: ")[1].split("then it goes on")[0])
        wait_until("its rows", lambda: target.sql("select id, note, kept from mine") == [(1, "a", "kept")], 60)
        assert daemon.stop() == 0


def test_a_refused_row_is_a_dead_letter_that_names_its_column(server, target, tmp_path):
    server.sql("create table t (id int primary key, note text)")
    target.sql("create table t (id int primary key, note text check (note <> 'never'), _tailwater_version bigint not null default 0)")
    pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={"copy": target.sink()})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t select g, 'ok' from generate_series(1, 500) g; insert into t values (1000, 'never'), (1001, 'ok')")
        wait_until("the rest", lambda: target.value("select count(*) from t") == 501)
        listed = pipeline.command("dead-letters", "list", "copy", "--server", daemon.url).stdout
        assert "pg_constraint_violated" in listed and "never" not in listed
        target.sql("alter table t drop constraint t_note_check")
        assert pipeline.command("dead-letters", "replay", "copy", "--all", "--server", daemon.url).returncode == 0
        assert target.difference(server, "t", ["id", "note"]) == ""
        assert daemon.stop() == 0
