"""kill -9 of the daemon, and crashes of the target, again and again, while a workload runs: the copies end equal."""
import collections
import os
import random
import time

import pytest

from tests.conftest import start_mysql, start_server
from tests.support.daemon import Pipeline
from tests.support.kills import Writer, dies_within
from tests.support.postgres_copy import PostgresCopy
from tests.support.workload import COLUMNS, TABLES, create_tables

KILLS = int(os.environ.get("TW_POSTGRES_SINK_KILLS", "25"))  # of each; a release is given 100
SEED = int(os.environ.get("TW_SEED", "1"))
# Around what the sink does; the ends of a batch most of all.
POINTS = ["postgres_sink_before_commit", "postgres_sink_committed", "sink_written_not_committed", "sink_committed", "part_published",
          "published_not_released"]


@pytest.mark.parametrize("kind, transactional", [("postgres", True), ("mysql", False)], ids=["postgres-transactions", "mysql-rows"])
def test_the_copy_is_equal_after_kills(kind, transactional, tmp_path):
    chance, hit = random.Random(SEED), collections.Counter()
    with start_server() as target_server, start_server() if kind == "postgres" else start_mysql(kind) as source:
        target = PostgresCopy(target_server)
        create_tables(source)
        pipeline = Pipeline(tmp_path, source, TABLES, sinks={"copy": target.sink(transactional=transactional)},
                            topic_options={"transaction_size": "64KiB"})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
        writer = Writer(source, SEED)
        writer.start()
        started = time.monotonic()
        for kill in range(KILLS):
            environment, point = {}, None
            if kill % 2 == 0:
                point = POINTS[kill // 2 % len(POINTS)]
                environment["TAILWATER_CRASH_POINT"] = f"{point}:{chance.choice([1, 2, 5])}"
            with pipeline.start(**environment) as daemon:  # which kills it
                if kill % 6 == 5:  # the target goes in mid-batch, and comes back under the same daemon
                    time.sleep(chance.uniform(0.1, 0.4))
                    target_server.restart("immediate")
                if dies_within(daemon, 1.0 if point else chance.uniform(0.05, 0.5)):
                    assert point and daemon.process.returncode == -9, daemon.log()[-3000:]
                    hit[point] += 1
        writer.stop()
        print(f"{KILLS} kills in {time.monotonic() - started:.0f} s, {writer.workload.transactions} transactions, points that fired: {dict(hit)}")
        pipeline.catch_up()
        for table in COLUMNS:
            assert target.difference(source, table) == "", table
        assert len(hit) >= min(len(POINTS), KILLS // 2) // 2, f"few crash points fired: {dict(hit)}"
