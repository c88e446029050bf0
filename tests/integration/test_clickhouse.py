"""The clickhouse sink on the two servers that tests/servers/clickhouse.py describes: FINAL equals the source, whatever is killed, lost, altered or
brought again."""
import json
import os
import random
import signal
import threading
import time

import pytest

from tests.servers import clickhouse as servers
from tests.support.clickhouse_copy import (assert_equals_source, letters, new_database, query, run_workload, sink, target_rows, wait_copied,
                                           wait_for_rows, wait_for_sink)
from tests.support.daemon import Pipeline, wait_until
from tests.support.search_proxy import SearchProxy
from tests.support.workload import SCHEMA, TABLES, as_multiset

SNAPSHOT_ROWS = int(os.environ.get("TW_CLICKHOUSE_ROWS", "1000000"))


@pytest.fixture
def server(emptied_server):
    return emptied_server


@pytest.fixture(scope="module", params=servers.FLAVOURS)
def either(request):
    """Each of the two servers."""
    try:
        servers.fetch(request.param)
    except Exception as error:
        pytest.skip(f"ClickHouse ({request.param}) cannot be had: {error}")
    with servers.ClickHouseServer(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def clickhouse():
    """The engine of today."""
    try:
        servers.fetch()
    except Exception as error:
        pytest.skip(f"ClickHouse cannot be had: {error}")
    with servers.ClickHouseServer() as running:
        yield running


def one_table(server, tmp_path, sinks, table="create table orders (id int primary key, note text)"):
    server.sql(table)
    return Pipeline(tmp_path, server, ["public.orders"], sinks=sinks)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_history_arrives_whole(server, either, tmp_path, seed):
    server.sql(SCHEMA)
    database = new_database(either)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={"warehouse": sink(either, database)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        run_workload(server, seed, 250)
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert_equals_source(either, database, server)


def test_the_server_is_killed_in_mid_insert(server, either, tmp_path):
    server.sql(SCHEMA)
    database = new_database(either)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={"warehouse": sink(either, database)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")

        def during(step):
            if step in (40, 90, 140):
                server.sql("insert into events select g, 'many' from generate_series(%s, %s) g", (step * 1_000_000, step * 1_000_000 + 20_000))
                either.kill()
            if step in (55, 105, 155):
                wait_for_sink(daemon, "retrying", "http_connect_failed")
                either.start()
        run_workload(server, 3, 170, during)
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert_equals_source(either, database, server)


def test_the_daemon_is_killed(server, either, tmp_path):
    server.sql(SCHEMA)
    database = new_database(either)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={"warehouse": sink(either, database)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
    chance, stopping, kills = random.Random(5), threading.Event(), []

    def kill_again_and_again():
        while not stopping.is_set():
            with pipeline.start() as daemon:
                try:
                    daemon.wait_state("streaming")
                except AssertionError:
                    pass
                stopping.wait(chance.uniform(0.05, 0.6))
                daemon.process.send_signal(signal.SIGKILL)
                daemon.process.wait()
                kills.append(time.monotonic())

    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    try:
        run_workload(server, 4, 500)
        many = len(kills) + 2  # some while only the sink has something to do
        wait_until("some kills more", lambda: len(kills) >= many)
    finally:
        stopping.set()
        killer.join()
    pipeline.catch_up()
    assert_equals_source(either, database, server)


def test_a_server_that_hangs_and_does_it_later_changes_nothing(server, either, tmp_path):
    """Requests that timed out here are carried out when the server goes on, behind newer ones."""
    database = new_database(either)
    pipeline = one_table(server, tmp_path, {"warehouse": sink(either, database, ["public.orders"], timeouts={"connect": "1s", "request": "1s"})})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into orders select g, 'a' from generate_series(1, 2000) g")
        wait_until("the rows", lambda: len(target_rows(either, f"{database}.orders", ["id"])) == 2000)
        for round_ in range(3):
            either.pause()
            try:
                server.sql("update orders set note = %s where id %% 2 = 0; delete from orders where id %% 7 = %s", (f"round {round_}", round_))
                wait_for_sink(daemon, "retrying", "http_timeout")
                server.sql("update orders set note = 'newer' where id %% 4 = %s", (round_,))
            finally:
                either.resume()
            server.sql("insert into orders select g, 'again' from generate_series(1, 2000) g on conflict do nothing")
            wait_until("the sink to go on", lambda: daemon.sink("warehouse")["state"] == "running")
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert target_rows(either, f"{database}.orders", ["id", "note"]) == as_multiset(server.sql("select id, note from orders"))


def test_answers_are_lost_and_refused(server, clickhouse, tmp_path):
    server.sql(SCHEMA)
    database, chance = new_database(clickhouse), random.Random(7)
    # "Too many parts" is waited out for 5 s: once.
    fates = 3 * ["reset", "cut", (503, "try later"), (500, "Code: 241. DB::Exception: Memory limit exceeded"),
                 (500, "Code: 319. DB::Exception: Unknown status")] + [(500, "Code: 252. DB::Exception: Too many parts (3000).")]
    chance.shuffle(fates)

    def meddle(proxy, number, method, path):
        if "INSERT" not in path:
            return None
        return fates.pop() if fates and chance.random() < 0.4 else None

    with SearchProxy(clickhouse, meddle) as proxy:
        pipeline = Pipeline(tmp_path, server, TABLES, sinks={"warehouse": {**sink(clickhouse, database, compression="zstd"), "url": proxy.url}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            run_workload(server, 4, 250)

            def all_happened():
                if fates and daemon.sink("warehouse").get("lag_records") == 0:
                    server.sql("insert into events (id, kind) select coalesce(max(id), 0) + 1, 'again' from events")
                return not fates
            wait_until("all that can happen to an insert", all_happened)
            assert daemon.stop() == 0
        pipeline.catch_up(300)
        assert proxy.compressed > 0
    assert_equals_source(clickhouse, database, server)


def test_an_insert_whose_answer_is_lost_is_the_same_insert_again(server, clickhouse, tmp_path):
    """Before any merge there is one row per change: what hangs on the table (a materialized view) sees it once."""
    database, lost = new_database(clickhouse), []

    def meddle(proxy, number, method, path):
        if "INSERT" in path and "orders" in path and len(lost) < 3:
            lost.append(number)
            return "reset"
        return None

    with SearchProxy(clickhouse, meddle) as proxy:
        pipeline = one_table(server, tmp_path, {"warehouse": {**sink(clickhouse, database, ["public.orders"], mode="changelog"), "url": proxy.url}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_copied(daemon)
            for number in range(1, 100):
                server.sql("insert into orders values (%s, 'a')", (number,))
            wait_until("the rows", lambda: "orders" in clickhouse.tables(database) and
                       clickhouse.value(f"select uniqExact(id) from {database}.orders") == "99")
        assert len(lost) == 3
    rows, changes = clickhouse.rows(f"select count(), uniqExact(_id) from {database}.orders")[0]
    assert rows == changes


def test_all_of_the_topic_again_leaves_the_tables_equal(server, either, tmp_path):
    """Beside new changes, by a second sink into the same tables and by a rewind."""
    server.sql(SCHEMA)
    database = new_database(either)
    sinks = {"warehouse": sink(either, database)}
    pipeline = Pipeline(tmp_path, server, TABLES, sinks=sinks)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        run_workload(server, 5, 150)
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert_equals_source(either, database, server)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={**sinks, "again": sinks["warehouse"]})

    def during(step):
        if step == 20:
            rewound = pipeline.command("sinks", "rewind", "warehouse", "--to", "beginning", "--yes", "--server", daemon.url)
            assert rewound.returncode == 0, rewound.stderr

    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        run_workload(server, 6, 60, during)
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert_equals_source(either, database, server)


def test_a_rewind_fills_a_table_that_was_emptied_by_hand(server, clickhouse, tmp_path):
    """The inserts are the same as the first time; no token of theirs may drop them."""
    database = new_database(clickhouse)
    pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"])})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_copied(daemon)  # or its rows come behind the delete
        server.sql("insert into orders select g, 'a' from generate_series(1, 100) g")
        wait_until("the rows", lambda: len(target_rows(clickhouse, f"{database}.orders", ["id"])) == 100)
        clickhouse.execute(f"alter table {database}.orders delete where 1 settings mutations_sync = 2")
        assert target_rows(clickhouse, f"{database}.orders", ["id"]) == {}
        assert pipeline.command("sinks", "rewind", "warehouse", "--to", "beginning", "--yes", "--server", daemon.url).returncode == 0
        wait_until("the rows again", lambda: len(target_rows(clickhouse, f"{database}.orders", ["id"])) == 100)


def test_truncates_and_copies_again_leave_no_row_behind(server, either, tmp_path):
    database = new_database(either)
    pipeline = one_table(server, tmp_path, {"warehouse": sink(either, database, ["public.orders"])})
    place = f"{database}.orders"
    server.sql("insert into orders select g, 'before' from generate_series(1, 500) g")
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the copy", lambda: len(target_rows(either, place, ["id"])) == 500)
        server.sql("truncate orders; insert into orders values (1, 'after'), (501, 'after')")
        wait_for_rows(either, place, [(1, "after"), (501, "after")])
        # What the source loses without a word in its log is found by a copy.
        either.execute(f"insert into {place} (id, note, _version, _deleted) values (9999, 'ghost', 1, 0)")
        assert len(target_rows(either, place, ["id"])) == 3
        assert pipeline.command("sources", "snapshot", "shop", "public.orders", "--server", daemon.url).returncode == 0
        wait_for_rows(either, place, [(1, "after"), (501, "after")])


def test_columns_change_in_mid_stream(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"])},
                         "create table orders (id int primary key, note text, amount int)")
    place = f"{database}.orders"

    def equal(columns):
        wanted = as_multiset(server.sql(f"select {', '.join(map(server.as_text, columns))} from orders"))

        def arrived():
            there = {name for name, in clickhouse.rows(f"select name from system.columns where database = '{database}' and table = 'orders'")}
            return there.issuperset(columns) and target_rows(clickhouse, place, columns) == wanted
        wait_until("the rows", arrived, 40)

    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into orders select g, 'a', g from generate_series(1, 300) g")
        server.sql("alter table orders add due date")
        server.sql("insert into orders select g, 'b', g, '2024-02-29' from generate_series(301, 600) g; update orders set due = '1999-12-31' where id < 10")
        equal(["id", "note", "amount", "due"])
        server.sql("alter table orders alter amount type bigint; insert into orders values (601, 'c', 9000000000, null)")
        server.sql("alter table orders alter id type bigint; insert into orders values (9000000001, 'd', 1, null)")
        server.sql("alter table orders alter amount type numeric(30,4); insert into orders values (602, 'e', 1.5, null)")
        server.sql("update orders set amount = amount")  # the source rewrote them without a word in its log
        equal(["id", "note", "amount", "due"])
        server.sql("alter table orders drop due; insert into orders values (603, 'f', 2); alter table orders add due date; insert into orders values (604, 'g', 3, '2024-01-01')")
        equal(["id", "note", "amount", "due"])
        server.sql("alter table orders rename note to remark; insert into orders values (605, 'h', 4, null); update orders set remark = remark")
        equal(["id", "remark", "amount", "due"])
        # Nothing of this one is guessed; other tables would go on.
        server.sql("alter table orders alter due type text using 'day ' || due; insert into orders values (606, 'i', 5, 'never')")
        wait_until("the table to stop", lambda: daemon.sink("warehouse")["parked_stored"] > 0)
        clickhouse.execute(f"alter table {place} drop column due")
        assert pipeline.command("dead-letters", "replay", "warehouse", "--state", "parked", "--all", "--server", daemon.url).returncode == 0
        wait_until("it to go on", lambda: daemon.sink("warehouse")["parked_stored"] == 0, 60)
        assert pipeline.command("sources", "snapshot", "shop", "public.orders", "--sink", "warehouse", "--server", daemon.url).returncode == 0
        equal(["id", "remark", "amount", "due"])


def test_a_million_rows_are_copied_beside_writers(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    server.sql(f"create table items (id bigint primary key, name text not null, amount numeric(12,2), at timestamptz);"
               f"insert into items select g, 'item ' || g, g / 7.0, now() from generate_series(1, {SNAPSHOT_ROWS}) g")
    pipeline = Pipeline(tmp_path, server, ["public.items"], sinks={"warehouse": sink(clickhouse, database, ["public.items"], batch={})})
    begin = time.monotonic()
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        for round_ in range(20):
            server.sql("update items set amount = amount + 1 where id %% 9973 = %s; delete from items where id %% 7919 = %s;"
                       "insert into items values (%s, 'new', 0, now())", (round_, round_, -round_ - 1))
        wait_until("the copy", lambda: daemon.source()["snapshots"]["tables_copied"] == 1, 300)
        assert daemon.stop() == 0
    pipeline.catch_up(300)
    print(f"{SNAPSHOT_ROWS} rows in {time.monotonic() - begin:.1f} s")
    digest = "select count(*), sum(id), sum(amount), min(name), max(name), sum(length(name)) from items"
    ours = query(clickhouse, f"select count(), sum(id), sum(amount), min(name), max(name), sum(length(name)) from {database}.items final")
    assert [tuple(str(value) for value in row) for row in server.sql(digest.replace("min(name), max(name)", 'min(name collate "C"), max(name collate "C")'))] == ours
    assert int(clickhouse.value(f"select count() from system.parts where database = '{database}' and table = 'items' and active")) < 100


def test_a_busy_source_makes_few_parts(server, clickhouse, tmp_path):
    database, inserts = new_database(clickhouse), []

    def meddle(proxy, number, method, path):
        if "INSERT" in path and "orders" in path:
            inserts.append(time.monotonic())
        return None

    with SearchProxy(clickhouse, meddle) as proxy:
        pipeline = one_table(server, tmp_path, {"warehouse": {**sink(clickhouse, database, ["public.orders"], batch={"interval": "1s"}), "url": proxy.url}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders values (0, 'first')")
            wait_for_rows(clickhouse, f"{database}.orders", [(0, "first")])
            begin = time.monotonic()
            while time.monotonic() < begin + 3:
                server.sql("insert into orders values ((select max(id) + 1 from orders), 'a')")
            count = server.value("select count(*) from orders")
            wait_until("the rows", lambda: len(target_rows(clickhouse, f"{database}.orders", ["id"])) == count)
    assert count > 20 and len(inserts) <= 2 + (inserts[-1] - inserts[0]) / 0.95, (count, inserts)


def test_a_changelog_holds_every_change(server, clickhouse, tmp_path):
    server.sql(SCHEMA)
    database = new_database(clickhouse)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={"warehouse": sink(clickhouse, database, list(TABLES), mode="changelog")})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        run_workload(server, 8, 200)
        rewound = pipeline.command("sinks", "rewind", "warehouse", "--to", "beginning", "--yes", "--server", daemon.url)
        assert rewound.returncode == 0, rewound.stderr
        assert daemon.stop() == 0
    pipeline.catch_up()
    wanted = {}
    for record in pipeline.topic():
        if record["op"] in ("insert", "update", "delete", "truncate", "read"):
            wanted.setdefault(record["table"].removeprefix("public."), set()).add((record["id"], record["op"], str(record["version"])))
    for table, changes in wanted.items():
        rows = clickhouse.rows(f"select _id, _op, _version from {database}.{table} final")
        assert len(rows) == len(set(rows))
        assert set(rows) == changes, table


def test_another_server_of_the_list_takes_over(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    with SearchProxy(clickhouse) as first, SearchProxy(clickhouse) as second:
        pipeline = one_table(server, tmp_path, {"warehouse": {**sink(clickhouse, database, ["public.orders"]), "url": [first.url, second.url]}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders select g, 'a' from generate_series(1, 3000) g")
            wait_until("the rows", lambda: len(target_rows(clickhouse, f"{database}.orders", ["id"])) == 3000)
            assert first.requests > 0 and second.requests == 0
            first.stop()
            server.sql("insert into orders select g, 'b' from generate_series(3001, 6000) g")
            wait_until("the rows", lambda: len(target_rows(clickhouse, f"{database}.orders", ["id"])) == 6000)
            assert daemon.log().count("another server is kept to") == 1


def test_tables_of_two_databases_share_a_target(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    server.sql("create database west")
    server.sql("create table orders (id int primary key, note text)", database="west")
    pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"], origin_column="origin")})
    document = json.loads(pipeline.files[0].read_text())
    document["sources"]["west"] = {"type": "postgres", "url": server.url("west", "postgres"), "tables": ["public.orders"]}
    pipeline.files[0].write_text(json.dumps(document))
    place = f"{database}.orders"
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        daemon.wait_state("streaming", source="west")
        server.sql("insert into orders values (1, 'east')")
        server.sql("insert into orders values (1, 'west'), (2, 'west'); delete from orders where id = 2", database="west")
        wait_for_rows(clickhouse, place, [("shop:public.orders", 1, "east"), ("west:public.orders", 1, "west")], ["origin", "id", "note"])
        server.sql("truncate orders", database="west")
        wait_for_rows(clickhouse, place, [("shop:public.orders", 1, "east")], ["origin", "id", "note"])


def test_values_that_the_type_lacks_are_dead_letters_by_name_until_it_is_widened(server, clickhouse, tmp_path):
    database = new_database(clickhouse)
    pipeline = one_table(server, tmp_path, {"warehouse": sink(clickhouse, database, ["public.orders"])},
                         "create table orders (id int primary key, due date, total numeric(6,2))")
    place = f"{database}.orders"
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_copied(daemon)
        server.sql("insert into orders values (1, '2024-01-01', 1.50), (2, 'infinity', 2.50), (3, '2024-01-03', 'NaN'), (4, '0044-03-15 BC', 4.50)")
        wait_until("the dead letters", lambda: daemon.sink("warehouse")["dead"] == 3)
        found = letters(pipeline, daemon)
        assert {letter["code"] for letter in found} == {"clickhouse_out_of_range"}
        reasons = " ".join(letter["reason"] for letter in found)
        assert "column due: a value of type date" in reasons and "column total: a value of type decimal (numeric(6,2))" in reasons
        assert "infinity" not in reasons.replace("an infinity", "") and "BC" not in reasons
        wait_for_rows(clickhouse, place, [(1, "2024-01-01", "1.50")], ["id", "due", "total"])
        clickhouse.execute(f"alter table {place} modify column due Nullable(String), modify column total Nullable(String)")
        assert pipeline.command("dead-letters", "replay", "warehouse", "--all", "--server", daemon.url).returncode == 0
        wait_until("the replay", lambda: daemon.sink("warehouse")["dead_stored"] == 0)
        assert len(target_rows(clickhouse, place, ["id"])) == 4
        assert clickhouse.value(f"select due from {place} final where id = 2") == "infinity"
