#!/usr/bin/python3
"""Documents per second through the opensearch sink: rows wait in the local topic, then the sink carries them to a real OpenSearch node
on the same machine. Prints one line per batch of settings.

    bench/opensearch.py [ROWS]        TAILWATER=build/release/tailwater for another binary"""
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from tests.servers.opensearch import OpenSearchServer  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402
from tests.support.daemon import BINARY, Pipeline, wait_until  # noqa: E402


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as home, PostgresServer() as server, OpenSearchServer() as search:
        server.sql("create table orders (id bigint primary key, customer text, status text, total numeric(12,2), placed timestamptz)")
        pipeline = Pipeline(home, server, ["public.orders"], sinks={"none": {"type": "blackhole"}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql("insert into orders select g, 'customer ' || g %% 1000, 'placed', g / 100.0, now() from generate_series(1, %s) g", (rows,))
            written = server.value("select pg_current_wal_lsn()")
            wait_until("the topic", lambda: server.sql("select 1 where %s::pg_lsn >= %s::pg_lsn", (daemon.source()["frontier"], written)), 300)
            assert daemon.stop() == 0
        for number, in_flight in enumerate((1, 2, 4), 1):
            index = f"run{number}"
            pipeline = Pipeline(home, server, ["public.orders"], sinks={f"search{number}": {
                "type": "opensearch", "url": search.url, "index": index, "batch": {"in_flight": in_flight},
                "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}}})
            begin = time.monotonic()
            pipeline.catch_up(600)
            seconds = time.monotonic() - begin
            search.call("POST", f"/{index}/_refresh")
            count = search.call("GET", f"/{index}/_count")["count"]
            assert count == rows, count
            print(f"{rows} rows, {in_flight} bulk requests in flight: {seconds:.1f} s, {rows / seconds:.0f} documents/s ({BINARY})", flush=True)


main()
