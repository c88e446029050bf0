"""A Kafka client of somebody else: PyPI's confluent-kafka, pinned, fetched on first use, kept in $TW_CACHE."""
import importlib
import pathlib
import subprocess
import sys
import tempfile
import warnings

from tests.receivers.libraries import fetched

PINS = ["confluent-kafka==2.11.1", "protobuf==5.29.5"]


def confluent_kafka():
    """Makes confluent_kafka and google.protobuf importable in this process."""
    folder = fetched("kafka", PINS, lambda target: subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-input", "--root-user-action=ignore", "--target", str(target), *PINS],
        capture_output=True, text=True))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module("confluent_kafka")


class Silence(Exception):
    """Nothing came, though not every partition has said that it ended."""


def read_all(brokers, topic, committed=True, timeout=20):
    """Everything that can be read now, in order of each partition.

    This client is seen, rarely, to fall silent before the end of a partition. What was read is then thrown away,
    said in a warning, and read once more by another client: what the broker withholds is silent again, and fails.
    """
    try:
        return _read_all(brokers, topic, committed, timeout)
    except Silence as silence:
        warnings.warn(f"{silence}; another client begins", stacklevel=2)
    return _read_all(brokers, topic, committed, timeout * 3)


def _read_all(brokers, topic, committed, timeout):
    kafka = confluent_kafka()
    consumer = kafka.Consumer({
        "bootstrap.servers": brokers, "group.id": "reader", "enable.auto.commit": False, "auto.offset.reset": "earliest",
        "enable.partition.eof": True, "isolation.level": "read_committed" if committed else "read_uncommitted"})
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        if not partitions:
            raise RuntimeError(f"there is no topic {topic}")
        consumer.assign([kafka.TopicPartition(topic, p, kafka.OFFSET_BEGINNING) for p in partitions])
        records, ended = [], set()
        while len(ended) < len(partitions):
            message = consumer.poll(timeout)
            if message is None:
                raise Silence(f"{topic}: nothing came for {timeout} s; " + "; ".join(
                    _place(kafka, consumer, topic, p) for p in partitions if p not in ended))
            if message.error():
                if message.error().code() != kafka.KafkaError._PARTITION_EOF:
                    raise RuntimeError(str(message.error()))
                ended.add(message.partition())
                continue
            records.append({"partition": message.partition(), "offset": message.offset(), "key": message.key(),
                            "value": message.value(), "time": message.timestamp()[1],
                            "headers": {name: value for name, value in message.headers() or []}})
        return records
    finally:
        consumer.close()


def _place(kafka, consumer, topic, partition):
    """Where the consumer stands in a partition, and where the broker says that it may be read to."""
    at = consumer.position([kafka.TopicPartition(topic, partition)])[0].offset
    try:
        low, high = consumer.get_watermark_offsets(kafka.TopicPartition(topic, partition), timeout=10)
    except kafka.KafkaException as error:
        return f"partition {partition} at {at}, its ends unknown: {error}"
    return f"partition {partition} at {at}, readable from {low} to {high}"


def change_type():
    """The class of tailwater.v1.Change, made from the published .proto by protoc."""
    confluent_kafka()
    source = pathlib.Path(__file__).resolve().parents[2] / "include" / "tailwater"
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{source}", "--include_imports", f"--descriptor_set_out={out.name}", "change.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tailwater.v1.Change"))
