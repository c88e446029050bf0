"""Each way in which a MariaDB or MySQL can lose what follows our place in its log: named within one connect, with what is missing, exit code and one
line that says what to do; nothing is published. `on_gap: resnapshot` goes on by itself. And what is no gap: another server of the same history."""
import json
import re
import shutil

import pytest

from tests.conftest import start_mysql
from tests.servers.mysql import FLAVOURS
from tests.support.daemon import Pipeline, wait_until
from tests.support.live_copy import LiveCopy


@pytest.fixture(params=FLAVOURS)
def own(request):
    """A server for this test alone."""
    with start_mysql(request.param) as running:
        yield running


def source(pipeline):
    result = pipeline.command("status", pipeline.files[0], "-o", "json")
    return json.loads(result.stdout)["pipelines"][0]["sources"][0]


def begun(home, server, **more):
    """A pipeline that has captured a row, and is stopped."""
    server.sql("create table if not exists t (id int primary key, note varchar(100))")
    pipeline = Pipeline(home, server, ["public.t"], **{"source_options": {"snapshot": {"mode": "never"}}, **more})
    pipeline.catch_up()
    server.sql("insert into t select coalesce(max(id), 0) + 1, 'before the gap' from t")
    pipeline.catch_up()
    return pipeline


def assert_gap(pipeline, code):
    """`run --until-caught-up` ends with 4 and one line; the topic holds what it held."""
    before, place = pipeline.topic(), source(pipeline)["frontier"]
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit(30) == 4, daemon.log()[-3000:]
        log = daemon.log()
    lines = [line for line in log.splitlines() if "source halted" in line]
    assert len(lines) == 1, log
    line = lines[0]
    assert f"code={code} " in line and "state=gap" in line, line
    assert f"deploy/runbook.md#{code}" in line and "on_gap: resnapshot" in line, line
    assert pipeline.topic() == before
    assert source(pipeline)["frontier"] == place
    return line


def purge(server):
    server.sql("insert into t select max(id) + 1, 'lost' from t")
    server.purge()
    server.sql("insert into t select max(id) + 1, 'after' from t")


def reset(server):
    server.sql("reset master" if server.is_mariadb else "reset binary logs and gtids")
    server.sql("insert into t select max(id) + 1, 'after' from t")


def test_what_a_server_can_lose(own, tmp_path):
    pipeline = begun(tmp_path / "purged", own)
    purge(own)
    line = assert_gap(pipeline, "mysql_purged")
    missing = r"0-1-\d+" if own.is_mariadb else r"[0-9a-f-]{36}:\d+"
    assert re.search(missing, line), line
    with pipeline.start() as daemon:
        assert daemon.wait_state("gap")["code"] == "mysql_purged"
        assert re.search(r'tailwater_errors_total\{[^}]*code="mysql_purged"[^}]*disposition="gap"[^}]*\} 1', daemon.get("/metrics"))
        assert re.search(r'tailwater_source_state\{[^}]*state="gap"[^}]*\} 1', daemon.get("/metrics"))

    pipeline = begun(tmp_path / "reset", own)
    own.sql("flush binary logs")
    reset(own)
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit(30) == 4, daemon.log()[-3000:]
        assert "mysql_log_reset" in daemon.log() or "mysql_behind_checkpoint" in daemon.log(), daemon.log()[-3000:]
    # Also once it has all the names that were read.
    own.sql(["flush binary logs", "flush binary logs", *["insert into t select max(id) + 1, 'after' from t"] * 20])
    assert_gap(pipeline, "mysql_log_reset")


def test_another_server(own, tmp_path):
    pipeline = begun(tmp_path / "a", own)
    text = pipeline.files[0].read_text()
    with start_mysql(own.flavour, settings={"server_id": "77"}) as another:
        another.sql("create table t (id int primary key, note varchar(100))")
        pipeline.files[0].write_text(text.replace(f":{own.port}/", f":{another.port}/"))
        assert_gap(pipeline, "mysql_other_server")
    with start_mysql("mysql" if own.is_mariadb else "mariadb") as another:
        another.sql("create table t (id int primary key, note varchar(100))")
        pipeline.files[0].write_text(text.replace(f":{own.port}/", f":{another.port}/"))
        assert_gap(pipeline, "mysql_other_server")
    pipeline.files[0].write_text(text)
    own.sql("insert into t select max(id) + 1, 'still there' from t")
    pipeline.catch_up()  # nothing was lost by looking elsewhere


