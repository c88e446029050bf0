"""Each way in which a Postgres can lose what follows our place in its log: named within one connect, with the missing range, exit code,
metric and one line that says what to do; nothing is published and nothing confirmed."""
import os
import re
import shutil
import threading

import pytest

from tests.conftest import start_server
from tests.servers.postgres import VERSIONS
from tests.support.daemon import Pipeline, wait_until
from tests.support.standby import copy_data, make_standby, remove

SLOT = "tailwater_shop__shop"
LSN = r"[0-9A-F]+/[0-9A-F]+"


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def begun(home, server, tables=("public.t",), **more):
    """A pipeline that has captured a row, and is stopped."""
    server.sql("create table if not exists t (id int primary key, note text)")
    # Whether rows are copied does not matter here; 12 and 13 would need a table for the marks in a publication of somebody else's.
    pipeline = Pipeline(home, server, tables, **{"source_options": {"snapshot": {"mode": "never"}}, **more})
    pipeline.catch_up()
    server.sql("insert into t select coalesce(max(id), 0) + 1, 'before the gap' from t")
    pipeline.catch_up()
    return pipeline


def anew(pipeline):
    """destroy, so that the next pipeline on this server is a first start."""
    result = pipeline.command("destroy", pipeline.files[0], "--yes")
    assert result.returncode == 0, result.stderr


def frontier(pipeline):
    import json
    result = pipeline.command("status", pipeline.files[0], "-o", "json")
    return json.loads(result.stdout)["pipelines"][0]["sources"][0]["frontier"]


def assert_gap(pipeline, code, ends=True):
    """`run --until-caught-up` ends with 4 and one line; the topic holds what it held."""
    before = pipeline.topic()
    place = frontier(pipeline)
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit(30) == 4, daemon.log()[-3000:]
        log = daemon.log()
    lines = [line for line in log.splitlines() if "source halted" in line]
    assert len(lines) == 1, log
    line = lines[0]
    assert f"code={code} " in line and "state=gap" in line, line
    assert f"deploy/runbook.md#{code}" in line
    assert "on_gap: resnapshot" in line or "give the topic back" in line.lower()
    assert place in line, "where the gap begins"
    if ends:
        missing = re.search(rf"changes between ({LSN}) and ({LSN}) are missing", line)
        assert missing and missing[1] == place and lsn(missing[2]) > lsn(missing[1]), line
    assert pipeline.topic() == before
    assert frontier(pipeline) == place
    return line


def lose_log(server):
    """Writes more log than max_slot_wal_keep_size allows, until the slot is invalidated."""
    server.sql("alter system set max_slot_wal_keep_size = '1MB'")
    server.sql("select pg_reload_conf()")

    def lost():
        for _ in range(3):
            server.sql("select pg_logical_emit_message(false, 'filler', 'x')")
            server.sql("select pg_switch_wal()")
        server.sql("checkpoint")
        return server.value("select wal_status from pg_replication_slots where slot_name = %s", (SLOT,)) == "lost"
    wait_until("the slot to be lost", lost)
    server.sql("alter system reset max_slot_wal_keep_size")
    server.sql("select pg_reload_conf()")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_every_version_can_lose(version, tmp_path):
    with start_server(version) as server:
        pipeline = begun(tmp_path / "a", server)
        server.sql(f"drop publication {SLOT}")
        server.sql("insert into t select max(id) + 1, 'lost' from t")
        server.sql(f"create publication {SLOT} for table t")
        assert_gap(pipeline, "pg_publication_replaced")
        if version < 13:  # max_slot_wal_keep_size is from 13 on
            return
        anew(pipeline)
        pipeline = begun(tmp_path / "b", server)
        lose_log(server)
        line = assert_gap(pipeline, "pg_slot_lost")
        assert "max_slot_wal_keep_size" in line
        anew(pipeline)

        # An active reader only sees its session end, as in a shutdown; the next connect names the reason.
        pipeline = begun(tmp_path / "c", server)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            pid = server.value("select active_pid from pg_replication_slots where slot_name = %s", (SLOT,))
            os.kill(pid, 19)  # SIGSTOP: a walsender that does not get on
            try:
                lost = threading.Thread(target=lose_log, args=(server,))
                lost.start()
                wait_until("the checkpointer to wait for the reader", lambda: f"terminating process {pid}" in server.log())
            finally:
                os.kill(pid, 18)
            lost.join()
            status = daemon.wait_state("gap")
            assert status["code"] == "pg_slot_lost"
            metrics = daemon.get("/metrics")
            assert re.search(r'tailwater_errors_total\{[^}]*code="pg_slot_lost"[^}]*disposition="gap"[^}]*\} 1', metrics), metrics
            assert re.search(r'tailwater_source_state\{[^}]*state="gap"[^}]*\} 1', metrics)


