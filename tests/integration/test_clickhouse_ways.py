"""The clickhouse sink behind other sources and topics than a Postgres and a local one, beside clocks that are wrong, and in its pauses."""
import json
import pathlib
import time

import pytest

from tests.integration.test_mysql_types import World, unfriendly
from tests.integration.test_types import shown
from tests.servers import clickhouse as servers
from tests.support.clickhouse_copy import (assert_equals_source, new_database, query, sink, target_rows, wait_copied, wait_for_rows)
from tests.support.daemon import Pipeline, wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.workload import SCHEMA, Workload, as_multiset

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def server(emptied_server):
    return emptied_server


@pytest.fixture(scope="module")
def clickhouse():
    try:
        servers.fetch()
    except Exception as error:
        pytest.skip(f"ClickHouse cannot be had: {error}")
    with servers.ClickHouseServer() as running:
        yield running


def needs_text(case):
    """Dates and times that no type of ClickHouse has: an operator makes such a column of text."""
    return case.type.split("(")[0].split()[0] in ("date", "datetime", "timestamp") and any(
        part in case.literal for part in ("0000-", "-00", "1000-", "9999-"))


def expected_of(world, case, type_):
    value = world.values[case.column]
    if case.type == "json":
        return world.texts[case.column]
    if isinstance(value, str) and value.startswith("\\x") and "text" not in case.type:
        return bytes.fromhex(value[2:]).decode("utf-8", "surrogateescape")
    if "DateTime64" in type_:
        whole, _, fraction = value.replace("T", " ").removesuffix("Z").partition(".")
        return f"{whole}.{fraction:0<6}"
    if case.type.startswith("datetime"):
        return value.replace("T", " ")
    return value if isinstance(value, (float, list)) else str(value)


def test_every_type_of_mysql(mysql, clickhouse, tmp_path):
    with unfriendly(mysql):
        world, database = World(mysql), new_database(clickhouse)
        tables = [{"match": f"public.{table}", "columns": {"types": {case.column: "Nullable(String)" for case in cases if needs_text(case)}}}
                  for table, cases in world.tables]
        pipeline = Pipeline(tmp_path, mysql, [f"public.{table}" for table, _ in world.tables], sinks={"warehouse": sink(clickhouse, database, tables)})

        def marks():
            names = clickhouse.tables(database)
            return [clickhouse.rows(f"select mark from {database}.{table} final where id = 3") for table, _ in world.tables if table in names]

        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copied rows", lambda: daemon.source()["snapshots"]["tables_copied"] == len(world.tables))
            world.write()
            wait_until("the rows", lambda: daemon.sink("warehouse")["dead_stored"] > 0 or marks() == [[("1",)]] * len(world.tables), 60)
            assert daemon.sink("warehouse")["dead_stored"] == 0, pipeline.command("dead-letters", "list", "warehouse", "--server", daemon.url).stdout
            assert daemon.stop() == 0
        wrong = []
        for table, cases in world.tables:
            types = dict(clickhouse.rows(f"select name, type from system.columns where database = '{database}' and table = '{table}'"))
            rows = query(clickhouse, f"select id, {', '.join(case.column for case in cases)} from {database}.{table} final order by id")
            assert [row[0] for row in rows] == ["1", "2", "3"]
            for row in rows:
                for case, value in zip(cases, row[1:]):
                    expected = expected_of(world, case, types[case.column])
                    if isinstance(expected, float):
                        value = float(value)
                    elif isinstance(expected, list):
                        value = json.loads(value)
                    if value != expected:
                        wrong.append(f"{table} {row[0]}: {case} in {types[case.column]}: {shown(value)} instead of {shown(expected)}")
        assert wrong == [], f"{len(wrong)} wrong\n" + "\n".join(wrong[:40])
        assert types_of(world, clickhouse, database, "decimal(65,30)") == {"Nullable(Decimal(65, 30))"}
        assert types_of(world, clickhouse, database, "bigint unsigned") == {"Nullable(UInt64)"}


def types_of(world, clickhouse, database, type_):
    found = set()
    for table, cases in world.tables:
        for case in cases:
            if case.type == type_:
                found.add(clickhouse.value(f"select type from system.columns where database = '{database}' and table = '{table}' and name = '{case.column}'"))
    return found


