"""Catch-up bench on MariaDB or MySQL: see bench/run.sh. One backlog behind one place of the log, which every run reads again from there.

The floor is a client that drops what comes, undecoded (bench/mysql_dump_client.cc)."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import maxwell  # noqa: E402
from tests.servers.mysql import MysqlServer  # noqa: E402

FLOOR = "bare dump"


def measure(server, command, lines=None):
    """Wall seconds, CPU seconds, peak resident megabytes, the server's CPU seconds. With `lines` it is ended once it has printed them."""
    before = server_cpu(server)
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE if lines else subprocess.DEVNULL, stderr=errors)
        if lines:
            while lines > 0 and (block := process.stdout.read1(1 << 20)):
                lines -= block.count(b"\n")
            wall = time.monotonic() - start
            process.terminate()
            process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        if lines is None:
            wall = time.monotonic() - start
        if (os.waitstatus_to_exitcode(status) != 0) if lines is None else lines > 0:
            errors.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{errors.read().decode()[-3000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, server_cpu(server) - before


def server_cpu(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(server, per_transaction):
    server.sql("create table small (id bigint primary key, qty int, price decimal(12,2), name varchar(100), hash varchar(100), "
               "at timestamp(6) null, flag bool)")
    server.sql("create table numbers (n int primary key)")
    connection = server.connect()
    connection.cursor().executemany("insert into numbers values (%s)", [(n,) for n in range(per_transaction)])
    connection.close()


def load(server, changes, per_transaction):
    connection = server.connect()
    cursor = connection.cursor()
    cursor.execute(f"""create procedure fill() begin
        declare t int default 0;
        while t < {changes // per_transaction} do
          insert into small select i, i % 100, (i % 100000) / 100, concat('item ', i), concat(left(sha2(i, 256), 32), 'abcde'), now(6), i % 2 = 0
            from (select t * {per_transaction} + n + 1 i from numbers) x;
          set t = t + 1;
        end while; end""")
    cursor.execute("flush binary logs")
    first = server.binlogs()[-1][0]
    cursor.execute("call fill()")
    connection.close()
    return first


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--floor", required=True, help="the built mysql_dump_client")
    parser.add_argument("--flavour", choices=["mariadb", "mysql"], default="mariadb")
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--rows-per-transaction", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--maxwell", action="store_true", help="beside Maxwell (90 MB, Java)")
    options = parser.parse_args()
    if options.maxwell and options.flavour != "mariadb":
        parser.error("--maxwell: its client knows no login that MySQL 9 has; use it with --mariadb")
    settings = {"max_binlog_size": str(1 << 30), "innodb_buffer_pool_size": "256M"}
    with MysqlServer(options.flavour, settings=settings) as server, tempfile.TemporaryDirectory(prefix="tailwater-bench-") as home:
        home = pathlib.Path(home)

        def config(name):
            path = home / f"{name}.yaml"
            path.write_text(json.dumps({  # JSON is YAML
                "version": 1, "pipeline": "bench",
                "sources": {"shop": {"type": "mysql", "url": server.url(), "tables": ["public.small"], "snapshot": {"mode": "never"}}},
                "topic": {"type": "local", "path": str(home / name)}, "sinks": {}}))
            return [options.binary, "run", str(path), "--only", "capture", "--until-caught-up", "--listen", "127.0.0.1:0"]

        prepare(server, options.rows_per_transaction)
        if options.maxwell:
            maxwell.prepare(server)
        measure(server, config("base"))  # a place in the log, in front of the backlog
        print(f"{server.version}\nloading {options.changes:,} inserts, {options.rows_per_transaction} a transaction …", flush=True)
        first = load(server, options.changes, options.rows_per_transaction)
        last, end = server.binlogs()[-1]
        if last != first:
            sys.exit(f"the backlog does not fit into one file of the log: fewer than {options.changes:,} changes, please")
        print(f"{end / 1e6:.0f} MB of log")

        def floor(number):
            return [options.floor, server.url(), first, str(end)]

        def ours(number):
            name = f"run{number}"
            shutil.copytree(home / "base", home / name)
            return config(name)

        def peer(number):
            return maxwell.command(server.port, first, "public.small", home / f"maxwell{number}")

        def run(command, number):
            result = measure(server, command(number), options.changes if command is peer else None)
            if command is peer:
                server.sql("drop database maxwell")  # its place; it begins anew
            shutil.rmtree(home / f"run{number}", ignore_errors=True)
            return result

        run(floor, 0)  # warms the page cache; not counted
        million = options.changes / 1e6
        rows = []
        print(f"{'':10} {'changes/s':>12} {'CPU s/M':>9} {'server s/M':>11} {'peak MB':>8}")
        for number in range(1, options.pairs + 1):
            contenders, results = [(FLOOR, floor), ("ours", ours), *([("Maxwell", peer)] if options.maxwell else [])], {}
            for name, command in (contenders if number % 2 else reversed(contenders)):
                wall, cpu, peak, server_seconds = results[name] = run(command, number)
                print(f"{name:10} {options.changes / wall:12,.0f} {cpu / million:9.2f} {server_seconds / million:11.2f} {peak:8.0f}", flush=True)
            rows.append(results)

        def ratios(value, other=FLOOR):
            list_ = [value(r["ours"], r[other]) for r in rows]
            return f"{statistics.median(list_):.2f} ({min(list_):.2f}-{max(list_):.2f})"

        print(f"\nratio to a bare dump of the log, median (min-max) of {len(rows)} pairs, {options.rows_per_transaction} rows a transaction")
        print(f"  changes/s      {ratios(lambda o, r: r[0] / o[0])}")
        print(f"  ours           {statistics.median(options.changes / r['ours'][0] for r in rows):,.0f} changes/s")
        print(f"  our CPU        {statistics.median(r['ours'][1] / million for r in rows):.2f} s per million changes")
        print(f"  server's CPU   {ratios(lambda o, r: o[3] / max(r[3], 0.01))}")
        if options.maxwell:
            print(f"  beside Maxwell {ratios(lambda o, m: m[0] / o[0], 'Maxwell')} times its changes/s, {ratios(lambda o, m: m[1] / o[1], 'Maxwell')} of its CPU to one of ours")
        print(f"  our peak       {max(r['ours'][2] for r in rows):.0f} MB")


if __name__ == "__main__":
    main()
