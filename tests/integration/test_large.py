"""Large and awkward: huge transactions, many tables, many columns, values of 40 MB, odd names, savepoints, prepared transactions."""
import os
import time

import pytest

from tests.conftest import start_server
from tests.support.daemon import Pipeline, wait_until
from tests.support.table_copy import assert_equal, has_table, reads


def peak_megabytes(process):
    with open(f"/proc/{process.pid}/status") as status:
        return max(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def test_a_transaction_of_many_rows_killed_twice_in_constant_memory(server, tmp_path):
    """Rows by TW_KILLED_ROWS: two million."""
    rows = int(os.environ.get("TW_KILLED_ROWS", "2000000"))
    server.sql("create table big (id bigint primary key, price numeric(12,2), name text)")
    pipeline = Pipeline(tmp_path, server, ["public.big"], sinks={"nowhere": {"type": "blackhole"}})
    pipeline.catch_up()
    server.sql("insert into big select g, g / 100.0, 'row ' || g from generate_series(1, %s) g", (rows,))
    written = server.value("select pg_current_wal_lsn()")
    began, peaks = time.monotonic(), []
    for part in (0.2, 0.6):
        with pipeline.start() as daemon:
            wait_until(f"{part:.0%} of the rows", lambda: daemon.answers() and
                       (daemon.source().get("in_progress") or {"published_events": 0})["published_events"] > part * rows, 400)
            peaks.append(peak_megabytes(daemon.process))
    with pipeline.start() as daemon:
        wait_until("the end", lambda: daemon.answers() and server.sql(
            "select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (written,)), 400)
        wait_until("the sink", lambda: daemon.sink("nowhere").get("lag_records") == 0, 100)
        peaks.append(peak_megabytes(daemon.process))
        metrics = daemon.get("/metrics")
    print(f"{rows} rows, two kills, {time.monotonic() - began:.0f} s, peaks {peaks} MB")
    assert max(peaks) < 128
    stored = next(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("tailwater_topic_records{"))
    assert rows <= stored < rows * 1.01  # each once, and control records


def test_a_thousand_tables(server, tmp_path):
    server.sql("do $$ begin for n in 1..1000 loop execute format('create table t%s (id int primary key, v text)', n); "
               "execute format('insert into t%s select g, %L from generate_series(1, 20) g', n, n); end loop; end $$")
    pipeline = Pipeline(tmp_path, server, ["public.*"])
    began = time.monotonic()
    with pipeline.start() as daemon:
        wait_until("all copies", lambda: daemon.answers() and daemon.source()["state"] == "streaming" and
                   daemon.source()["snapshots"].get("tables_copied") == 1000, 240)
        copied = time.monotonic() - began
        server.sql("do $$ begin for n in 1..1000 loop execute format('insert into t%s values (100, %L)', n, n); end loop; end $$")
        wait_until("the copy", lambda: has_table(pipeline, "t1000") and pipeline.copy("select count(*) from t1000") == [(21,)], 120)
        peak = peak_megabytes(daemon.process)
    print(f"1000 tables copied in {copied:.0f} s, peak {peak} MB")
    pipeline.catch_up()
    for n in (1, 500, 1000):
        assert_equal(pipeline, f"t{n}", ["id", "v"])
    assert peak < 256


def test_sixteen_hundred_columns(server, tmp_path):
    columns = ", ".join(f"c{n} int" for n in range(1, 1600))
    server.sql(f"create table wide (id int primary key, {columns}); insert into wide (id, c1, c1599) select g, g, -g from generate_series(1, 200) g")
    pipeline = Pipeline(tmp_path, server, ["public.wide"])
    pipeline.catch_up()
    server.sql("update wide set c800 = 8 where id = 7; insert into wide (id, c2) values (1000, 2)")
    pipeline.catch_up()
    assert_equal(pipeline, "wide", ["id", "c1", "c2", "c800", "c1599"])


def test_savepoints_subtransactions_and_prepared_transactions(server, tmp_path):
    server.sql("create table t (id int primary key, v text)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        statements = ["begin"]
        for n in range(200):  # more than the 64 subtransactions that a backend keeps at hand
            statements += [f"savepoint s{n}", f"insert into t values ({n}, 'kept')", f"savepoint inner{n}",
                           f"insert into t values ({n + 1000}, 'undone')", f"rollback to inner{n}"]
        server.sql("; ".join(statements) + "; commit")
        server.sql("begin; insert into t values (5000, 'prepared'); prepare transaction 'kept'")
        server.sql("begin; insert into t values (6000, 'never'); prepare transaction 'undone'")
        server.sql("insert into t values (7000, 'meanwhile')")
        wait_until("the row", lambda: has_table(pipeline, "t") and pipeline.copy("select 1 from t where id = 7000"))
        assert not pipeline.copy("select 1 from t where id in (5000, 6000)")
    server.sql("commit prepared 'kept'")
    server.sql("rollback prepared 'undone'")
    pipeline.catch_up()
    assert_equal(pipeline, "t", ["id", "v"])


def test_a_copy_waits_for_a_prepared_transaction_and_names_it(tmp_path):
    with start_server(17) as newer:  # creating a slot waits for it too: so it is prepared once the slot is there
        newer.sql("create table t (id int primary key); create table u (id int primary key); insert into u values (1)")
        pipeline = Pipeline(tmp_path, newer, ["public.t"])
        pipeline.catch_up()
        newer.sql("begin; insert into u values (2); prepare transaction 'held back'")
        wider = Pipeline(tmp_path, newer, ["public.t", "public.u"])
        with wider.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copy to wait", lambda: any("held back" in unit.get("waits_for", "") for unit in daemon.source()["snapshots"]["units"]))
            newer.sql("commit prepared 'held back'")
            wait_until("the copy", lambda: daemon.source()["snapshots"]["tables_waiting"] == 0)
        wider.catch_up()
        assert_equal(wider, "u", ["id"])


@pytest.mark.parametrize("policy", ["halt", "omit_columns"])
def test_values_of_forty_megabytes(server, tmp_path, policy):
    server.sql("create table docs (id int primary key, title text, body text); alter table docs alter body set storage external; "
               "insert into docs values (1, 'copied', repeat('a', 40000000)), (2, 'small', 'x')")
    fits = Pipeline(tmp_path / "fits", server, ["public.docs"])
    fits.catch_up()
    assert fits.copy("select id, length(body) from docs order by id") == [(1, 40000000), (2, 1)]
    fits.command("destroy", fits.files[0], "--yes")
    narrow = Pipeline(tmp_path / "narrow", server, ["public.docs"], topic_options={"max_record_size": "1MiB", "oversize": policy})
    if policy == "omit_columns":
        narrow.catch_up()
        assert narrow.copy("select id, title, body from docs order by id") == [(1, "copied", None), (2, "small", "x")]
        return
    with narrow.start() as daemon:
        blocked = wait_until("the copy to be blocked", lambda: daemon.answers() and next(
            (u for u in daemon.source()["snapshots"]["units"] if u.get("code") == "record_too_large"), None))
        assert "public.docs" in blocked["message"] and "key: id" in blocked["message"], blocked
        assert daemon.source()["state"] == "streaming"  # the copy waits, the stream does not
        server.sql("insert into docs values (3, repeat('streamed', 1000000), null)")
        wait_until("the stream to halt in front of it", lambda: daemon.source().get("code") == "record_too_large")


def test_names_that_need_quotes(server, tmp_path):
    names = ['Quo"te', "do.t", "UPPER", "sp ace", "back\\slash", "emoji😀", "ä" * 31 + "x", "select"]  # one of 63 bytes
    quote = lambda name: '"' + name.replace('"', '""') + '"'
    for name in names:
        server.sql(f"create table {quote(name)} (\"K.1\" int primary key, \"va\"\"l\" text)")
        server.sql(f"insert into {quote(name)} values (1, 'copied')")
    pipeline = Pipeline(tmp_path, server, ["public.*"])
    pipeline.catch_up()
    for name in names:
        server.sql(f"insert into {quote(name)} values (2, 'streamed')")
    pipeline.catch_up()
    records = pipeline.topic()
    for name in names:
        mine = [r for r in records if r.get("table") in (f"public.{name}", f"public.{quote(name)}") and r["op"] in ("read", "insert")]
        assert [r["after"]['va"l'] for r in mine] == ["copied", "streamed"], (name, {r.get("table") for r in records})
