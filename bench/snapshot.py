"""Snapshot bench: see bench/run.sh --snapshot. One table, copied through to the durable local topic, beside COPY (binary) to /dev/null."""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests.servers.postgres import PostgresServer  # noqa: E402

PSQL = "/usr/lib/postgresql/15/bin/psql"
CONFIG = """version: 1
pipeline: bench
sources:
  shop:
    type: postgres
    url: postgres://postgres@127.0.0.1:{port}/postgres
    tables: [public.small]
    snapshot: {{workers: {workers}}}
topic: {{type: local, path: {path}}}
sinks: {{}}
"""


def measure(command):
    """Wall seconds, CPU seconds, peak resident megabytes."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{' '.join(command)} failed:\n{errors[-3000:]}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    settings = {"shared_buffers": "1GB", "autovacuum": "off", "fsync": "on", "max_wal_size": "16GB", "log_min_messages": "warning"}
    with PostgresServer(version=15, settings=settings) as server, tempfile.TemporaryDirectory(prefix="tailwater-bench-") as home:
        print(f"loading {options.rows:,} rows …", flush=True)
        server.sql("create table small (id bigint primary key, qty int, price numeric(12,2), name text, hash text, at timestamptz, flag bool)")
        server.sql("insert into small select i, i %% 100, (i %% 100000) / 100.0, 'item ' || i, md5(i::text) || 'abcde', now(), i %% 2 = 0 "
                   "from generate_series(1, %s) i", (options.rows,))
        server.sql("vacuum analyze small")
        copy = [PSQL, "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-c", "copy small to stdout (format binary)"]
        measure(copy)  # warms the page cache; not counted
        ratios = []
        print(f"{'':8} {'rows/s':>12} {'CPU s/M':>9} {'peak MB':>8}")
        for number in range(options.pairs):
            file = pathlib.Path(home) / f"{number}.yaml"
            file.write_text(CONFIG.format(port=server.port, path=pathlib.Path(home) / str(number), workers=options.workers))
            runs = [("copy", copy), ("ours", [options.binary, "run", str(file), "--only", "capture", "--until-caught-up", "--listen", "127.0.0.1:0"])]
            walls = {}
            for name, command in runs if number % 2 else reversed(runs):
                walls[name], cpu, memory = measure(command)
                print(f"{name:8} {options.rows / walls[name]:12,.0f} {cpu / options.rows * 1e6:9.2f} {memory:8.0f}", flush=True)
            ratios.append(walls["copy"] / walls["ours"])
            subprocess.run([options.binary, "destroy", str(file), "--yes"], check=True, capture_output=True)
        print(f"\nratio to COPY (binary) to /dev/null, median (min-max) of {options.pairs} pairs, {options.workers} workers: "
              f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
