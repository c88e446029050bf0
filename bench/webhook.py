"""Webhook bench: see bench/webhook.sh. From commit to the receiver, how many deliveries a second, and what a condition costs."""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests.servers.postgres import PostgresServer, free_port  # noqa: E402

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """bench/webhook_receiver.cc as a child."""

    def __init__(self, program, delay_ms=0.0):
        self.process = subprocess.Popen([program, str(int(delay_ms * 1000))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/hook"

    def report(self):
        """Arrival in seconds by marker, and how many requests were open at most."""
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        arrivals = {}
        for line in self.process.stdout:
            parts = line.split()
            if parts[0] == "end":
                return arrivals, int(parts[2])
            arrivals[int(parts[0])] = int(parts[1]) / 1e6

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        self.process.wait()


class Daemon:
    def __init__(self, binary, config, *arguments):
        self.log = open(config.with_suffix(".log"), "w+")
        self.port = free_port()
        self.process = subprocess.Popen([binary, "run", str(config), "--listen", f"127.0.0.1:{self.port}", *arguments],
                                        stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()

    def fail(self, what):
        self.log.seek(0)
        sys.exit(f"{what}:\n{self.log.read()[-3000:]}")


def wait_for(what, daemon, condition, timeout=120):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline or (daemon and daemon.process.poll() is not None):
            daemon.fail(f"waited for {what}")
        time.sleep(0.02)


def write_config(home, name, server, topic, sinks):
    path = home / f"{name}.yaml"
    path.write_text(json.dumps({
        "version": 1, "pipeline": "bench",
        "sources": {"shop": {"type": "postgres", "url": f"postgres://postgres@127.0.0.1:{server.port}/postgres",
                             "tables": ["public.events"]}},
        "topic": {"type": "local", "path": str(home / topic)}, "sinks": sinks}))
    return path


def webhook(url, **more):
    return {"type": "webhook", "url": url, "secret": SECRET, "allow_addresses": ["127.0.0.1"],
            "payload": {"marker": "{NEW.marker}"}, **more}


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def insert_at(server, rate, seconds, start):
    """Single-row transactions at a steady pace; the moment of each commit's acknowledgement, by marker."""
    acknowledged = {}
    connection = server.connect()  # not `with`: that would make one transaction of all
    connection.autocommit = True
    cursor = connection.cursor()
    begin = time.monotonic()
    for number in range(int(rate * seconds)):
        pause = begin + number / rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        cursor.execute("insert into events (marker, qty, name) values (%s, 1, 'x')", (start + number,))
        acknowledged[start + number] = time.time()
    connection.close()
    return acknowledged


def latency(options, server, home):
    print(f"\ncommit acknowledged -> request received, one row a transaction, {options.seconds} s each")
    print(f"{'rate':>8} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8} {'max ms':>8} {'deliveries':>11}")
    with Receiver(options.receiver) as receiver:
        config = write_config(home, "latency", server, "latency", {"hook": webhook(receiver.url)})
        with Daemon(options.binary, config) as daemon:
            wait_for("the slot", daemon, lambda: server.value("select count(*) from pg_replication_slots where active") == 1)
            insert_at(server, 100, 1, 1)  # warms connections; not counted
            start = 10_000_000
            for rate in (100, 1000):
                time.sleep(0.5)
                receiver.report()
                acknowledged = insert_at(server, rate, options.seconds, start)
                arrived = {}

                def all_there():
                    arrived.update(receiver.report()[0])
                    return len(acknowledged.keys() & arrived.keys()) == len(acknowledged)
                wait_for("all deliveries", daemon, all_there)
                times = [(arrived[marker] - at) * 1000 for marker, at in acknowledged.items()]
                print(f"{rate:>6}/s {statistics.median(times):8.2f} {percentile(times, 0.9):8.2f} {percentile(times, 0.99):8.2f} "
                      f"{max(times):8.2f} {len(times):11,}", flush=True)
                start += 10_000_000
    server.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


def fill(options, server, home, topic, rows):
    """A topic of so many changes, each of a row of its own."""
    config = write_config(home, "fill", server, topic, {})
    server.sql("truncate events")
    with Daemon(options.binary, config, "--only", "capture") as daemon:
        wait_for("the slot", daemon, lambda: server.value("select count(*) from pg_replication_slots where active") == 1)
        server.sql(f"insert into events select g, g % 100, 'item ' || g from generate_series(1, {rows}) g")
        end = server.value("select pg_current_wal_lsn()::text")
        wait_for("the topic", daemon, lambda: server.value(
            f"select bool_and(confirmed_flush_lsn >= '{end}') from pg_replication_slots"))
    server.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")


def throughput(options, server, home):
    print("\ndeliveries a second from a backlog of rows with different keys")
    print(f"{'in flight':>10} {'answer after':>13} {'deliveries/s':>13} {'CPU s per M':>12} {'most open':>10}")
    fill(options, server, home, "backlog", options.deliveries)
    for delay in (0.0, 5.0):
        for in_flight in (1, 16, 256):
            rows = options.deliveries if delay == 0 else min(options.deliveries, 150 * in_flight * 2)
            with Receiver(options.receiver, delay) as receiver:
                sink = f"hook_{in_flight}_{int(delay)}"
                config = write_config(home, sink, server, "backlog",
                                      {sink: webhook(receiver.url, in_flight=in_flight, start="beginning")})
                with Daemon(options.binary, config, "--only", "deliver") as daemon:
                    arrived, most = {}, 0

                    def enough():
                        nonlocal most
                        more, open_now = receiver.report()
                        arrived.update(more)
                        most = max(most, open_now)
                        return len(arrived) >= rows
                    wait_for("deliveries", daemon, enough, 300)
                    ticks = sum(int(field) for field in pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")")[1].split()[11:13])
                times = sorted(arrived.values())
                cpu = ticks / os.sysconf("SC_CLK_TCK") / len(times) * 1e6
                print(f"{in_flight:>10} {delay:>10.0f} ms {len(times) / (times[-1] - times[0]):13,.0f} {cpu:12.1f} {most:10}", flush=True)


def condition(options, server, home):
    print(f"\na condition that discards 99 % of {options.changes:,} inserts, into a sink that keeps nothing")
    fill(options, server, home, "many", options.changes)
    entries = {"no condition": {"match": "public.events"},
               "NEW.qty = 7": {"match": "public.events", "when": "NEW.qty = 7"},
               "three terms": {"match": "public.events", "when": "op = 'insert' AND NEW.qty = 7 AND NEW.name LIKE 'item %'"}}
    cpu = {name: [] for name in entries}
    for number in range(options.pairs):
        for name, entry in entries.items():
            config = write_config(home, "condition", server, "many",
                                  {f"sink_{number}_{len(cpu[name])}_{list(entries).index(name)}":
                                   {"type": "blackhole", "start": "beginning", "tables": [entry]}})
            process = subprocess.Popen([options.binary, "run", str(config), "--only", "deliver", "--until-caught-up",
                                        "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
            errors = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            if os.waitstatus_to_exitcode(status) != 0:
                sys.exit(errors[-3000:])
            cpu[name].append((usage.ru_utime + usage.ru_stime) / options.changes * 1e6)
    base = statistics.median(cpu["no condition"])
    for name, values in cpu.items():
        print(f"  {name:14} {statistics.median(values):5.2f} s of CPU per million ({min(values):.2f}-{max(values):.2f})"
              + ("" if name == "no condition" else f", {statistics.median(values) - base:+.2f}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--receiver", required=True)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--deliveries", type=int, default=50_000)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", choices=["latency", "throughput", "condition"])
    options = parser.parse_args()
    settings = {"shared_buffers": "512MB", "autovacuum": "off", "fsync": "on", "max_wal_size": "8GB", "log_min_messages": "warning"}
    with PostgresServer(version=15, settings=settings) as server, tempfile.TemporaryDirectory(prefix="tailwater-bench-") as home:
        server.sql("create table events (marker bigint primary key, qty int, name text)")
        for part in (latency, throughput, condition):
            if options.only in (None, part.__name__):
                part(options, server, pathlib.Path(home))


if __name__ == "__main__":
    main()
