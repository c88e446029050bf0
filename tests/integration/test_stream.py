"""The main job on every Postgres version: changes reach the topic and the copy exactly, the slot follows, stops are clean."""
import os
import signal
import time

import pytest

from tests.support.daemon import Pipeline, wait_until
from tests.support.workload import COLUMNS, SCHEMA, TABLES, Workload, as_multiset, differences, source_rows


def assert_copy_equals_source(pipeline):
    for table, columns in COLUMNS.items():
        copied = as_multiset(pipeline.copy(f"select {', '.join(columns)} from {table}"))
        assert differences(source_rows(pipeline.server, table), copied) == "", table


def test_a_random_history_arrives_whole(any_server, tmp_path):
    any_server.sql(SCHEMA)
    pipeline = Pipeline(tmp_path, any_server, TABLES)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        connection = any_server.connect()
        workload = Workload(connection, seed=any_server.version)
        for _ in range(400):
            workload.step()
        connection.close()
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert_copy_equals_source(pipeline)
    ids = [record["id"] for record in pipeline.topic()]
    assert len(ids) == len(set(ids))


def test_rows_from_before_the_start_are_not_copied_if_so_asked_and_that_is_said(server, tmp_path):
    server.sql("create table t (id int primary key); insert into t values (1)")
    pipeline = Pipeline(tmp_path, server, ["public.t"], source_options={"snapshot": {"mode": "never"}})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t values (2)")
        wait_until("the new row", lambda: daemon.sink("copy").get("lag_records") == 0 and os.path.exists(pipeline.copy_path) and
                   pipeline.copy("select count(*) from sqlite_master where name = 't'")[0][0] and pipeline.copy("select id from t"))
        assert pipeline.copy("select id from t") == [(2,)]
        assert "not copied" in daemon.log()


def test_the_slot_follows_while_only_other_tables_are_written(server, tmp_path):
    server.sql("create table t (id int primary key); create table other (id int primary key, pad text)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        before = server.value("select confirmed_flush_lsn from pg_replication_slots")
        server.sql("insert into other select g, repeat('x', 500) from generate_series(1, 20000) g")
        written = server.value("select pg_current_wal_lsn()")
        wait_until("the slot to follow", lambda: server.sql(
            "select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (written,)), 40)
        assert before != written


def test_the_slot_moves_on_while_a_delivery_process_stands_still(server, tmp_path):
    server.sql(SCHEMA)
    pipeline = Pipeline(tmp_path, server, TABLES)
    with pipeline.start("--only", "capture") as capture, pipeline.start("--only", "deliver") as delivery:
        capture.wait_state("streaming")
        wait_until("the delivery process", delivery.ready)
        delivery.process.send_signal(signal.SIGSTOP)
        try:
            server.sql("insert into events select g, 'while stopped' from generate_series(1, 50000) g")
            written = server.value("select pg_current_wal_lsn()")
            wait_until("the slot to follow", lambda: server.sql(
                "select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (written,)), 40)
        finally:
            delivery.process.send_signal(signal.SIGCONT)
        wait_until("the copy", lambda: pipeline.copy("select count(*) from sqlite_master where name = 'events'")[0][0] and
                   pipeline.copy("select count(*) from events")[0][0] == 50000)


def test_a_huge_transaction_stays_under_128_megabytes_with_a_stopped_sink(server, tmp_path):
    """Rows by TW_HUGE_ROWS: five million."""
    rows = int(os.environ.get("TW_HUGE_ROWS", "5000000"))
    server.sql("create table big (id bigint primary key, price numeric(12,2), name text)")
    pipeline = Pipeline(tmp_path, server, ["public.big"])
    with pipeline.start("--only", "deliver") as delivery, pipeline.start("--only", "capture") as capture:
        capture.wait_state("streaming")
        delivery.process.send_signal(signal.SIGSTOP)
        server.sql("insert into big select g, g / 100.0, 'row ' || g from generate_series(1, %s) g", (rows,))
        written = server.value("select pg_current_wal_lsn()")
        start = time.monotonic()
        peak = 0

        def confirmed():
            nonlocal peak
            with open(f"/proc/{capture.process.pid}/status") as status:
                peak = max(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
            return server.sql("select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (written,))

        wait_until("the transaction to be durable in the topic", confirmed, 400)
        print(f"{rows} rows in {time.monotonic() - start:.0f} s, peak {peak} MB")
        assert peak < 128
        delivery.process.send_signal(signal.SIGCONT)
        assert capture.stop() == 0


def test_a_clean_stop_confirms_all_and_a_second_sigterm_ends_at_once(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t select generate_series(1, 1000)")
        written = server.value("select pg_current_wal_lsn()")
        wait_until("the rows", lambda: server.sql("select 1 where %s::pg_lsn >= %s::pg_lsn", (daemon.source()["frontier"], written)))
        assert daemon.stop() == 0
    assert server.sql("select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (written,))


def test_server_restart_and_killed_walsenders_are_survived(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        for round_ in range(3):
            server.sql("insert into t select generate_series(%s, %s)", (round_ * 100, round_ * 100 + 99))
            server.kill_walsenders()
        server.restart("immediate")
        server.sql("insert into t values (1000)")
        wait_until("all rows", lambda: os.path.exists(pipeline.copy_path) and
                   pipeline.copy("select count(*) from sqlite_master where name = 't'")[0][0] and
                   pipeline.copy("select count(*) from t")[0][0] == 301, 60)
        assert daemon.process.poll() is None
    ids = [record["id"] for record in pipeline.topic()]
    assert len(ids) == len(set(ids))


def test_a_second_daemon_stands_by_and_takes_over(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as first:
        first.wait_state("streaming")
        with pipeline.start() as second:
            wait_until("the second to stand by", lambda: "standby" in second.log())
            first.kill()
            second.wait_state("streaming", timeout=15)
            server.sql("insert into t values (1)")
            wait_until("the row", lambda: second.sink("copy")["state"] == "running" and
                       pipeline.copy("select count(*) from sqlite_master where name = 't'")[0][0] and pipeline.copy("select id from t") == [(1,)])


def test_metrics_pass_promtool(server, tmp_path):
    import shutil
    import subprocess
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t values (1)")
        wait_until("the row", lambda: daemon.sink("copy").get("lag_records") == 0 and 'tailwater_source_retained_log_bytes' in daemon.get("/metrics"))
        checked = subprocess.run(["promtool", "check", "metrics"], input=daemon.get("/metrics"), text=True, capture_output=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("attempt", range(2))
def test_a_sink_that_begins_at_the_end_has_caught_up_at_once(server, tmp_path, attempt):
    """On a quiet server nothing comes that the sink could meet; it takes a fresh one each time to see that."""
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"], sinks={"feed": {"type": "stdout", "path": str(tmp_path / "feed"), "start": "end"}})
    pipeline.catch_up(timeout=13)  # the server itself breaks the silence after 15 s
