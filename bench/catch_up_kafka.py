"""Catch-up through to a topic of a real Kafka: see bench/run.sh --kafka. The same backlog for each contender; records are counted at the broker."""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from catch_up import WalsenderCpu, RECVLOGICAL, load  # noqa: E402
from tests.servers.kafka import KafkaServer  # noqa: E402
from tests.servers.kafka_client import confluent_kafka  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402
import debezium_server  # noqa: E402

CONFIG = """version: 1
pipeline: bench
sources:
  shop:
    type: postgres
    url: postgres://postgres@127.0.0.1:{port}/postgres
    tables: [public.small]
    snapshot: {{mode: never}}
    slot: {{name: {slot}, create: false}}
    publication: {{name: bench, create: false}}
topic: {{type: kafka, brokers: [{brokers}], name: {slot}, partitions: {partitions}, replication: 1}}
sinks: {{}}
"""


def cpu_and_peak(process):
    """CPU seconds so far, and the peak of resident megabytes."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return (int(fields[11]) + int(fields[12])) / 100, int(status.split("VmHWM:")[1].split()[0]) / 1024


class Counter:
    """How many records a topic holds by its offsets, transaction markers included."""

    def __init__(self, brokers, topic):
        self.kafka = confluent_kafka()
        self.consumer = self.kafka.Consumer({"bootstrap.servers": brokers, "group.id": "count"})
        self.topic = topic
        self.partitions = []

    def ends(self):
        if not self.partitions:
            found = self.consumer.list_topics(timeout=10).topics.get(self.topic)
            self.partitions = list(found.partitions) if found else []
        return sum(self.consumer.get_watermark_offsets(self.kafka.TopicPartition(self.topic, p), timeout=10)[1] for p in self.partitions)


def watch(process, counter, wanted, timeout=900):
    """Seconds from start to the first records and to the last, CPU seconds, peak MB."""
    begin = time.monotonic()
    first = None
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}")
        now = time.monotonic() - begin
        ends = counter.ends()
        if ends and first is None:
            first = now
        if ends >= wanted:
            return first, now, *cpu_and_peak(process)
        if now > timeout:
            raise RuntimeError(f"{ends} of {wanted} records after {timeout} s")
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--rows-per-transaction", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--debezium", action="store_true", help="beside Debezium Server (781 MB, Java 21)")
    options = parser.parse_args()
    if options.debezium:
        print(f"Debezium Server {debezium_server.VERSION} in {debezium_server.fetch()}", flush=True)
    settings = {"shared_buffers": "1GB", "logical_decoding_work_mem": "256MB", "autovacuum": "off", "fsync": "on",
                "max_wal_size": "16GB", "log_min_messages": "warning"}
    with PostgresServer(version=15, settings=settings) as server, KafkaServer(heap="512m", settings={"auto.create.topics.enable": "true"}) as kafka, \
            tempfile.TemporaryDirectory(prefix="tailwater-bench-") as home_name:
        home = pathlib.Path(home_name)
        print(f"loading {options.changes:,} inserts, {options.rows_per_transaction} a transaction …", flush=True)
        load(server, options.changes, options.rows_per_transaction)
        server.sql("select pg_create_logical_replication_slot('end', 'pgoutput')")
        end = server.value("select confirmed_flush_lsn::text from pg_replication_slots where slot_name = 'end'")
        million = options.changes / 1e6

        def floor(slot):
            begin = time.monotonic()
            process = subprocess.Popen([RECVLOGICAL, "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres", "--slot", slot,
                                        "--start", "-f", "/dev/null", "--endpos", end, "-o", "proto_version=1", "-o", "publication_names=bench"])
            process.wait()
            return 0.0, time.monotonic() - begin, 0.0, 0.0

        def ours(slot):
            config = home / f"{slot}.yaml"
            config.write_text(CONFIG.format(port=server.port, slot=slot, brokers=kafka.brokers, partitions=options.partitions))
            with open(home / f"{slot}.log", "wb") as log:
                process = subprocess.Popen([options.binary, "run", str(config), "--only", "capture", "--listen", "127.0.0.1:0"], stderr=log)
            try:
                return watch(process, Counter(kafka.brokers, slot), options.changes)
            finally:
                process.kill()
                process.wait()

        def debezium(slot):
            process = debezium_server.start(home / slot, server, kafka.brokers, slot, slot)
            try:
                return watch(process, Counter(kafka.brokers, f"{slot}.public.small"), options.changes)
            finally:
                process.kill()
                process.wait()

        contenders = {"recv": floor, "ours": ours, **({"debezium": debezium} if options.debezium else {})}
        results = {name: [] for name in contenders}
        print(f"{'':9} {'changes/s':>11} {'whole run/s':>12} {'CPU s/M':>8} {'walsender s/M':>14} {'peak MB':>8}")
        for number in range(options.pairs + 1):  # the first one warms caches and is not counted
            names = list(contenders) if number % 2 else list(reversed(contenders))
            for name in names:
                slot = f"{name}_{number}"
                server.sql("select pg_copy_logical_replication_slot('base', %s)", (slot,))
                with WalsenderCpu(server) as walsender:
                    first, last, cpu, peak = contenders[name](slot)
                while server.value("select active from pg_replication_slots where slot_name = %s", (slot,)):
                    time.sleep(0.05)
                server.sql("select pg_drop_replication_slot(%s)", (slot,))
                rate = options.changes / (last - first)
                if number:
                    results[name].append((rate, options.changes / last, cpu / million, walsender.seconds / million))
                    print(f"{name:9} {rate:11,.0f} {options.changes / last:12,.0f} {cpu / million:8.2f} {walsender.seconds / million:14.2f} {peak:8.0f}", flush=True)

        print(f"\n{options.rows_per_transaction} rows a transaction, {options.partitions} partition(s), medians of {options.pairs}; changes/s from the first "
              "record at the broker to the last, whole run from the start of the process")
        for name in contenders:
            if name != "ours":
                ratios = [o[0] / r[0] for o, r in zip(results["ours"], results[name])]
                print(f"  ours : {name:9} {statistics.median(ratios):6.2f} ({min(ratios):.2f}-{max(ratios):.2f}) in changes/s"
                      + ("" if name == "recv" else f", {statistics.median([r[2] / o[2] for o, r in zip(results['ours'], results[name])]):.1f} times less CPU"))


if __name__ == "__main__":
    main()
