"""kill -9 of the daemon, again and again, with its topic on a real Kafka: for every reader of committed records each tailwater.id once, and the
copy equal to the source."""
import collections
import os
import random
import subprocess
import time

from tests.conftest import start_kafka, start_mysql, start_server
from tests.support.kills import Writer, crash_points, dies_within, fold
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.workload import COLUMNS, TABLES, create_tables, differences, source_rows

KILLS = int(os.environ.get("TW_KAFKA_KILLS", "60"))  # a release is given 200
# What differs by source is between its log and the topic's writer: few of these suffice.
MYSQL_KILLS = int(os.environ.get("TW_MYSQL_KAFKA_KILLS", "14"))
MYSQL_POINTS = ("before_append", "appended_not_durable", "part_published", "published_not_released", "released", "kafka_")
SEED = int(os.environ.get("TW_SEED", "1"))


def test_committed_readers_see_each_id_once_after_kills(tmp_path):
    survive(start_server(), tmp_path, KILLS, crash_points())


def test_committed_readers_see_each_id_of_mysql_once_after_kills(tmp_path):
    survive(start_mysql("mariadb"), tmp_path, MYSQL_KILLS, [point for point in crash_points("mysql") if point.startswith(MYSQL_POINTS)], dies_within)


def ends_within(daemon, seconds):
    try:
        daemon.process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def survive(database, tmp_path, kills, points, ends=ends_within):
    """`ends`: whether a daemon ended by itself, of many kills in whatever phase it is, of few from where it streams."""
    chance = random.Random(SEED)
    hit = collections.Counter()
    with database as server, start_kafka() as kafka:
        create_tables(server)
        pipeline = KafkaPipeline(tmp_path, server, kafka, TABLES, topic={"transaction_size": "64KiB"})
        writer = Writer(server, SEED)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
        writer.start()
        started = time.monotonic()
        for kill in range(kills):
            environment, point = {}, None
            if kill % 2 == 0:
                point = points[(kill // 2) % len(points)]
                environment["TAILWATER_CRASH_POINT"] = f"{point}:{chance.choice([1, 1, 2, 5])}"
            with pipeline.start(**environment) as daemon:  # which kills it
                if ends(daemon, chance.uniform(0.2, 1.0)):
                    assert point and daemon.process.returncode == -9, daemon.log()[-3000:]
                    hit[point] += 1
        writer.stop()
        print(f"{kills} kills in {time.monotonic() - started:.0f} s, {writer.workload.transactions} transactions, "
              f"named points that fired: {dict(hit)}")
        pipeline.catch_up()
        records = pipeline.committed()
        ordinals = collections.defaultdict(set)
        for record in records:
            change = record["change"]
            if not change.position.startswith("v"):
                ordinals[(change.epoch, change.position)].add(change.ordinal)
        assert [place for place, seen in ordinals.items() if seen != set(range(len(seen)))] == [], "ordinals with a hole"
        assert len(records) > kills, "hardly anything was published"
        # Versions are given in the order of publication: across partitions they are the order of the source.
        folded = fold(sorted(pipeline.topic(), key=lambda record: record["version"]))
        for table in COLUMNS:
            assert differences(source_rows(server, table), folded[table]) == "", f"topic: {table}"
        pipeline.assert_copy_equals_source()
