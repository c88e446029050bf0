#!/usr/bin/python3
"""Rows per second through the postgres sink, beside what the server does with the same rows without it, in the same run: rows wait in the
local topic, then the sink carries them into another database of the server; then one connection that does nothing else copies what arrived
into tables like the sink's, by plain COPY, and by COPY into a temporary table and INSERT … ON CONFLICT, in batches of the same size.

    bench/postgres_sink.py [ROWS]        TAILWATER=build/release/tailwater for another binary"""
import io
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from tests.servers.postgres import PostgresServer  # noqa: E402
from tests.support.daemon import BINARY, Pipeline, wait_until  # noqa: E402
from tests.support.postgres_copy import PostgresCopy  # noqa: E402

BATCH = 10_000  # records; as the runner's


def batches_of(target, table, rows):
    """The rows as COPY writes them, made before any clock runs."""
    connection = target.server.connect(target.database)
    pieces = []
    with connection.cursor() as cursor:
        for first in range(0, rows, BATCH):
            piece = io.StringIO()
            cursor.copy_expert(f"copy (select * from {table} where id > {first} and id <= {first + BATCH}) to stdout", piece)
            pieces.append(piece.getvalue())
    connection.close()
    return pieces


def plain(target, name, pieces, merge):
    """Seconds; each batch is a transaction."""
    target.sql(f"create table {name} (like run1 including all)")
    connection = target.server.connect(target.database, autocommit=False)
    with connection.cursor() as cursor:
        if merge:
            cursor.execute("create temporary table stage (like run1) on commit delete rows")
            connection.commit()
        begin = time.monotonic()
        for piece in pieces:
            cursor.copy_expert(f"copy {'stage' if merge else name} from stdin", io.StringIO(piece))
            if merge:
                cursor.execute(f"insert into {name} as t select * from stage on conflict (id) do update set customer = excluded.customer, "
                               "status = excluded.status, total = excluded.total, placed = excluded.placed, "
                               "_tailwater_version = excluded._tailwater_version where t._tailwater_version <= excluded._tailwater_version")
            connection.commit()
        seconds = time.monotonic() - begin
    connection.close()
    return seconds


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    with tempfile.TemporaryDirectory() as home, PostgresServer() as server, PostgresServer() as target_server:
        target = PostgresCopy(target_server)
        server.sql("create table orders (id bigint primary key, customer text, status text, total numeric(12,2), placed timestamptz)")

        def fill(statement):
            with Pipeline(home, server, ["public.orders"], sinks={"none": {"type": "blackhole"}}).start() as daemon:
                daemon.wait_state("streaming")
                server.sql(statement)
                written = server.value("select pg_current_wal_lsn()")
                wait_until("the topic", lambda: server.sql("select 1 where %s::pg_lsn >= %s::pg_lsn", (daemon.source()["frontier"], written)), 300)
                assert daemon.stop() == 0

        def report(what, seconds):
            print(f"{rows} rows, {what}: {seconds:.1f} s, {rows / seconds:.0f} rows/s", flush=True)

        def carry(what, run, **options):
            sink = target.sink(start="beginning", tables=[{"match": "public.orders", "table": run}], **options)
            begin = time.monotonic()
            Pipeline(home, server, ["public.orders"], sinks={run: sink}).catch_up(600)
            report(f"the sink, {what} ({BINARY})", time.monotonic() - begin)
            assert target.value(f"select count(*) from {run}") == rows
        fill(f"insert into orders select g, 'customer ' || g % 1000, 'placed', g / 100.0, now() from generate_series(1, {rows}) g")
        carry("inserts", "run1")
        carry("inserts, transactional: true", "run2", transactional=True)
        pieces = batches_of(target, "run1", rows)
        report(f"plain COPY, batches of {BATCH}", plain(target, "copied", pieces, False))
        report(f"COPY and INSERT … ON CONFLICT, batches of {BATCH}", plain(target, "merged", pieces, True))
        assert target.value("select count(*) from (table run1 except table merged) r") == 0
        fill("update orders set status = 'sent'")
        carry("updates of every row", "run1")
        assert target.value("select count(*) from run1 where status = 'sent'") == rows


main()