def test_slot_missing_or_moved(server, tmp_path):
    pipeline = begun(tmp_path / "a", server)
    with pipeline.start() as daemon:  # the gauges of a slot vanish with it
        daemon.wait_state("streaming")
        gauges = ["tailwater_source_retained_log_bytes", "tailwater_source_lag_bytes", "tailwater_source_confirmed_lsn_bytes"]
        wait_until("the slot to be watched", lambda: all(f"{name}{{" in daemon.get("/metrics") for name in gauges))
    server.sql("select pg_drop_replication_slot(%s)", (SLOT,))
    server.sql("insert into t select max(id) + 1, 'lost' from t")
    assert_gap(pipeline, "pg_slot_missing")
    with pipeline.start() as daemon:
        assert daemon.wait_state("gap")["code"] == "pg_slot_missing"
        wait_until("the missing slot to be seen", lambda: 'state="missing"' in daemon.get("/metrics"))
        assert not any(f"{name}{{" in daemon.get("/metrics") for name in gauges)
    # Created again by somebody who wanted to help: still the same changes are missing.
    server.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))
    assert_gap(pipeline, "pg_slot_ahead_of_checkpoint")


def test_other_server_and_other_database(server, tmp_path):
    pipeline = begun(tmp_path / "a", server)
    server.sql("create database other")
    text = pipeline.files[0].read_text()
    pipeline.files[0].write_text(text.replace("/postgres\"", "/other\""))
    assert_gap(pipeline, "pg_other_database", ends=False)
    with start_server() as another:
        pipeline.files[0].write_text(text.replace(f":{server.port}/", f":{another.port}/"))
        line = assert_gap(pipeline, "pg_other_system", ends=False)
        assert "tailwater sources handover" in line
    pipeline.files[0].write_text(text)
    server.sql("insert into t select max(id) + 1, 'still there' from t")
    pipeline.catch_up()  # nothing was lost by looking elsewhere


def test_restored_backup(server, tmp_path):
    """The data folder of this morning comes back; the topic is ahead of it."""
    pipeline = begun(tmp_path / "a", server)
    server.stop()
    copy_data(server, str(tmp_path / "backup"))
    server.start()
    server.sql("insert into t select g, 'undone' from generate_series(100, 400) g")
    pipeline.catch_up()
    server.stop()
    shutil.rmtree(server.data)
    shutil.move(str(tmp_path / "backup"), server.data)
    server.start()
    assert_gap(pipeline, "pg_server_behind_checkpoint", ends=False)


def test_two_daemons_on_one_slot(server, tmp_path):
    """The second waits, says who reads, and never takes a change; whoever reads behind the other's back leaves a gap that is named."""
    server.sql("create table t (id int primary key, note text)")
    server.sql(f"create publication {SLOT} for table t")
    server.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))
    options = {"slot": {"name": SLOT, "create": False}, "publication": {"name": SLOT, "create": False}}
    one = Pipeline(tmp_path / "one", server, ["public.t"], source_options=options)
    two = Pipeline(tmp_path / "two", server, ["public.t"], source_options=options)
    with one.start() as first:
        first.wait_state("streaming")
        with two.start() as second:
            status = second.wait_state("retrying")
            assert status["code"] == "pg_slot_in_use", status
            server.sql("insert into t values (1, 'for the first')")
            wait_until("the first to have it", lambda: any(r["op"] == "insert" for r in one.topic()))
            assert not any(r["op"] == "insert" for r in two.topic())
        first.stop()
    assert_gap(two, "pg_slot_ahead_of_checkpoint")  # it had seen the slot before the first one moved it
    server.sql("insert into t values (2, 'taken by a third')")
    Pipeline(tmp_path / "three", server, ["public.t"], source_options=options).catch_up()
    assert_gap(one, "pg_slot_ahead_of_checkpoint")


@pytest.mark.parametrize("version", [17, 18])
def test_rows_removed_on_a_standby(version, tmp_path):
    """Decoding on a standby without hot_standby_feedback: the primary's vacuum takes catalog rows away."""
    with start_server(version) as primary:
        primary.sql("create table t (id int primary key, note text)")
        primary.sql(f"create publication {SLOT} for table t")
        standby = make_standby(primary)
        try:
            standby.start()
            # A slot on a standby waits for a record that only the primary can write.
            stop = threading.Event()

            def help_along():
                while not stop.wait(0.1):
                    primary.sql("select pg_log_standby_snapshot()")
            helper = threading.Thread(target=help_along)
            helper.start()
            pipeline = Pipeline(tmp_path / "a", standby, ["public.t"], source_options={
                "publication": {"name": SLOT, "create": False}, "slot": {"name": SLOT}, "snapshot": {"mode": "never"}})
            primary.sql("insert into t values (1, 'before')")
            try:
                pipeline.catch_up()
            finally:
                stop.set()
                helper.join()
            primary.sql("create table garbage (id int)")
            primary.sql("drop table garbage")
            primary.sql("vacuum full pg_class")
            primary.sql("insert into t values (2, 'lost')")
            wait_until("the slot to be invalidated", lambda: standby.value(
                "select wal_status from pg_replication_slots where slot_name = %s", (SLOT,)) == "lost")
            line = assert_gap(pipeline, "pg_slot_lost")
            assert "rows_removed" in line and "hot_standby_feedback" in line
        finally:
            remove(standby)
