"""The main job on a topic of a real Kafka: exactly once for every reader, shared by processes, through the death of each part."""
import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

from tests.conftest import start_kafka
from tests.support.daemon import wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.workload import SCHEMA, TABLES, Workload


def history(server, steps, seed=1):
    connection = server.connect()
    workload = Workload(connection, seed)
    for _ in range(steps):
        workload.step()
    connection.close()


class Busy:
    """A workload in the background, until the end of the `with`."""

    def __init__(self, server, seed=1, pause=0.002):
        self.connection = server.connect()
        self.workload = Workload(self.connection, seed, large=500)
        self.stopping = threading.Event()
        self.pause = pause
        self.error = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.stopping.is_set():
                self.workload.step()
                time.sleep(self.pause)
        except Exception as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.thread.join()
        self.connection.close()
        if self.error:
            raise self.error


def lines(path):
    """What a stdout sink wrote; a line may be cut by a kill."""
    found = []
    for line in pathlib.Path(path).read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            pass
    return found


def test_changes_arrive_whole_and_any_reader_understands_them(server, kafka, tmp_path):
    server.sql(SCHEMA)
    pipeline = KafkaPipeline(tmp_path, server, kafka, TABLES)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        history(server, 300)
        assert daemon.stop() == 0
    pipeline.catch_up()
    pipeline.assert_copy_equals_source()
    records = pipeline.committed()
    assert {r["partition"] for r in records if r["op"] in ("insert", "update", "delete")} == {0, 1, 2}
    # The same through another client, and by our own command.
    kcat = subprocess.run(["kcat", "-C", "-e", "-q", "-b", kafka.brokers, "-t", pipeline.topic_name, "-f", "%h\n"],
                          capture_output=True, text=True, timeout=60)
    assert kcat.stdout.count("tailwater.id=") == len(records), kcat.stderr
    tail = [r["id"] for r in pipeline.topic()]
    assert set(tail) == {r["id"] for r in records}
    settings = kafka.topic_settings(pipeline.topic_name)
    assert settings["cleanup.policy"] == "delete" and settings["retention.ms"] == str(7 * 24 * 3600 * 1000)
    assert kafka.topic_settings(pipeline.topic_name + ".state")["cleanup.policy"] == "compact"
    assert kafka.topics()[pipeline.topic_name] == 3 and kafka.topics()[pipeline.topic_name + ".state"] == 1


