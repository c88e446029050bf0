"""Pause, kill -9 and rewind of sinks whose topic is one of Kafka: places and marks lie in the group, by partition."""
import json
import signal

from tests.integration.test_sinks import KEYED, Load, sinks, sinks_of, wait_equal
from tests.servers.kafka import KafkaServer
from tests.support.daemon import Pipeline, wait_until
from tests.support.workload import SCHEMA


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_paused_sink_stays_paused_over_a_kill_and_a_rewind_ends_equal(server, tmp_path):
    server.sql(SCHEMA)
    with KafkaServer() as kafka:
        pipeline = Pipeline(tmp_path, server, KEYED, sinks=sinks_of(tmp_path))
        document = json.loads(pipeline.files[0].read_text())
        document["topic"] = {"type": "kafka", "brokers": kafka.brokers.split(","), "partitions": 3, "replication": 1}
        pipeline.files[0].write_text(json.dumps(document))
        with pipeline.start() as daemon:
            daemon.wait_state("streaming", timeout=60)
            with Load(server, 41) as load:
                wait_until("the first rows", lambda: daemon.sink("copy")["applied"] > 100, 60)
                assert "sink shop/copy paused" in sinks(pipeline, daemon, "pause", "copy")
                place = wait_until("the pause", lambda: daemon.sink("copy")["state"] == "paused" and daemon.sink("copy")["offsets"])
                load.wait_for(40)
                assert daemon.sink("copy")["offsets"] == place
                daemon.process.send_signal(signal.SIGKILL)
                daemon.process.wait()
        with pipeline.start() as daemon:
            daemon.wait_state("streaming", timeout=60)
            wait_until("the pause to be known", lambda: daemon.sink("copy")["state"] == "paused", 60)
            assert daemon.sink("copy")["offsets"] == place
            sinks(pipeline, daemon, "rewind", "copy", "--to", "beginning", "--yes")
            wait_until("the places to move", lambda: set(daemon.sink("copy")["offsets"].values()) == {0})
            sinks(pipeline, daemon, "resume", "copy")
            wait_equal(pipeline, KEYED)
            feed = tmp_path / "feed.json"
            wait_until("the feed", lambda: daemon.sink("feed").get("lag_records") == 0, 60)
            once = lines(feed)
            sinks(pipeline, daemon, "rewind", "feed", "--to", "2001-01-01T00:00:00Z", "--yes")
            wait_until("the feed again", lambda: daemon.sink("feed").get("lag_records") == 0 and len(lines(feed)) >= 2 * len(once), 60)
            assert {line["id"] for line in once} == {line["id"] for line in lines(feed)}
            assert daemon.stop() == 0
