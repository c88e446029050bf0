"""A Kafka client of somebody else: PyPI's confluent-kafka, pinned, fetched on first use, kept in $TW_CACHE."""
import importlib
import pathlib
import subprocess
import sys
import tempfile

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


def read_all(brokers, topic, committed=True, timeout=60):
    """Everything that can be read now, in order of each partition."""
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
                raise RuntimeError(f"{topic}: nothing came for {timeout} s; is a transaction open?")
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
