"""What can be wrong outside of us: each gives a named state or exit code, a message with the remedy, and loses nothing."""
import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

from tests.conftest import start_server
from tests.support.daemon import Pipeline, wait_until


def until_caught_up(pipeline, timeout=60, **environment):
    with pipeline.start("--until-caught-up", **environment) as daemon:
        return daemon.wait_exit(timeout), daemon.log()


def test_unreachable_database_is_retried_and_named(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    server.stop()
    with pipeline.start() as daemon:
        state = wait_until("the error", lambda: daemon.answers() and daemon.source()["state"] == "retrying" and daemon.source())
        assert state["code"] == "pg_unreachable"
        assert str(server.port) in state["message"]
        server.start()
        daemon.wait_state("streaming", timeout=60)


def test_wrong_password_needs_an_operator_and_heals(tmp_path):
    with start_server(hba=["local all all trust", "host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"]) as server:
        server.sql("create role reader login replication password 'right'")
        server.sql("create table t (id int primary key); alter table t owner to reader; grant create on database postgres to reader")
        secret = tmp_path / "secret"
        secret.write_text("n0tTheOne\n")
        pipeline = Pipeline(tmp_path / "p", server, ["public.t"], user="reader",
                            source_options={"password": "${file:%s}" % secret})
        code, log = until_caught_up(pipeline)
        assert code == 3, log
        assert "pg_authentication_failed" in log and "n0tTheOne" not in log
        secret.write_text("right\n")
        code, log = until_caught_up(pipeline)
        assert code == 0, log


def test_missing_privilege_prints_the_sql(server, tmp_path):
    server.sql("create role reader login")
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"], user="reader")
    code, log = until_caught_up(pipeline)
    assert code == 3, log
    checked = pipeline.command("check", pipeline.files[0])
    assert checked.returncode == 3
    assert re.search(r"ALTER ROLE \"?reader\"? (WITH )?REPLICATION", checked.stdout, re.I), checked.stdout
    assert server.value("select count(*) from pg_publication") == 0
    assert server.value("select count(*) from pg_replication_slots") == 0


def test_wal_level_must_be_logical(tmp_path):
    with start_server(settings={"wal_level": "replica"}) as server:
        server.sql("create table t (id int primary key)")
        pipeline = Pipeline(tmp_path, server, ["public.t"])
        code, log = until_caught_up(pipeline)
        assert code == 3, log
        assert "ALTER SYSTEM SET wal_level" in log


def test_table_without_identity_is_refused_before_it_can_hurt(server, tmp_path):
    server.sql("create table t (a int); create table fine (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t", "public.fine"])
    code, log = until_caught_up(pipeline)
    assert code == 3, log
    assert re.search(r"ALTER TABLE \"?public\"?\.\"?t\"? REPLICA IDENTITY FULL", log)
    server.sql("insert into t values (1); update t set a = 2; delete from t")  # the application goes on