def test_a_restored_backup(own, tmp_path):
    """The data folder of this morning comes back; the topic is ahead of it."""
    pipeline = begun(tmp_path / "a", own)
    own.stop()
    shutil.copytree(own.data, tmp_path / "backup")
    own.start()
    own.sql("insert into t values (100, 'undone')")
    pipeline.catch_up()
    own.stop()
    shutil.rmtree(own.data)
    shutil.move(str(tmp_path / "backup"), own.data)
    own._own(own.root)
    own.start()
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit(30) == 4, daemon.log()[-3000:]
        assert "mysql_behind_checkpoint" in daemon.log() or "mysql_log_reset" in daemon.log(), daemon.log()[-3000:]


def replicate(replica, primary):
    if replica.is_mariadb:
        replica.sql([f"change master to master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'root', master_use_gtid = slave_pos",
                     "start slave"], database=None)
    else:
        replica.sql([f"change replication source to source_host = '127.0.0.1', source_port = {primary.port}, source_user = 'root', "
                     "source_auto_position = 1, get_source_public_key = 1", "start replica"], database=None)


def caught_up(replica, primary):
    goal = primary.value("select @@gtid_binlog_pos" if primary.is_mariadb else "select @@gtid_executed")
    if replica.is_mariadb:
        assert replica.value("select master_gtid_wait(%s, 30)", (goal,), database=None) == 0
    else:
        assert replica.value("select wait_for_executed_gtid_set(%s, 30)", (goal,), database=None) == 0


def test_a_failover_to_a_replica_by_gtid(tmp_path):
    for flavour in FLAVOURS:
        with start_mysql(flavour) as primary:
            more = {"log_slave_updates": "ON"} if flavour == "mariadb" else {}
            with start_mysql(flavour, settings={"server_id": "2", **more}) as replica:
                replica.sql(["set sql_log_bin = 0", "drop database public"], database=None)  # it has no history of its own
                primary.sql(["drop database if exists public", "create database public"], database=None)
                replicate(replica, primary)
                primary.sql("create table t (id int primary key, note varchar(100))")
                with LiveCopy(tmp_path / flavour, primary) as live:
                    for number in range(10):
                        primary.sql("insert into t values (%s, 'on the first')", (number,))
                    live.settle()
                    live.daemon.kill()
                    primary.sql("insert into t values (100, 'not read yet')")
                    caught_up(replica, primary)
                    primary.stop("immediate")
                    replica.sql("stop slave" if flavour == "mariadb" else "stop replica", database=None)
                    replica.sql("insert into t values (200, 'on the second')")
                    text = live.pipeline.files[0].read_text()
                    live.pipeline.files[0].write_text(text.replace(f":{primary.port}/", f":{replica.port}/"))
                    live.pipeline.server = live.server = replica
                    live.start()
                    live.settle()
                    live.wait_equal("t")
                    assert [r["key"]["id"] for r in live.records("t")] == [*range(10), 100, 200]
                    live.ids_are_unique()


def test_gaps_that_are_passed_by_a_new_copy(own, tmp_path):
    own.sql(["create table t (id int primary key, note varchar(100))", "insert into t values (1, 'x'), (2, 'x'), (3, 'x')"])
    with LiveCopy(tmp_path, own, source_options={"on_gap": "resnapshot"}) as live:
        live.settle()
        for number, lose in enumerate((purge, reset), 10):
            epoch = live.daemon.source()["epoch"]
            live.stop()
            own.sql(["delete from t where id = 1", f"update t set note = 'inside gap {number}' where id = 2"])
            lose(own)
            live.start()
            live.wait_equal("t", timeout=60)
            own.sql(f"insert into t values ({number * 100}, 'behind the gap')")
            live.settle()
            live.wait_equal("t")
            assert live.daemon.source()["epoch"] > epoch
        live.ids_are_unique()


def test_a_step_of_gtid_mode_is_a_named_state(tmp_path):
    with start_mysql("mysql") as server:
        pipeline = begun(tmp_path, server)
        for step in ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"):
            server.sql(f"set global gtid_mode = {step}")
        with pipeline.start() as daemon:
            status = daemon.wait_state("needs_operator")
            assert status["code"] == "mysql_gtid_mode" and "SET GLOBAL gtid_mode" in status["message"], status
            for step in ("OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"):
                server.sql(f"set global gtid_mode = {step}")
            server.sql("insert into t values (500, 'with a GTID again')")
            daemon.wait_state("streaming", timeout=60)
            wait_until("the row", lambda: any((r.get("after") or {}).get("id") == 500 for r in pipeline.topic()))


def test_headroom_is_exported(own, tmp_path):
    """How far our place is from the oldest of the log that is still there, in bytes and seconds."""
    own.sql("create table t (id int primary key)")
    with LiveCopy(tmp_path, own) as live:
        live.settle()
        wait_until("the gauges", lambda: all(f"{name}{{" in live.daemon.get("/metrics") for name in (
            "tailwater_source_headroom_bytes", "tailwater_source_lag_bytes")))