def test_partitions_go_to_another_process(server, kafka, clickhouse, tmp_path):
    """Two processes share the sink's partitions; one is killed with what it had in hand, and comes back."""
    server.sql(SCHEMA)
    database = new_database(clickhouse)
    keyed = ["public.accounts", "public.seats", "public.settings", "public.events"]
    pipeline = KafkaPipeline(tmp_path, server, kafka, keyed, topic={"partitions": 4}, sinks={"warehouse": sink(clickhouse, database)})
    connection = server.connect()
    workload = Workload(connection, 11, large=800)

    def work(steps):
        for _ in range(steps):
            workload.step()

    with pipeline.start("--only", "capture") as capture:
        capture.wait_state("streaming")
        delivering = [pipeline.start("--only", "deliver", "--instance", name) for name in ("two", "three")]
        try:
            for process in delivering:
                wait_until("its share", lambda: process.answers() and process.sink("warehouse")["state"] == "running", 40)
            work(40)
            delivering[0].kill()
            work(30)
            delivering.append(pipeline.start("--only", "deliver", "--instance", "two"))
            work(30)
        finally:
            for process in delivering:
                process.kill()
        assert capture.stop() == 0
    connection.close()
    pipeline.catch_up()
    assert_equals_source(clickhouse, database, server)


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs Debian's libfaketime (deploy/install-deps.sh --tests)")
def test_clocks_far_apart_change_nothing(server, clickhouse, tmp_path):
    """A daemon whose clock is 20 years back, then 20 ahead, then right: versions decide, and the time of a change is the source's."""
    server.sql("create table orders (id int primary key, note text)")
    database, history = new_database(clickhouse), new_database(clickhouse)
    pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={
        "warehouse": sink(clickhouse, database, ["public.orders"]), "history": sink(clickhouse, history, ["public.orders"], mode="changelog")})
    server.sql("insert into orders select g, 'copied' from generate_series(1, 50) g")
    for round_, shift in enumerate(("-20y", "+20y", "+0")):
        with pipeline.start(LD_PRELOAD=str(FAKETIME), FAKETIME=shift, FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1") as daemon:
            daemon.wait_state("streaming")
            wait_copied(daemon)
            server.sql("update orders set note = %s where id %% 3 <> 0; delete from orders where id %% 10 = %s; insert into orders values (%s, 'new')",
                       (f"round {round_}", round_, 100 + round_))
            wait_for_rows(clickhouse, f"{database}.orders", server.sql("select id, note from orders"))
            assert daemon.sink("warehouse")["dead_stored"] == 0
            assert daemon.stop() == 0
            year = time.gmtime().tm_year + (-20, 20, 0)[round_]
            assert f"{year}-" in daemon.log() or f"{year + (-1 if round_ == 0 else 1)}-" in daemon.log(), daemon.log()[:300]
    pipeline.catch_up()
    assert target_rows(clickhouse, f"{database}.orders", ["id", "note"]) == as_multiset(server.sql("select id, note from orders"))
    # All of it was committed within the last minutes, by the clock of the source.
    earliest, latest, changes = clickhouse.rows(f"select toUnixTimestamp64Micro(min(_time)), toUnixTimestamp64Micro(max(_time)), count() from "
                                                f"{history}.orders final where _op in ('insert', 'update', 'delete')")[0]
    now = int(server.value("select extract(epoch from now())::bigint"))
    assert int(changes) > 50
    assert now - 600 < int(earliest) / 1e6 <= int(latest) / 1e6 <= now + 1, (earliest, latest, now)


def test_a_batch_that_waits_for_its_interval_holds_up_nothing(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    server.sql("create table orders (id int primary key, note text)")
    pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={"warehouse": sink(clickhouse, database, ["public.orders"], batch={"interval": "2s"})})
    place, numbers = f"{database}.orders", iter(range(1000))

    def timed(what):
        begin = time.monotonic()
        answer = what()
        assert time.monotonic() - begin < 2 + 6  # the interval, and what a busy machine needs for a process
        return answer

    def two_batches():
        """The second one waits when this returns."""
        first = next(numbers)
        server.sql("insert into orders values (%s, 'a')", (first,))
        wait_until("the first", lambda: (str(first), "a") in [row[:2] for row in query(clickhouse, f"select id, note from {place} final")] if "orders" in clickhouse.tables(database) else False)
        server.sql("insert into orders values (%s, 'b')", (next(numbers),))
        wait_until("the second to wait", lambda: daemon.sink("warehouse").get("call_seconds") is not None or daemon.sink("warehouse")["lag_records"] == 0)

    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_copied(daemon)
        two_batches()
        assert timed(lambda: pipeline.command("sinks", "pause", "warehouse", "--server", daemon.url)).returncode == 0
        assert daemon.sink("warehouse")["state"] in ("paused", "running")
        assert pipeline.command("sinks", "resume", "warehouse", "--server", daemon.url).returncode == 0
        server.sql("truncate orders")  # a sweep has its place behind what waits
        two_batches()
        assert daemon.ready()
        assert timed(daemon.stop) == 0
    pipeline.catch_up()
    assert target_rows(clickhouse, place, ["id", "note"]) == as_multiset(server.sql("select id, note from orders"))