def test_no_local_disk_is_needed(server, kafka, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t values (1)")
        wait_until("the row", lambda: pipeline.copy_path.exists() and daemon.sink("copy")["applied"] > 0 and daemon.sink("copy").get("lag_records") == 0)
        assert daemon.stop() == 0
    shutil.rmtree(tmp_path / "scratch", ignore_errors=True)
    server.sql("insert into t values (2)")
    pipeline.catch_up()
    assert pipeline.copy("select id from t order by id") == [(1,), (2,)]


def test_deliver_processes_share_the_partitions_and_keep_the_order_per_key(server, kafka, tmp_path):
    server.sql("create table t (id int primary key, n int not null)")
    server.sql("insert into t select g, 0 from generate_series(1, 200) g")
    feed = {"feed": {"type": "stdout", "start": "beginning"}}
    pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.t"], sinks=feed, topic={"partitions": 6})
    with pipeline.start("--only", "capture") as capture:
        capture.wait_state("streaming")
        first = pipeline.start("--only", "deliver", "--instance", "two")
        others = []
        try:
            update = "update t set n = n + 1 where id %% 4 = %s"
            for round_ in range(8):
                server.sql(update, (round_ % 4,))
            wait_until("the first lines", lambda: len(lines(first.out_path)) >= 400, 30)
            others = [pipeline.start("--only", "deliver", "--instance", name) for name in ("three", "four")]
            for other in others:
                wait_until("a share of the partitions", lambda: other.answers() and other.sink("feed")["state"] == "running", 40)
            for round_ in range(8):
                server.sql(update, (round_ % 4,))
            wait_until("lines of all three", lambda: all(lines(p.out_path) for p in (first, *others)), 30)
            others[0].kill()
            for round_ in range(8):
                server.sql(update, (round_ % 4,))
            expected = 24 * 50
            def ids():
                return {line["id"] for p in (first, *others) for line in lines(p.out_path) if line["op"] == "update"}
            wait_until("every update, through the death of one", lambda: len(ids()) == expected, 60)
            for process in (first, *others):
                position = {}
                for line in lines(process.out_path):
                    if line["op"] != "update":
                        continue
                    key = line["key"]["id"]
                    # A line may come again after a rebalance; a change never in front of an older one that was not yet delivered.
                    position.setdefault(key, []).append(line["after"]["n"])
                for key, values in position.items():
                    best = 0
                    for value in values:
                        assert value <= best + 24, (key, values)
                        best = max(best, value)
            order = collections.defaultdict(list)
            for process in (first, *others):
                for line in lines(process.out_path):
                    if line["op"] == "update":
                        order[line["key"]["id"]].append(line["after"]["n"])
            for key, values in order.items():
                assert sorted(set(values)) == list(range(1, 7)), (key, values)
        finally:
            first.kill()
            for other in others:
                other.kill()


def test_a_second_capturer_stands_by_and_takes_over_within_ten_seconds(server, kafka, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.t"])
    with pipeline.start() as first:
        first.wait_state("streaming")
        with pipeline.start("--instance", "two") as second:
            wait_until("the second to stand by", lambda: "standing by" in second.log(), 20)
            server.sql("insert into t values (1)")
            first.kill()
            died = time.monotonic()
            second.wait_state("streaming", timeout=20)
            took = time.monotonic() - died
            server.sql("insert into t values (2)")
            wait_until("both rows", lambda: os.path.exists(pipeline.copy_path) and
                       pipeline.copy("select count(*) from sqlite_master where name = 't'")[0][0] and
                       pipeline.copy("select id from t order by id") == [(1,), (2,)], 30)
            assert took < 10, took
    pipeline.committed()


def test_a_capturer_that_stood_still_is_fenced_and_stands_by(server, kafka, tmp_path):
    server.sql("create table t (id int primary key, pad text)")
    pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.t"], sinks={})
    with pipeline.start() as first, pipeline.start("--instance", "two") as second:
        wait_until("one to stream", lambda: any(d.answers() and d.source()["state"] == "streaming" for d in (first, second)))
        owner, other = (first, second) if first.source()["state"] == "streaming" else (second, first)
        server.sql("insert into t select g, repeat('x', 1000) from generate_series(1, 5000) g")
        owner.process.send_signal(signal.SIGSTOP)
        try:
            other.wait_state("streaming", timeout=30)
            server.sql("insert into t select g, 'y' from generate_series(5001, 6000) g")
        finally:
            owner.process.send_signal(signal.SIGCONT)
        wait_until("the zombie to stand by", lambda: "standing by" in owner.log(), 40)
        server.sql("insert into t select g, 'z' from generate_series(6001, 6100) g")
        # Neither fences the other from here on.
        wait_until("everything", lambda: len([r for r in pipeline.committed() if r["op"] == "insert"]) == 6100, 60)
        before = (first.log().count("capture started"), second.log().count("capture started"))
        time.sleep(3)
        assert (first.log().count("capture started"), second.log().count("capture started")) == before
        assert other.source()["state"] == "streaming"


def test_a_broker_that_is_killed_and_comes_back_loses_and_doubles_nothing(server, tmp_path):
    server.sql(SCHEMA)
    with start_kafka() as own:
        pipeline = KafkaPipeline(tmp_path, server, own, TABLES)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            with Busy(server):
                for _ in range(3):
                    time.sleep(1)
                    own.crash()
                    time.sleep(0.5)
                    own.start()
            daemon.wait_state("streaming", timeout=60)
            assert daemon.stop() == 0
        pipeline.catch_up()
        pipeline.assert_copy_equals_source()
        pipeline.committed()


def test_three_nodes_survive_the_death_of_each(server, tmp_path):
    server.sql(SCHEMA)
    with start_kafka(nodes=3) as own:
        pipeline = KafkaPipeline(tmp_path, server, own, TABLES)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            assert own.topic_settings(pipeline.topic_name)["min.insync.replicas"] == "2"
            with Busy(server):
                for node in (1, 2, 3):
                    time.sleep(1)
                    own.crash(node)
                    time.sleep(3)
                    own.start(node)
            daemon.wait_state("streaming", timeout=60)
            assert daemon.stop() == 0
        pipeline.catch_up()
        pipeline.assert_copy_equals_source()
        pipeline.committed()


def test_a_change_larger_than_the_topic_takes(server, kafka, tmp_path):
    server.sql("create table t (id int primary key, body text); alter table t alter body set storage external")
    halting = KafkaPipeline(tmp_path / "halt", server, kafka, ["public.t"], topic={"max_record_size": "64KiB"})
    with halting.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t values (1, 'small')")
        server.sql("insert into t values (2, repeat('x', 100000))")
        state = wait_until("the halt", lambda: daemon.source().get("code") == "record_too_large" and daemon.source())
        assert "public.t" in state["message"] and "key: id" in state["message"] and "65536" in state["message"].replace(",", "")
    document = json.loads(halting.files[0].read_text())
    document["topic"]["oversize"] = "omit_columns"
    halting.files[0].write_text(json.dumps(document))
    halting.catch_up()
    rows = [r["change"] for r in halting.committed() if r["op"] == "insert"]
    values = {row.after.values[0].int64_value: row.after.values[1] for row in rows}
    assert values[1].text == "small" and values[2].WhichOneof("kind") is None
    assert halting.copy("select id, body from t order by id") == [(1, "small"), (2, None)]


def test_a_sink_with_one_writer_goes_to_one_process_at_a_time(server, kafka, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.t"])
    with pipeline.start("--only", "capture") as capture:
        capture.wait_state("streaming")
        with pipeline.start("--only", "deliver", "--instance", "two") as first:
            wait_until("it to deliver", lambda: first.answers() and first.sink("copy")["state"] == "running")
            with pipeline.start("--only", "deliver", "--instance", "three") as second:
                wait_until("the second to stand by", lambda: second.answers() and second.sink("copy")["state"] == "standby", 40)
                server.sql("insert into t select generate_series(1, 1000)")
                wait_until("the rows", lambda: pipeline.copy("select count(*) from sqlite_master where name = 't'")[0][0] and
                           pipeline.copy("select count(*) from t") == [(1000,)])
                assert len(first.sink("copy")["offsets"]) == 3 and not second.sink("copy").get("offsets")
                first.kill()
                server.sql("insert into t select generate_series(1001, 2000)")
                wait_until("the second to go on", lambda: pipeline.copy("select count(*) from t") == [(2000,)], 40)
                assert len(second.sink("copy")["offsets"]) == 3
