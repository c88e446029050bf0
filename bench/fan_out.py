"""Fan-out bench: see bench/run.sh --fan-out. What a change costs at 1, 4 and 16 sinks that keep nothing, and what one that stalls costs the others."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from catch_up import load, measure  # noqa: E402
from webhook import SECRET, Daemon, wait_for  # noqa: E402
from tests.receivers.hostile import BlackHole  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402

# PERFORMANCE bar 14.
MOST_CPU_RATIO, LEAST_RATE = 3.0, 0.95


def summary(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


class Runs:
    """Each run decodes the same log by a copy of one slot, into a topic of its own."""

    def __init__(self, options, server, home):
        self.options, self.server, self.home = options, server, pathlib.Path(home)
        self.number = 0
        self.extra = 0  # changes behind the backlog, which later runs read as well

    @contextlib.contextmanager
    def config(self, sinks):
        self.number += 1
        slot = f"run_{self.number}"
        self.server.sql("select pg_copy_logical_replication_slot('base', %s)", (slot,))
        path = self.home / f"{slot}.yaml"
        path.write_text(json.dumps({
            "version": 1, "pipeline": "bench",
            "sources": {"shop": {"type": "postgres", "url": f"postgres://postgres@127.0.0.1:{self.server.port}/postgres", "tables": ["public.small"],
                                 "snapshot": {"mode": "never"}, "slot": {"name": slot, "create": False},
                                 "publication": {"name": "bench", "create": False}}},
            "topic": {"type": "local", "path": str(self.home / slot)}, "sinks": sinks}))
        try:
            yield path
        finally:
            # The server misses a killed reader only a moment later.
            wait_for("the slot", None, lambda: not self.server.value("select active from pg_replication_slots where slot_name = %s", (slot,)))
            self.server.sql("select pg_drop_replication_slot(%s)", (slot,))
            shutil.rmtree(self.home / slot, ignore_errors=True)

    def cost(self, sinks):
        """CPU seconds per million changes of the whole process, capture and all sinks; changes per second; peak MB."""
        with self.config(blackholes(sinks)) as path:
            wall, cpu, memory, _ = measure(self.server, [self.options.binary, "run", str(path), "--until-caught-up", "--listen", "127.0.0.1:0"])
        changes = self.options.changes + self.extra
        return cpu / changes * 1e6, changes / wall, memory

    def cost_at_the_tail(self, sinks):
        """CPU seconds per million changes while they come at a steady pace, which every sink keeps up with: as it is most of the time."""
        with self.config(blackholes(sinks)) as path, Daemon(self.options.binary, path) as daemon:
            wait_for("the backlog", daemon, lambda: self.applied(daemon) >= self.options.changes + self.extra, 600)
            before, changes = cpu_seconds(daemon), self.pace()
            self.extra += changes
            wait_for("all changes", daemon, lambda: self.applied(daemon) >= self.options.changes + self.extra, 600)
            return (cpu_seconds(daemon) - before) / changes * 1e6

    def pace(self):
        """A hundred rows a transaction at `--tail-rate`; how many changes that made."""
        connection = self.server.connect()
        cursor = connection.cursor()
        begin, transactions = time.monotonic(), self.options.tail_rate * self.options.seconds // 100
        for number in range(transactions):
            time.sleep(max(0, begin + number * 100 / self.options.tail_rate - time.monotonic()))
            first = self.options.changes + self.extra + number * 100 + 1
            cursor.execute("insert into small select i, i, i, 'item', 'hash', now(), true from generate_series(%s, %s) i", (first, first + 99))
        connection.close()
        return transactions * 100

    @staticmethod
    def sinks_of(daemon):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/api/v1/status", timeout=10) as answer:
                return json.load(answer)["pipelines"][0]["sinks"]
        except OSError:
            return []

    def applied(self, daemon):
        """By the slowest of the sinks that keep nothing."""
        return min((state["applied"] for state in self.sinks_of(daemon) if state["name"].startswith("sink_")), default=0)

    def rate(self, sinks, more=None):
        """Changes per second of the slowest of `sinks` that keep nothing, beside others; with others the slot has to follow, too."""
        with self.config(blackholes(sinks) | (more or {})) as path, Daemon(self.options.binary, path) as daemon:
            begin, changes = time.monotonic(), self.options.changes + self.extra
            wait_for("all changes", daemon, lambda: self.applied(daemon) >= changes, 600)
            rate = changes / (time.monotonic() - begin)
            if more:
                [stalled] = [state for state in self.sinks_of(daemon) if not state["name"].startswith("sink_")]
                assert stalled["applied"] == 0 and stalled["waiting"] > 0, f"it does not stall: {stalled}"
                end = self.server.value("select pg_current_wal_lsn()")
                wait_for("the slot to move", daemon, lambda: self.server.value(
                    "select confirmed_flush_lsn >= %s::pg_lsn from pg_replication_slots where slot_name = %s", (end, f"run_{self.number}")))
        return rate


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def blackholes(count):
    return {f"sink_{number}": {"type": "blackhole", "start": "beginning"} for number in range(1, count + 1)}


def report(options, where, costs):
    least, most = min(options.sinks), max(options.sinks)
    slopes = [many / one for many, one in zip(costs[most], costs[least])]
    added = [(many - one) / max(1, most - least) for many, one in zip(costs[most], costs[least])]
    print(f"\nCPU of capture and all sinks {where}, s per million changes, median (min-max) of {options.pairs} rounds")
    for count in options.sinks:
        print(f"  {count:3} sinks   {summary(costs[count])}")
    print(f"  each sink more: {summary(added, 3)}")
    print(f"  {most} sinks / {least}: {summary(slopes)}; the bar is at most {MOST_CPU_RATIO}: "
          f"{'met' if statistics.median(slopes) <= MOST_CPU_RATIO else 'MISSED'}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--rows-per-transaction", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--sinks", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tail-rate", type=int, default=20_000, help="changes a second at the tail")
    parser.add_argument("--seconds", type=int, default=5, help="of that")
    parser.add_argument("--beside", type=int, default=4, help="sinks beside the one that stalls")
    options = parser.parse_args()
    settings = {"shared_buffers": "1GB", "logical_decoding_work_mem": "256MB", "autovacuum": "off", "fsync": "on",
                "max_wal_size": "16GB", "log_min_messages": "warning", "max_replication_slots": "20"}
    with PostgresServer(version=15, settings=settings) as server, tempfile.TemporaryDirectory(prefix="tailwater-bench-") as home:
        print(f"loading {options.changes:,} inserts, {options.rows_per_transaction} a transaction …", flush=True)
        load(server, options.changes, options.rows_per_transaction)
        runs = Runs(options, server, home)
        runs.cost(1)  # warms the page cache; not counted

        print(f"\n{'sinks':>6} {'CPU s/M':>9} {'changes/s':>12} {'peak MB':>8}")
        costs = {count: [] for count in options.sinks}
        for number in range(options.pairs):
            for count in options.sinks if number % 2 else reversed(options.sinks):
                cpu, rate, memory = runs.cost(count)
                costs[count].append(cpu)
                print(f"{count:6} {cpu:9.2f} {rate:12,.0f} {memory:8.0f}", flush=True)
        report(options, "from a backlog", costs)

        print(f"\n{'sinks':>6} {'CPU s/M':>9}   at {options.tail_rate:,} changes/s")
        costs = {count: [] for count in options.sinks}
        for number in range(options.pairs):
            for count in options.sinks if number % 2 else reversed(options.sinks):
                costs[count].append(runs.cost_at_the_tail(count))
                print(f"{count:6} {costs[count][-1]:9.2f}", flush=True)
        report(options, "at the tail", costs)

        # A receiver that never even takes the connection: the sink reads what it may hold, and waits.
        hole = BlackHole()
        hook = {"stalled": {"type": "webhook", "url": hole.url, "secret": SECRET, "allow_addresses": ["127.0.0.1"], "start": "beginning"}}
        print(f"\n{'':>22} {'changes/s':>12}")
        ratios = []
        for number in range(options.pairs):
            pair = {}
            for name, more in ([("alone", None), ("beside one stalled", hook)] if number % 2 else [("beside one stalled", hook), ("alone", None)]):
                pair[name] = runs.rate(options.beside, more)
                print(f"{name:>22} {pair[name]:12,.0f}", flush=True)
            ratios.append(pair["beside one stalled"] / pair["alone"])
        hole.stop()
        print(f"\nrate of {options.beside} sinks beside one that is stalled / without it, median (min-max) of {options.pairs} pairs: {summary(ratios)}; "
              f"the bar is at least {LEAST_RATE}: {'met' if statistics.median(ratios) >= LEAST_RATE else 'MISSED'}")


if __name__ == "__main__":
    main()
