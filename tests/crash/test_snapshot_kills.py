"""kill -9 again and again while tables are copied beside writers: at named crash points and at random moments. What is repeated is at
most one chunk per worker and kill, and the copy ends equal to the source."""
import os
import random
import time

from tests.conftest import start_server
from tests.support.kills import Writer, crash_points
from tests.support.daemon import Pipeline, wait_until
from tests.support.table_copy import assert_equal, reads
from tests.support.workload import COLUMNS, SCHEMA, TABLES

KILLS = int(os.environ.get("TW_SNAPSHOT_KILLS", "40"))
SEED = int(os.environ.get("TW_SEED", "1"))
ROWS, CHUNK, WORKERS = 150_000, 1000, 2


def test_a_snapshot_survives_kills_and_repeats_little(tmp_path):
    chance = random.Random(SEED)
    points = [point for point in crash_points() if not point.startswith(("kafka_", "sink_rew", "topic_taken_over", "gap_", "handover"))]
    with start_server() as server:
        server.sql(SCHEMA + f"""
            create table big (id bigint primary key, v text not null);
            insert into big select g, 'row ' || g from generate_series(1, {ROWS}) g;
            create table quiet (a int, b uuid, primary key (a, b));
            insert into quiet select g % 10, md5(g::text)::uuid from generate_series(1, 20000) g""")
        pipeline = Pipeline(tmp_path, server, [*TABLES, "public.big", "public.quiet"],
                            source_options={"snapshot": {"chunk_rows": CHUNK, "workers": WORKERS}})
        writer = Writer(server, SEED)
        writer.start()
        started, fired = time.monotonic(), 0
        for kill in range(KILLS):
            environment = {"TAILWATER_CRASH_POINT": f"{points[kill // 2 % len(points)]}:{chance.choice([1, 2, 5, 20])}"} if kill % 2 else {}
            with pipeline.start(**environment) as daemon:
                try:
                    daemon.process.wait(chance.uniform(0.15, 0.6))
                    fired += 1
                except Exception:
                    pass  # still running: the context manager kills it
        print(f"{KILLS} kills in {time.monotonic() - started:.0f} s, {fired} at named points")
        with pipeline.start() as daemon:
            wait_until("all copies", lambda: daemon.answers() and daemon.source()["state"] == "streaming" and
                       daemon.source()["snapshots"]["tables_waiting"] == 0, 120)
        writer.stop()
        pipeline.catch_up()
        for table, columns in {**COLUMNS, "big": ["id", "v"], "quiet": ["a", "b"]}.items():
            assert_equal(pipeline, table, columns)
        records = pipeline.topic()
        assert len({record["id"] for record in records}) == len(records)
        repeated = len(reads(records, "public.big")) - ROWS
        print(f"{repeated} rows of {ROWS} were copied more than once")
        assert repeated <= (KILLS + 1) * WORKERS * CHUNK
