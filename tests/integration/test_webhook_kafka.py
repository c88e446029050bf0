"""Webhooks whose topic lies in Kafka: the calls of a partition pass from process to process, and no row's order suffers."""
import collections
import signal

import pytest

from tests.receivers.libraries import python_libraries
from tests.receivers.receiver import SECRET, Receiver
from tests.servers.kafka_client import confluent_kafka
from tests.support.daemon import wait_until
from tests.support.kafka_pipeline import KafkaPipeline

ROWS = 60


@pytest.fixture(autouse=True)
def libraries():
    try:
        python_libraries()
    except Exception as error:
        pytest.skip(f"the libraries that receivers verify with cannot be had: {error}")


def plans(server, kafka, receiver, tmp_path):
    server.sql("create table user_plans (user_id int primary key, seats int)")
    return KafkaPipeline(tmp_path, server, kafka, ["public.user_plans"], sinks={"hook": {
        "type": "webhook", "url": receiver.url, "secret": SECRET, "allow_addresses": ["127.0.0.1"], "in_flight": 4, "start": "beginning",
        "retry": {"initial": "20ms", "max": "200ms"}}})


def share(process):
    return process.sink("hook")["offsets"] if process.answers() else {}


def committed(kafka, pipeline):
    """The group's offsets, as the cluster has them."""
    client = confluent_kafka()
    consumer = client.Consumer({"bootstrap.servers": kafka.brokers, "group.id": f"{pipeline.topic_name}.hook"})
    try:
        places = consumer.committed([client.TopicPartition(pipeline.topic_name, partition) for partition in range(3)], timeout=30)
        return {place.partition: place.offset for place in places}
    finally:
        consumer.close()


def raise_seats(server, times):
    for _ in range(times):
        server.sql("update user_plans set seats = seats + 1")


def assert_every_change_in_order(receiver, last):
    """By the first arrival of each id: what comes again is the same call, and receivers drop it."""
    seen, bodies = collections.defaultdict(list), {}
    for call in receiver.taken:
        if call.id not in bodies:
            seen[call.body["data"]["after"]["user_id"]].append(call.body["data"]["after"]["seats"])
        assert bodies.setdefault(call.id, call.raw) == call.raw, "one id, two bodies"
    assert seen == {row: list(range(last + 1)) for row in range(1, ROWS + 1)}
    assert receiver.refused == []


def test_processes_share_the_calls_and_one_that_dies_is_replaced(server, kafka, tmp_path):
    with Receiver() as receiver:
        pipeline = plans(server, kafka, receiver, tmp_path)
        with pipeline.start("--only", "capture") as capture, pipeline.start("--only", "deliver", "--instance", "two") as two, \
                pipeline.start("--only", "deliver", "--instance", "three") as three:
            capture.wait_state("streaming")
            wait_until("a share for each", lambda: share(two) and share(three) and len({**share(two), **share(three)}) == 3, 60)
            server.sql(f"insert into user_plans select g, 0 from generate_series(1, {ROWS}) g")
            raise_seats(server, 10)
            wait_until("calls of both", lambda: two.sink("hook")["applied"] > 20 and three.sink("hook")["applied"] > 20)
            raise_seats(server, 10)
            two.kill()
            raise_seats(server, 10)
            wait_until("the other to have all", lambda: len(share(three)) == 3, 60)
            with pipeline.start("--only", "deliver", "--instance", "two") as again:
                wait_until("its share again", lambda: share(again) and len(share(three)) < 3, 60)
                raise_seats(server, 10)
                wait_until("all calls", lambda: len(set(receiver.ids())) == ROWS * 41, 120)
    assert_every_change_in_order(receiver, 40)


def test_a_process_that_stood_still_repeats_calls_and_takes_nothing_back(server, kafka, tmp_path):
    with Receiver() as receiver:
        pipeline = plans(server, kafka, receiver, tmp_path)
        with pipeline.start("--only", "capture") as capture, pipeline.start("--only", "deliver", "--instance", "two") as zombie, \
                pipeline.start("--only", "deliver", "--instance", "three") as other:
            capture.wait_state("streaming")
            wait_until("a share for each", lambda: share(zombie) and share(other) and len({**share(zombie), **share(other)}) == 3, 60)
            server.sql(f"insert into user_plans select g, 0 from generate_series(1, {ROWS}) g")
            raise_seats(server, 20)
            wait_until("its first calls", lambda: zombie.sink("hook")["applied"] > 20)
            zombie.process.send_signal(signal.SIGSTOP)
            try:
                raise_seats(server, 10)
                wait_until("the other to take over and call for everything", lambda: len(share(other)) == 3 and
                           len(set(receiver.ids())) == ROWS * 31, 120)
                places = committed(kafka, pipeline)
            finally:
                zombie.process.send_signal(signal.SIGCONT)

            def shares_again():
                now = committed(kafka, pipeline)
                assert all(now[partition] >= place for partition, place in places.items()), (places, now)
                return share(zombie) and len(share(other)) < 3
            wait_until("the zombie to have a share again", shares_again, 60)
            raise_seats(server, 10)
            wait_until("all calls", lambda: len(set(receiver.ids())) == ROWS * 41, 120)
    assert_every_change_in_order(receiver, 40)
