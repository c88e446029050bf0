"""kill -9 of the daemon, again and again, with its topic on a real Kafka: for every reader of committed records each tailwater.id once, and the
copy equal to the source."""
import collections
import os
import random
import time

from tests.conftest import start_kafka, start_server
from tests.support.kills import Writer, crash_points, fold
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.workload import COLUMNS, SCHEMA, TABLES, differences, source_rows

KILLS = int(os.environ.get("TW_KAFKA_KILLS", "200"))
SEED = int(os.environ.get("TW_SEED", "1"))


def test_committed_readers_see_each_id_once_after_200_kills(tmp_path):
    chance = random.Random(SEED)
    points = crash_points()
    hit = collections.Counter()
    with start_server() as server, start_kafka() as kafka:
        server.sql(SCHEMA)
        pipeline = KafkaPipeline(tmp_path, server, kafka, TABLES, topic={"transaction_size": "64KiB"})
        writer = Writer(server, SEED)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
        writer.start()
        started = time.monotonic()
        for kill in range(KILLS):
            environment, point = {}, None
            if kill % 2 == 0:
                point = points[(kill // 2) % len(points)]
                environment["TAILWATER_CRASH_POINT"] = f"{point}:{chance.choice([1, 1, 2, 5])}"
            with pipeline.start(**environment) as daemon:
                try:
                    daemon.process.wait(chance.uniform(0.2, 1.0))
                    hit[point] += 1
                except Exception:
                    pass  # still running: the context manager kills it
        writer.stop()
        print(f"{KILLS} kills in {time.monotonic() - started:.0f} s, {writer.workload.transactions} transactions, "
              f"named points that fired: {dict(hit)}")
        pipeline.catch_up()
        records = pipeline.committed()
        ordinals = collections.defaultdict(set)
        for record in records:
            change = record["change"]
            if not change.position.startswith("v"):
                ordinals[(change.epoch, change.position)].add(change.ordinal)
        assert [place for place, seen in ordinals.items() if seen != set(range(len(seen)))] == [], "ordinals with a hole"
        assert len(records) > KILLS, "hardly anything was published"
        # Versions are given in the order of publication: across partitions they are the order of the source.
        folded = fold(sorted(pipeline.topic(), key=lambda record: record["version"]))
        for table in COLUMNS:
            assert differences(source_rows(server, table), folded[table]) == "", f"topic: {table}"
        pipeline.assert_copy_equals_source()
