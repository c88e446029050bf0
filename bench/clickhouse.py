#!/usr/bin/python3
"""Rows per second through the clickhouse sink, beside a plain HTTP insert of the same rows in the same run: rows wait in the local topic, then
the sink carries them to a ClickHouse on the same machine; then what arrived is inserted again, in batches of the same size, by one
connection that does nothing else.

    bench/clickhouse.py [ROWS] [FLAVOUR]        TAILWATER=build/release/tailwater for another binary"""
import http.client
import pathlib
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from tests.servers.clickhouse import DEFAULT_FLAVOUR, ClickHouseServer  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402
from tests.support.daemon import BINARY, Pipeline, wait_until  # noqa: E402

BATCH = 10_000
COLUMNS = "id, customer, status, total, placed, _version, _deleted"


def plain_insert(clickhouse, rows):
    """Seconds; the bodies are made before."""
    clickhouse.execute("create table plain as run1")
    bodies = [clickhouse.execute(f"select {COLUMNS} from run1 where id > {first} and id <= {first + BATCH} format RowBinary")
              for first in range(0, rows, BATCH)]
    connection = http.client.HTTPConnection("127.0.0.1", clickhouse.port)
    query = urllib.parse.urlencode({"query": f"insert into plain ({COLUMNS}) format RowBinary", "wait_end_of_query": 1})
    begin = time.monotonic()
    for body in bodies:
        connection.request("POST", "/?" + query, body)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said
    seconds = time.monotonic() - begin
    assert clickhouse.value("select count() from plain") == str(rows)
    return seconds, sum(map(len, bodies))


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    flavour = sys.argv[2] if len(sys.argv) > 2 else DEFAULT_FLAVOUR
    with tempfile.TemporaryDirectory() as home, PostgresServer() as server, ClickHouseServer(flavour) as clickhouse:
        server.sql("create table orders (id bigint primary key, customer text, status text, total numeric(12,2), placed timestamptz)")
        pipeline = Pipeline(home, server, ["public.orders"], sinks={"none": {"type": "blackhole"}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders select g, 'customer ' || g %% 1000, 'placed', g / 100.0, now() from generate_series(1, %s) g", (rows,))
            written = server.value("select pg_current_wal_lsn()")
            wait_until("the topic", lambda: server.sql("select 1 where %s::pg_lsn >= %s::pg_lsn", (daemon.source()["frontier"], written)), 300)
            assert daemon.stop() == 0
        for number, compression in enumerate(("none", "lz4", "zstd"), 1):
            pipeline = Pipeline(home, server, ["public.orders"], sinks={f"ch{number}": {
                "type": "clickhouse", "url": clickhouse.url, "table": f"run{number}", "compression": compression}})
            begin = time.monotonic()
            pipeline.catch_up(600)
            seconds = time.monotonic() - begin
            assert clickhouse.value(f"select count() from run{number} final") == str(rows)
            print(f"{rows} rows, compression {compression}: {seconds:.1f} s, {rows / seconds:.0f} rows/s ({BINARY})", flush=True)
        seconds, size = plain_insert(clickhouse, rows)
        print(f"{rows} rows, plain inserts of {BATCH} ({size / 1e6:.0f} MB of RowBinary): {seconds:.1f} s, {rows / seconds:.0f} rows/s ({flavour})")


main()
