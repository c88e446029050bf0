"""A pipeline whose topic lies in a Kafka cluster, and what others read of it."""
import collections
import uuid

from tests.servers.kafka_client import change_type, read_all
from tests.support.daemon import Pipeline
from tests.support.workload import COLUMNS, as_multiset, differences, source_rows


class KafkaPipeline(Pipeline):
    """A topic of its own on the given cluster. Settings of the `topic:` section as keywords."""

    def __init__(self, home, server, kafka, tables, sinks=None, topic=None, **more):
        self.kafka = kafka
        self.topic_name = f"shop-{uuid.uuid4().hex[:10]}"
        settings = {"type": "kafka", "brokers": kafka.brokers.split(","), "name": self.topic_name, "partitions": 3,
                    "replication": min(3, kafka.nodes), "scratch": str(home / "scratch"), **(topic or {})}
        super().__init__(home, server, tables, sinks, topic_options=settings, **more)

    def start(self, *arguments, **environment):
        """Under the name `one`, which gets its work back at once, unless another is given."""
        if "--instance" not in arguments:
            arguments = ("--instance", "one", *arguments)
        return super().start(*arguments, **environment)

    def committed(self):
        """What a reader of committed records sees, decoded by the published change.proto; checks what holds for each record."""
        return checked_records(self.kafka.brokers, self.topic_name)

    def assert_copy_equals_source(self):
        for table, columns in COLUMNS.items():
            copied = as_multiset(self.copy(f"select {', '.join(columns)} from {table}"))
            assert differences(source_rows(self.server, table), copied) == "", table


def checked_records(brokers, topic):
    change = change_type()
    operation = change.DESCRIPTOR.file.enum_types_by_name["Operation"].values_by_number
    control = {"TRUNCATE", "SCHEMA", "FRONTIER", "SWEEP"}
    seen = collections.Counter()
    last = {}
    records = []
    for record in read_all(brokers, topic):
        message = change.FromString(record["value"])
        headers = {name: value.decode() for name, value in record["headers"].items()}
        name = operation[message.operation].name
        identity = f"{message.source}:{message.epoch}:{message.position}:{message.ordinal}:{message.part}"
        assert headers["tailwater.id"] == identity, headers
        assert headers["tailwater.source"] == message.source
        assert headers.get("tailwater.table", "") == message.table
        assert headers["tailwater.op"] == name.lower()
        assert headers["tailwater.version"] == str(message.version)
        assert ("tailwater.control" in headers) == (name in control), headers
        assert "protobuf" in headers["content-type"]
        seen[(record["partition"] if name in control else None, identity)] += 1
        place = (record["partition"], message.source)
        assert message.version > last.get(place, 0), f"versions fell in partition {record['partition']}"
        last[place] = message.version
        del record["value"]  # there are many, and `change` holds it
        records.append({**record, "change": message, "op": name.lower(), "id": identity})
    assert [identity for identity, times in seen.items() if times > 1] == [], "published twice"
    return records