def test_slot_in_use_names_the_pid(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    pipeline.catch_up()
    reader = subprocess.Popen(["/usr/lib/postgresql/15/bin/pg_recvlogical", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres",
                               "-d", "postgres", "--slot", "tailwater_shop__shop", "--start", "-f", "/dev/null",
                               "-o", "proto_version=1", "-o", "publication_names=tailwater_shop__shop"], stderr=subprocess.DEVNULL)
    try:
        pid = wait_until("the other reader", lambda: server.sql("select active_pid from pg_replication_slots where active"))[0][0]
        with pipeline.start() as daemon:
            state = daemon.wait_state("retrying")
            assert state["code"] == "pg_slot_in_use" and str(pid) in state["message"]
            reader.terminate()
            reader.wait()
            daemon.wait_state("streaming", timeout=60)
    finally:
        reader.kill()
        reader.wait()


def test_malformed_yaml_reports_every_problem_with_its_place(tmp_path, server):
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    pipeline.files[0].write_text("version: 1\npipeline: shop\nsources:\n  shop:\n    type: postgres\n    databse: x\n    status_interval: 30\n"
                                 "    tables: [public.t]\ntopic: {type: local, path: /tmp/x}\nsinks:\n  copy: {type: sqlight, path: x}\n")
    result = pipeline.command("run", pipeline.files[0])
    assert result.returncode == 2
    assert re.search(r"pipeline.yaml:6:5: .*unknown key 'databse' \(did you mean 'database'\?\)", result.stderr)
    assert re.search(r"pipeline.yaml:7:22: .*needs a unit", result.stderr)
    assert re.search(r"pipeline.yaml:11:\d+: .*sqlight.*sqlite", result.stderr)


def test_newer_state_is_refused(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    pipeline.catch_up()
    with sqlite3.connect(pipeline.topic_path / "changes.db") as connection:
        connection.execute("pragma user_version = 1000")
    connection.close()
    code, log = until_caught_up(pipeline)
    assert code not in (0, 4), log
    assert "newer" in log


def test_lost_state_is_a_gap_and_no_silent_restart(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    pipeline.catch_up()
    server.sql("insert into t values (1)")
    confirmed = server.value("select confirmed_flush_lsn::text from pg_replication_slots")
    shutil.rmtree(pipeline.topic_path)
    code, log = until_caught_up(pipeline)
    assert code == 4, log
    assert "state_lost" in log
    assert server.value("select confirmed_flush_lsn::text from pg_replication_slots") == confirmed


def test_missing_slot_is_a_gap(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    pipeline.catch_up()
    server.sql("select pg_drop_replication_slot('tailwater_shop__shop')")
    code, log = until_caught_up(pipeline)
    assert code == 4, log
    assert "pg_slot_missing" in log
    assert server.value("select count(*) from pg_replication_slots") == 0


def test_slot_advanced_by_hand_is_a_gap(server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    pipeline.catch_up()
    server.sql("insert into t values (1)")
    server.sql("select pg_replication_slot_advance('tailwater_shop__shop', pg_current_wal_lsn())")
    code, log = until_caught_up(pipeline)
    assert code == 4, log
    assert "pg_slot_ahead_of_checkpoint" in log


def test_oversized_record_halts_with_its_table_and_size(server, tmp_path):
    server.sql("create table t (id int primary key, body text); alter table t alter body set storage external")
    pipeline = Pipeline(tmp_path, server, ["public.t"], topic_options={"max_record_size": "64KiB"})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t values (1, 'small')")
        server.sql("insert into t values (2, repeat('x', 100000))")
        state = wait_until("the halt", lambda: daemon.source().get("code") == "record_too_large" and daemon.source())
        assert "public.t" in state["message"] and "65536" in state["message"].replace(",", "")
    assert [r["after"]["id"] for r in pipeline.topic() if r["op"] == "insert"] == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_full_disk_under_the_topic_waits_and_goes_on(server, tmp_path):
    server.sql("create table t (id int primary key, body text)")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], capture_output=True).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        pipeline = Pipeline(tmp_path / "p", server, ["public.t"], topic_options={"path": str(small / "topic")})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into t select g, md5(g::text) || md5((g + 1)::text) || md5((g * 7)::text) from generate_series(1, 100000) g")
            state = wait_until("the full disk", lambda: daemon.source().get("code") == "topic_disk_full" and daemon.source(), 60)
            assert "free" in state["message"] or "space" in state["message"]
            subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
            wait_until("all rows", lambda: os.path.exists(pipeline.copy_path) and
                       pipeline.copy("select count(*) from sqlite_master where name = 't'")[0][0] and
                       pipeline.copy("select count(*) from t")[0][0] == 100000, 120)
            daemon.stop()
        ids = [record["id"] for record in pipeline.topic()]
        assert len(ids) == len(set(ids))
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_transaction_that_changed_on_re_read_is_a_gap(server, tmp_path):
    """A part of it is durable; then the publication loses a table, so that the server sends something else."""
    server.sql("create table a (id int primary key, pad text); create table b (id int primary key, pad text)")
    server.sql("create publication mine for table a, b with (publish_via_partition_root = true)")
    pipeline = Pipeline(tmp_path, server, ["public.a", "public.b"], topic_options={"transaction_size": "64KiB"},
                        source_options={"publication": {"name": "mine", "create": False}})
    pipeline.catch_up()
    server.sql("alter publication mine drop table b")  # takes effect in stream order: before the transaction that follows
    server.sql("alter publication mine add table b")
    connection = server.connect(autocommit=False)
    connection.cursor().execute("insert into b select g, repeat('y', 100) from generate_series(1, 2000) g;"
                                "insert into a select g, repeat('x', 100) from generate_series(1, 20000) g")
    connection.commit()
    connection.close()
    with pipeline.start(TAILWATER_CRASH_POINT="part_published:3") as daemon:
        assert daemon.wait_exit(60) == -9
    # A DBA's slot file copied back, or a publication edited in the past, cannot be made by SQL alone: change the stored hash.
    changed = pipeline.command("status", pipeline.files[0], "-o", "json")
    assert changed.returncode == 0
    rewrite_in_progress_hash(pipeline)
    code, log = until_caught_up(pipeline)
    assert code == 4, log
    assert "transaction_changed" in log


def fields(message, start, end):
    """(number, where its value begins, where it ends) of each field of an encoded protobuf message."""
    def varint(at):
        value, shift = 0, 0
        while True:
            value |= (message[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not message[at - 1] & 0x80:
                return value, at

    while start < end:
        tag, at = varint(start)
        if tag & 7 == 0:
            _, start = varint(at)
        elif tag & 7 == 1:
            start = at + 8
        elif tag & 7 == 5:
            start = at + 4
        else:
            length, at = varint(at)
            start = at + length
        yield tag >> 3, at, start


def rewrite_in_progress_hash(pipeline):
    """Flips one bit of CaptureState.in_progress (5) .hash (4) in the stored state."""
    with sqlite3.connect(pipeline.topic_path / "changes.db") as connection:
        (key, value), = connection.execute("select key, value from state where key = 'source/shop'").fetchall()
        value = bytearray(value)
        _, begin, end = next(field for field in fields(value, 0, len(value)) if field[0] == 5)
        _, at, _ = next(field for field in fields(value, begin, end) if field[0] == 4)
        value[at] ^= 1
        connection.execute("update state set value = ? where key = ?", (bytes(value), key))
    connection.close()
