"""What is wrong with a ClickHouse target is said with its remedy, nothing is lost meanwhile, and it goes on once that was done."""
import os
import subprocess

import pytest

from tests.integration.test_tls import make_certificate
from tests.servers import clickhouse as servers
from tests.support.clickhouse_copy import new_database, sink, target_rows, try_at_once, wait_for_rows, wait_for_sink
from tests.support.daemon import Pipeline, wait_until
from tests.support.search_proxy import SearchProxy


def start(flavour=servers.DEFAULT_FLAVOUR, **more):
    try:
        servers.fetch(flavour)
    except Exception as error:
        pytest.skip(f"ClickHouse ({flavour}) cannot be had: {error}")
    return servers.ClickHouseServer(flavour, **more)


@pytest.fixture
def server(emptied_server):
    return emptied_server


@pytest.fixture(scope="module")
def clickhouse():
    with start() as running:
        yield running


def one_table(server, tmp_path, sinks, table="create table orders (id int primary key, note text)"):
    server.sql(table)
    return Pipeline(tmp_path, server, ["public.orders"], sinks=sinks)


def test_a_missing_database_is_waited_for(server, clickhouse, tmp_path):
    pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, "not_yet", ["public.orders"])})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into orders values (1, 'a')")
        message = wait_for_sink(daemon, "waiting_operator", "clickhouse_database_missing")["message"]
        clickhouse.execute(message[message.index("CREATE DATABASE"):])  # as it says; it goes on by itself
        wait_for_rows(clickhouse, "not_yet.orders", [(1, "a")])


def test_a_page_in_place_of_an_answer_is_waited_out(server, clickhouse, tmp_path):
    """Of queries, too, whose columns somebody else does not know."""
    database, astray = new_database(clickhouse), []
    with SearchProxy(clickhouse, lambda *request: (200, {"status": "all well"}) if astray else None) as proxy:
        pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"], url=proxy.url)})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink to run", lambda: daemon.sink("warehouse")["state"] == "running")
            astray.append("here")
            server.sql("insert into orders values (1, 'a')")
            wait_for_sink(daemon, "retrying", "clickhouse_answer_unknown")
            astray.clear()
            wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])


def test_a_table_with_another_engine_or_order_key_is_told_at_start(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    server.sql("create table others (id int primary key, note text)")
    clickhouse.execute(f"create table {database}.orders (id Int64, note Nullable(String)) engine = MergeTree order by note settings allow_nullable_key = 1")
    clickhouse.execute(f"create table {database}.others (id Int64, note Nullable(String), _version UInt64, _deleted UInt8) "
                       "engine = ReplacingMergeTree(_version, _deleted) order by _version")
    server.sql("create table orders (id int primary key, note text)")
    tables = ["public.orders", "public.others"]
    pipeline = Pipeline(tmp_path, server, tables, sinks={"warehouse": sink(clickhouse, database, tables)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into orders values (1, 'a')")
        message = wait_for_sink(daemon, "waiting_operator", "clickhouse_table_unfit")["message"]
        # All differences of all tables, with what to run.
        for part in ("`orders`: (1) its engine is MergeTree", "ADD COLUMN `_version` UInt64, ADD COLUMN `_deleted` UInt8",
                     "`others`: (1) it is sorted by (_version)"):
            assert part in message, message
        clickhouse.execute(f"drop table {database}.orders")
        try_at_once(pipeline, daemon)
        wait_until("the other table alone", lambda: daemon.sink("warehouse").get("message", message).find("`orders`") < 0)
        assert "`others`: (1)" in wait_for_sink(daemon, "waiting_operator", "clickhouse_table_unfit")["message"]
        clickhouse.execute(f"drop table {database}.others")
        try_at_once(pipeline, daemon)
        wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])


def test_a_table_that_does_not_fit_stops_alone(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    clickhouse.execute(f"create table {database}.others (id Int64, note Int8, _version UInt64, _deleted UInt8) "
                       "engine = ReplacingMergeTree(_version, _deleted) order by (id, note)")
    server.sql("create table others (id int primary key, note text, extra int)")
    server.sql("create table orders (id int primary key, note text)")
    pipeline = Pipeline(tmp_path, server, ["public.orders", "public.others"],
                        sinks={"warehouse": sink(clickhouse, database, ["public.orders", "public.others"])})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into others values (1, 'x', 2); insert into orders values (1, 'a')")
        wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])
        wait_until("the other table to be parked", lambda: daemon.sink("warehouse")["parked_stored"] > 0)
        listed = pipeline.command("dead-letters", "list", "warehouse", "--server", daemon.url, "-o", "json").stdout
        for part in ("sorted by (id, note)", "column note is Int8", "ADD COLUMN `extra` Nullable(Int64)"):
            assert part in listed, listed
        clickhouse.execute(f"drop table {database}.others")
        wait_for_rows(clickhouse, f"{database}.others", [(1, "x", 2)], ["id", "note", "extra"])


