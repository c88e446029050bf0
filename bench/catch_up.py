"""Catch-up bench: see bench/run.sh. One backlog, one copy of the slot per run, so that every run decodes the same log."""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests.servers.postgres import PostgresServer  # noqa: E402

RECVLOGICAL = "/usr/lib/postgresql/15/bin/pg_recvlogical"
CONFIG = """version: 1
pipeline: bench
sources:
  shop:
    type: postgres
    url: {url}
    tables: [public.small]
    snapshot: {{mode: never}}
    slot: {{name: {slot}, create: false}}
    publication: {{name: bench, create: false}}
topic: {{type: local, path: {path}}}
sinks: {{}}
"""


class WalsenderCpu:
    """Samples the CPU time of the server's walsender, which dies with its client."""

    def __init__(self, server):
        self.seconds = 0.0
        self._stop = threading.Event()
        self._server = server
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        children = f"/proc/{self._server.process.pid}/task/{self._server.process.pid}/children"
        known = {}
        while not self._stop.wait(0.02):
            for pid in pathlib.Path(children).read_text().split():
                try:
                    if pid not in known:
                        known[pid] = b"walsender" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                    if known[pid]:
                        self.seconds = max(self.seconds,
                                           int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9)
                    else:
                        del known[pid]  # a backend becomes a walsender only after its start-up packet
                except OSError:
                    pass

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._stop.set()
        self._thread.join()


def measure(server, command):
    """Wall seconds, CPU seconds, peak resident megabytes, walsender CPU seconds."""
    with WalsenderCpu(server) as walsender:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)} failed:\n{errors[-3000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, walsender.seconds


def load(server, changes, per_transaction):
    server.sql("create table small (id bigint primary key, qty int, price numeric(12,2), name text, hash text, "
               "at timestamptz, flag bool)")
    server.sql("create publication bench for table small with (publish_via_partition_root = true)")
    server.sql("select pg_create_logical_replication_slot('base', 'pgoutput')")
    row = "select i, i % 100, (i % 100000) / 100.0, 'item ' || i, md5(i::text) || 'abcde', now(), i % 2 = 0 from generate_series({}, {}) i"
    connection = server.connect()
    connection.cursor().execute("set synchronous_commit = off")
    connection.cursor().execute(
        "do $$ begin for n in 0..%d loop insert into small %s; commit; end loop; end $$" %
        (changes // per_transaction - 1,
         row.format(f"n * {per_transaction} + 1", f"(n + 1) * {per_transaction}")))
    connection.close()
    server.sql("checkpoint")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--rows-per-transaction", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--unix", action="store_true")
    options = parser.parse_args()
    settings = {"shared_buffers": "1GB", "logical_decoding_work_mem": "256MB", "autovacuum": "off", "fsync": "on",
                "max_wal_size": "16GB", "log_min_messages": "warning"}
    with PostgresServer(version=15, settings=settings) as server, tempfile.TemporaryDirectory(prefix="tailwater-bench-") as home:
        print(f"loading {options.changes:,} inserts, {options.rows_per_transaction} a transaction …", flush=True)
        load(server, options.changes, options.rows_per_transaction)
        server.sql("select pg_create_logical_replication_slot('end', 'pgoutput')")
        end = server.value("select confirmed_flush_lsn::text from pg_replication_slots where slot_name = 'end'")
        host = server.socket_dir if options.unix else "127.0.0.1"
        url = (f"postgres://postgres@/postgres?host={host}&port={server.port}" if options.unix
               else f"postgres://postgres@127.0.0.1:{server.port}/postgres")

        def reference(slot):
            return [RECVLOGICAL, "-h", host, "-p", str(server.port), "-U", "postgres", "-d", "postgres", "--slot", slot,
                    "--start", "-f", "/dev/null", "--endpos", end, "-o", "proto_version=1", "-o", "publication_names=bench"]

        def ours(slot):
            config = pathlib.Path(home) / f"{slot}.yaml"
            config.write_text(CONFIG.format(url=url, slot=slot, path=pathlib.Path(home) / slot))
            return [options.binary, "run", str(config), "--only", "capture", "--until-caught-up", "--listen", "127.0.0.1:0"]

        def run(name, command, number):
            slot = f"{name}_{number}"
            server.sql("select pg_copy_logical_replication_slot('base', %s)", (slot,))
            result = measure(server, command(slot))
            server.sql("select pg_drop_replication_slot(%s)", (slot,))
            return result

        run("recv", reference, 0)  # warms the page cache; not counted
        million = options.changes / 1e6
        rows = []
        print(f"{'':8} {'changes/s':>12} {'CPU s/M':>9} {'walsender s/M':>14} {'peak MB':>8}")
        for number in range(1, options.pairs + 1):
            pair = [("recv", reference), ("ours", ours)]
            results = {}
            for name, command in (pair if number % 2 else reversed(pair)):
                wall, cpu, memory, walsender = results[name] = run(name, command, number)
                print(f"{name:8} {options.changes / wall:12,.0f} {cpu / million:9.2f} {walsender / million:14.2f} {memory:8.0f}", flush=True)
            rows.append(results)

        def ratios(value):
            list_ = [value(r["ours"], r["recv"]) for r in rows]
            return f"{statistics.median(list_):.2f} ({min(list_):.2f}-{max(list_):.2f})"

        print(f"\nratio to pg_recvlogical, median (min-max) of {len(rows)} pairs, {'Unix socket' if options.unix else 'TCP'}, "
              f"{options.rows_per_transaction} rows a transaction")
        print(f"  changes/s      {ratios(lambda o, r: r[0] / o[0])}")
        print(f"  walsender CPU  {ratios(lambda o, r: o[3] / r[3])}")
        print(f"  our CPU        {statistics.median(r['ours'][1] / million for r in rows):.2f} s per million changes")
        print(f"  our peak       {max(r['ours'][2] for r in rows):.0f} MB")


if __name__ == "__main__":
    main()