def test_users_passwords_and_certificates_are_checked_and_heal(server, tmp_path):
    """On the real server, which has users and TLS of its own."""
    make_certificate(tmp_path, "server")
    make_certificate(tmp_path, "other")
    password, authority = tmp_path / "password", tmp_path / "ca.crt"
    password.write_text("wrong\n")
    authority.write_bytes((tmp_path / "other.crt").read_bytes())
    with start("server_18_16", users={"tailwater": "right"}, tls=(tmp_path / "server.crt", tmp_path / "server.key")) as clickhouse:
        database = new_database(clickhouse)
        pipeline = one_table(server, tmp_path / "p", {"warehouse": {
            **sink(clickhouse, database, ["public.orders"]), "ca_file": str(authority), "username": "tailwater", "password": "${file:%s}" % password}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders values (1, 'a')")
            assert clickhouse.url.removeprefix("https://") in wait_for_sink(daemon, "waiting_operator", "http_tls_failed")["message"]
            authority.write_bytes((tmp_path / "server.crt").read_bytes())
            try_at_once(pipeline, daemon)
            now = wait_for_sink(daemon, "waiting_operator", "clickhouse_credentials_refused")
            assert "`password`" in now["message"] and "wrong" not in now["message"]
            password.write_text("right\n")
            try_at_once(pipeline, daemon)
            wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])
            assert "right" not in daemon.log()


def test_a_user_who_may_not_write_is_waited_for(server, tmp_path):
    with start("server_18_16") as clickhouse:
        database = new_database(clickhouse)
        pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"])})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders values (1, 'a')")
            wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])
            clickhouse.kill()  # it takes its time to stop
            clickhouse.settings = "<readonly>1</readonly>"
            clickhouse.start()
            server.sql("insert into orders values (2, 'b')")
            assert "readonly" in wait_for_sink(daemon, "waiting_operator", "clickhouse_read_only")["message"]
            clickhouse.kill()  # it takes its time to stop
            clickhouse.settings = ""
            clickhouse.start()
            try_at_once(pipeline, daemon)
            wait_for_rows(clickhouse, f"{database}.orders", [(1, "a"), (2, "b")])


def test_missing_grants_are_named(server, clickhouse, tmp_path):
    """chdb has no users: a proxy in front of it answers as a server does."""
    database, granted = new_database(clickhouse), []

    def meddle(proxy, number, method, path):
        if "INSERT" in path and not granted:
            return (403, "Code: 497. DB::Exception: tailwater: Not enough privileges. To execute this query, it's necessary to have the grant "
                         "INSERT(id) ON x.orders. (ACCESS_DENIED) (version 26.9.1)")
        return None

    with SearchProxy(clickhouse, meddle) as proxy:
        pipeline = one_table(server, tmp_path, {"warehouse": {**sink(clickhouse, database, ["public.orders"]), "url": proxy.url}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders values (1, 'a')")
            assert "GRANT SELECT, INSERT" in wait_for_sink(daemon, "waiting_operator", "clickhouse_permission_missing")["message"]
            granted.append(True)
            try_at_once(pipeline, daemon)
            wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")
@pytest.mark.parametrize("flavour", servers.FLAVOURS)
def test_a_full_disk_is_waited_for(server, tmp_path, flavour):
    with start(flavour) as clickhouse:
        clickhouse.stop()
        small = os.path.join(clickhouse.root, "data")
        subprocess.run(["cp", "-a", small, small + ".whole"], check=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], capture_output=True).returncode != 0:
            pytest.skip("a tmpfs cannot be mounted here")
        try:
            subprocess.run(f"cp -a {small}.whole/. {small}/", shell=True, check=True)
            clickhouse.start()
            database = new_database(clickhouse)
            pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"])})
            with pipeline.start() as daemon:
                daemon.wait_state("streaming")
                server.sql("insert into orders values (1, 'a')")
                wait_for_rows(clickhouse, f"{database}.orders", [(1, "a")])
                free = os.statvfs(small)
                with open(os.path.join(small, "filler"), "wb") as filler:
                    filler.write(bytes(max(free.f_bavail * free.f_frsize - 65536, 0)))
                server.sql("insert into orders select g, md5(g::text) || md5((g + 1)::text) from generate_series(2, 30000) g")
                message = wait_for_sink(daemon, "waiting_operator", "clickhouse_disk_full", timeout=60)["message"]
                assert "make room" in message
                os.unlink(os.path.join(small, "filler"))
                try_at_once(pipeline, daemon)
                wait_until("all rows", lambda: len(target_rows(clickhouse, f"{database}.orders", ["id"])) == 30000, 60)
        finally:
            clickhouse.kill()
            subprocess.run(["umount", "-l", small], check=True)


def test_a_table_without_a_key_is_refused_by_name(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"], halt_after=1)},
                         "create table orders (id int, note text); alter table orders replica identity full")
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into orders values (1, 'a'), (2, 'b')")
        now = wait_for_sink(daemon, "waiting_operator", "clickhouse_key_missing")
        assert "public.orders has no key" in now["message"] and "changelog" in now["message"]
