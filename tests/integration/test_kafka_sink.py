"""The kafka sink end to end: each change once through kill -9, conditions, and tables that Debezium's own connector rebuilds."""
import collections
import json
import random
import time

import pytest

from tests.receivers import debezium
from tests.servers.kafka import KafkaServer
from tests.support.daemon import Pipeline, wait_until
from tests.support.workload import SCHEMA, TABLES, Workload


@pytest.fixture
def kafka():
    with KafkaServer() as running:
        yield running


def have_debezium(program):
    try:
        debezium.libraries(program)
    except RuntimeError as error:
        pytest.skip(f"Debezium cannot be had: {error}")


def kafka_sink(kafka, **options):
    return {"type": "kafka", "brokers": kafka.brokers.split(","), "create": {"partitions": 2, "replication": 1}, **options}


def read(kafka, prefix):
    """Records of every topic with the prefix, by topic."""
    return {topic: kafka.records(topic) for topic in kafka.topics() if topic.startswith(prefix)}


def test_each_change_once_and_in_order_through_kills(server, kafka, tmp_path):
    server.sql(SCHEMA)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={"events": kafka_sink(kafka, format="json")})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
    connection = server.connect()
    workload = Workload(connection, seed=1, large=500)
    chance = random.Random(1)
    points = ["kafka_sink_before_commit", "sink_written_not_committed", "sink_committed"]
    fired = 0
    for kill in range(16):
        environment = {"TAILWATER_CRASH_POINT": f"{points[kill // 2 % len(points)]}:{chance.choice([1, 2, 3])}"} if kill % 2 == 0 else {}
        with pipeline.start(**environment) as daemon:
            # A named point is reached as soon as the sink writes; on a busy machine that takes its time.
            end = time.monotonic() + (15 if environment else chance.uniform(0.5, 1.5))
            while time.monotonic() < end and daemon.process.poll() is None:
                workload.step()
                time.sleep(0.002)  # paces the load; nothing waits for it
            fired += daemon.process.poll() is not None
    connection.close()
    assert fired == 8, "a named crash point was not reached"
    pipeline.catch_up()

    expected = {record["id"]: record for record in pipeline.topic() if record["op"] not in ("schema", "frontier", "sweep")}
    seen = collections.Counter()
    for topic, records in read(kafka, "shop.public.").items():
        last = {}
        for record in records:
            if record["value"] is None:
                continue
            change = json.loads(record["value"])
            seen[change["id"]] += 1
            assert record["headers"]["tailwater.id"] == change["id"].encode()
            assert topic == f"shop.{change['table']}"
            if record["key"] is not None:
                assert last.get(record["key"], 0) < change["version"], f"out of order: {record['key']}"
                last[record["key"]] = change["version"]
    assert [i for i, n in seen.items() if n > 1] == [], "records written twice"
    assert set(seen) == set(expected)


def test_processes_share_the_work_and_die_and_each_change_is_written_once(server, kafka, tmp_path):
    """The pipeline's own topic lies in Kafka, in three partitions; whoever is killed, others go on with what was its."""
    server.sql(SCHEMA)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks={"events": kafka_sink(kafka, format="json")})
    document = json.loads(pipeline.files[0].read_text())
    document["topic"] = {"type": "kafka", "brokers": kafka.brokers.split(","), "name": "shop-log", "partitions": 3, "replication": 1,
                         "scratch": str(tmp_path / "scratch")}
    pipeline.files[0].write_text(json.dumps(document))
    chance = random.Random(2)
    connection = server.connect()
    workload = Workload(connection, seed=2, large=500)
    points = ["kafka_sink_before_commit", "kafka_sink_between_commits", "sink_written_not_committed"]

    def deliver(name, **environment):
        return pipeline.start("--only", "deliver", "--instance", name, **environment)

    with pipeline.start("--only", "capture", "--instance", "capture") as capture, deliver("steady") as steady:
        capture.wait_state("streaming")
        for round_ in range(6):
            environment = {"TAILWATER_CRASH_POINT": f"{points[round_ % 3]}:{chance.choice([2, 5])}"} if round_ % 2 == 0 else {}
            with deliver("other", **environment) as other:
                end = time.monotonic() + chance.uniform(1.5, 3)
                while time.monotonic() < end and other.process.poll() is None:
                    workload.step()
        connection.close()
        written = server.value("select pg_current_wal_lsn()")
        wait_until("the topic", lambda: server.sql("select 1 where %s::pg_lsn >= %s::pg_lsn", (capture.source()["frontier"], written)))
        assert capture.stop() == 0
        assert steady.process.poll() is None, steady.log()[-3000:]
    pipeline.catch_up()

    log = [record for record in kafka.records("shop-log") if record["headers"]["tailwater.op"] not in (b"schema", b"frontier", b"sweep")]
    expected = {record["headers"]["tailwater.id"] for record in log}
    seen = collections.Counter(record["headers"]["tailwater.id"] for records in read(kafka, "shop.public.").values() for record in records
                               if record["value"] is not None)
    assert [i for i, n in seen.items() if n > 1] == [], "records written twice"
    assert set(seen) == expected
    assert {record["partition"] for record in log} == {0, 1, 2}


def written(kafka, topic):
    """(key, value, id) in the order of the topic's one partition; tombstones included."""
    records = sorted(kafka.records(topic), key=lambda record: record["offset"])
    return [(record["key"], record["value"], record["headers"].get("tailwater.id")) for record in records]


def orders(server, kafka, tmp_path):
    server.sql("create table orders (id int primary key, note text)")
    return Pipeline(tmp_path, server, ["public.orders"], sinks={
        "events": kafka_sink(kafka, format="json", create={"partitions": 1, "replication": 1})})


def copied_first(daemon):
    """The table is empty still: what comes from here on are changes."""
    daemon.wait_state("streaming")
    wait_until("the first copy", lambda: daemon.source()["snapshots"]["tables_copied"] == 1)


def wait_written(daemon, kafka, count):
    wait_until(f"{count} records", lambda: daemon.sink("events").get("lag_records") == 0 and
               "shop.public.orders" in kafka.topics() and len(kafka.records("shop.public.orders")) == count)


def test_a_rewind_writes_every_change_again_in_order(server, kafka, tmp_path):
    pipeline = orders(server, kafka, tmp_path)
    with pipeline.start() as daemon:
        copied_first(daemon)
        server.sql("insert into orders select g, 'a' from generate_series(1, 50) g")
        server.sql("update orders set note = 'b' where id <= 20; delete from orders where id > 45")
        wait_written(daemon, kafka, 50 + 20 + 5 * 2)  # a delete and its tombstone
        once = written(kafka, "shop.public.orders")
        rewound = pipeline.command("sinks", "rewind", "events", "--to", "beginning", "--yes", "--server", daemon.url)
        assert rewound.returncode == 0, rewound.stderr
        wait_written(daemon, kafka, 2 * len(once))
        server.sql("insert into orders values (99, 'behind')")
        wait_written(daemon, kafka, 2 * len(once) + 1)
        assert daemon.stop() == 0
    assert written(kafka, "shop.public.orders")[:-1] == once + once


def test_a_copy_writes_each_row_once_and_its_sweep_nothing(server, kafka, tmp_path):
    pipeline = orders(server, kafka, tmp_path)
    with pipeline.start() as daemon:
        copied_first(daemon)
        server.sql("insert into orders select g, 'a' from generate_series(1, 50) g; delete from orders where id > 45")
        wait_written(daemon, kafka, 50 + 5 * 2)
        copied = pipeline.command("sources", "snapshot", "shop", "public.orders", "--server", daemon.url)
        assert copied.returncode == 0, copied.stderr
        wait_written(daemon, kafka, 60 + 45)
        assert daemon.stop() == 0
    again = [json.loads(value) for _, value, _ in written(kafka, "shop.public.orders")[60:]]
    assert {change["op"] for change in again} == {"read"}
    assert sorted(change["after"]["id"] for change in again) == list(range(1, 46))


def test_only_what_a_condition_selects_is_written(server, kafka, tmp_path):
    server.sql("create table orders (id int primary key, state text); alter table orders replica identity full")
    pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={"events": kafka_sink(kafka, schemas=False, tables=[
        {"match": "public.orders", "when": "op = 'update' AND NEW.state = 'paid' AND OLD.state <> 'paid'", "topic": "paid-orders"}])})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into orders select g, 'new' from generate_series(1, 20) g")
        server.sql("update orders set state = 'paid' where id <= 5")
        server.sql("update orders set state = 'paid' where id <= 6")
        written = server.value("select pg_current_wal_lsn()")
        wait_until("the changes", lambda: server.sql("select 1 where %s::pg_lsn >= %s::pg_lsn", (daemon.source()["frontier"], written)) and
                   daemon.sink("events").get("lag_records") == 0)
        assert daemon.stop() == 0
    records = kafka.records("paid-orders")
    assert sorted(json.loads(record["key"])["id"] for record in records) == [1, 2, 3, 4, 5, 6]
    value = json.loads(records[0]["value"])
    assert value["op"] == "u" and value["before"]["state"] == "new" and value["after"]["state"] == "paid"
    assert value["source"]["db"] == "postgres" and value["source"]["table"] == "orders" and value["source"]["lsn"] > 0


# Columns by type, with two values each; another row holds NULL everywhere. Only what the connector can write back as it was: it wants
# PostGIS for a point, boolean for a bit(1), whole seconds in an interval, and Debezium's form of a timetz is UTC. The unit tests have the rest.
COLUMNS = [
    ("b", "boolean", "true", "false"),
    ("i2", "smallint", "-32768", "7"),
    ("i4", "integer", "2147483647", "0"),
    ("i8", "bigint", "-9223372036854775808", "1"),
    ("r", "real", "'0.1'", "'-2.5'"),
    ("d", "double precision", "'0.1'", "'5e-300'"),
    ("n2", "numeric(12,2)", "-1234567.89", "0"),
    ("n", "numeric", "123456789012345678901234567890.000123", "-0.5"),
    ("t", "text", "E'a\\nb \\u00e9 \\U0001F600'", "''"),
    ("v", "varchar(20)", "'abc'", "'\"q\" \\\\'"),
    ("c", "char(5)", "'abc'", "'z'"),
    ("y", "bytea", "'\\x00ff10'", "'\\x'"),
    ("dt", "date", "'2024-02-29'", "'0999-01-01'"),
    ("tm", "time", "'04:05:06.789012'", "'23:59:59.999999'"),
    ("tm3", "time(3)", "'04:05:06.789'", "'00:00:00'"),
    ("tz", "timetz", "'04:05:06.789+00'", "'00:00:00+00'"),
    ("ts", "timestamp", "'2024-02-29 12:30:00.123456'", "'1969-12-31 23:59:59.999999'"),
    ("ts3", "timestamp(3)", "'2024-02-29 12:30:00.123'", "'1969-12-31 23:59:59.999'"),
    ("tstz", "timestamptz", "'2024-02-29 12:30:00.123456+02'", "'1900-01-01 00:00:00+00'"),
    ("u", "uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'"),
    ("j", "json", "'{\"a\": [1, null]}'", "'1'"),
    ("jb", "jsonb", "'{\"b\": 1.50}'", "'[]'"),
    ("x", "xml", "'<a>1</a>'", "'<b/>'"),
    ("bits", "bit(5)", "B'10110'", "B'00001'"),
    ("ia", "int[]", "'{1,NULL,3}'", "'{}'"),
    ("ta", "text[]", "'{\"a,b\",\"q\\\"\"}'", "'{x}'"),
    ("iv", "interval", "'04:05:06'", "'00:00:00'"),
    ("mood", "mood", "'glad'", "'sad'"),
    ("ip", "inet", "'10.1.2.3/24'", "'::1'"),
    ("rng", "int4range", "'[1,6)'", "'empty'"),
]


def test_debezium_rebuilds_a_table_of_all_types(server, kafka, tmp_path):
    have_debezium("DebeziumReader")
    mood = "create type mood as enum ('sad', 'glad');"
    create = mood + "create table everything (id int primary key, {})".format(", ".join(f"{name} {kind}" for name, kind, *_ in COLUMNS))
    server.sql(create + "; create table pairs (a int, b text, note text, primary key (a, b))")
    server.sql("create database rebuilt")
    copy = server.connect("rebuilt")
    copy.autocommit = True
    with copy.cursor() as cursor:
        cursor.execute(mood + "create table everything (id int primary key, {})".format(
            ", ".join(f"{name} {kind}" for name, kind, *_ in COLUMNS)))
        cursor.execute("create table pairs (a int, b text, note text, primary key (a, b))")
    pipeline = Pipeline(tmp_path, server, ["public.everything", "public.pairs"], sinks={
        "events": kafka_sink(kafka, create={"partitions": 1, "replication": 1})})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        names = ", ".join(name for name, *_ in COLUMNS)
        for row, pick in ((1, 2), (2, 3)):
            server.sql(f"insert into everything (id, {names}) values ({row}, {', '.join(column[pick] for column in COLUMNS)})")
        server.sql("insert into everything (id) values (3), (4), (5)")
        server.sql(f"update everything set ({names}) = (select {names} from everything where id = 1) where id = 3")
        server.sql("delete from everything where id = 4")
        server.sql("insert into pairs values (9, 'gone', 'by truncate')")
        server.sql("truncate pairs")
        server.sql("insert into pairs select g, 'b' || g, 'n' from generate_series(1, 50) g")
        server.sql("update pairs set b = 'moved' where a <= 10")
        server.sql("update pairs set note = null where a > 40")
        server.sql("delete from pairs where a between 20 and 30")
        assert daemon.stop() == 0
    pipeline.catch_up()
    counts = debezium.rebuild(kafka.brokers, f"jdbc:postgresql://127.0.0.1:{server.port}/rebuilt?stringtype=unspecified", "postgres",
                              ["shop.public.everything", "shop.public.pairs"], tmp_path)
    assert counts["t"] == 1 and counts["d"] == counts["tombstone"] == 1 + 10 + 11
    for table, columns in (("everything", ["id", *(name for name, *_ in COLUMNS)]), ("pairs", ["a", "b", "note"])):
        query = "select {} from {} order by 1, 2".format(", ".join(f"{name}::text" for name in columns), table)
        with copy.cursor() as cursor:
            cursor.execute(query)
            rebuilt = cursor.fetchall()
        for expected, got in zip(server.sql(query), rebuilt, strict=True):
            assert {c: v for c, v in zip(columns, got)} == {c: v for c, v in zip(columns, expected)}
    copy.close()


# What the JDBC sink above cannot take, and what is written in a way of its own.
MORE_COLUMNS = COLUMNS + [
    ("bit1", "bit(1)", "B'1'", "B'0'"),
    ("vb", "varbit", "B'101'", "B'0'"),
    ("vb9", "varbit(9)", "B'000000001'", "B''"),
    ("p", "point", "'(1,2.5)'", "'(-1,0)'"),
    ("tz2", "timetz", "'04:05:06.789+15:59'", "'00:00:00-03:30'"),
    ("iv2", "interval", "'1 year 2 mons 3 days 04:05:06.7'", "'-1 second'"),
    ("o", "oid", "4294967295", "0"),
    ("f8n", "float8", "'NaN'", "'-Infinity'"),
    ("n5", "numeric(5)", "12345", "-1"),
    ("dinf", "date", "'infinity'", "'0044-03-15 BC'"),
    ("tsinf", "timestamp", "'infinity'", "'-infinity'"),
    ("tzinf", "timestamptz", "'infinity'", "'0044-03-15 00:00:00+00 BC'"),
    ("tz0", "timestamptz(0)", "'2024-02-29 12:30:00+02'", "'2024-02-29 12:30:00+00'"),
    ("ts0", "timestamp(0)", "'2024-02-29 12:30:00'", "'1969-12-31 23:59:59'"),
    ("cidr", "cidr", "'10.0.0.0/8'", "'::/0'"),
    ("mac", "macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("tsr", "tstzrange", "'[2024-01-01 00:00:00+00,)'", "'empty'"),
    ("na", "numeric(6,2)[]", "'{1.5,NULL}'", "'{}'"),
    ("tsa", "timestamptz[]", "'{2024-02-29 12:30:00+02}'", "'{}'"),
    ("bya", "bytea[]", "array['\\x00ff'::bytea]", "'{}'"),
    ("bo", "boolean[]", "'{t,f,NULL}'", "'{}'"),
    ("da", "date[]", "'{2024-02-29}'", "'{}'"),
    ("ua", "uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", "'{}'"),
]
NOT_THE_SAME = {"version", "ts_ms", "ts_us", "ts_ns", "lsn", "sequence"}  # of who writes, when, and of the event in place of its transaction


def comparable(node):
    if isinstance(node, dict):
        if node.get("name") == "io.debezium.data.Enum" and node.get("field") == "mood":
            node = {**node, "parameters": None}  # the log does not tell the labels
        return {key: comparable(value) for key, value in node.items() if key not in NOT_THE_SAME or isinstance(value, (dict, list))}
    if isinstance(node, list):
        return [comparable(item) for item in node]
    return node


@pytest.mark.parametrize("options, properties", [
    ({}, {}),
    ({"decimal": "string", "time_precision": "connect", "binary": "hex", "interval": "string"},
     {"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "hex", "interval.handling.mode": "string"}),
    ({"decimal": "double", "time_precision": "adaptive_time_microseconds", "binary": "base64", "tombstones": False},
     {"decimal.handling.mode": "double", "time.precision.mode": "adaptive_time_microseconds", "binary.handling.mode": "base64",
      "tombstones.on.delete": "false"}),
], ids=["defaults", "strings", "doubles"])
def test_the_records_are_those_that_debezium_would_have_written(server, kafka, tmp_path, options, properties):
    have_debezium("DebeziumSource")
    server.sql("create type mood as enum ('sad', 'glad'); create table everything (id int primary key, {})".format(
        ", ".join(f"{name} {kind}" for name, kind, *_ in MORE_COLUMNS)))
    server.sql("create table pairs (a int, b text, note text, primary key (a, b)); create table keyless (a int); "
               "alter table keyless replica identity full; create table big (id int primary key, a text, c jsonb, d text[], e int[], f int)")
    for column in "acde":
        server.sql(f"alter table big alter {column} set storage external")
    server.sql("create publication debezium for table everything, pairs, keyless, big")
    server.sql("select pg_create_logical_replication_slot('debezium', 'pgoutput')")
    pipeline = Pipeline(tmp_path, server, ["public.*"], source_options={"messages": ["note"], "snapshot": {"mode": "never"}}, sinks={
        "events": kafka_sink(kafka, create={"partitions": 1, "replication": 1}, **options)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        names = ", ".join(name for name, *_ in MORE_COLUMNS)
        for row, pick in ((1, 2), (2, 3)):
            server.sql(f"insert into everything (id, {names}) values ({row}, {', '.join(column[pick] for column in MORE_COLUMNS)})")
        for statement in (
                "insert into everything (id) values (3)", "delete from everything where id = 3",
                "insert into pairs values (1, 'x', 'y')", "update pairs set b = 'z'", "truncate pairs", "alter table pairs replica identity full",
                "insert into pairs values (1, 'x', 'y')", "update pairs set note = 'q'", "delete from pairs",
                "insert into keyless values (1)", "update keyless set a = 2", "delete from keyless",
                "insert into big select 1, repeat('x', 5000), jsonb_build_object('k', repeat('y', 5000)), array[repeat('z', 5000)], "
                "array(select generate_series(1, 2000)), 1", "update big set f = 2",
                "select pg_logical_emit_message(true, 'note', 'hello')"):
            server.sql(statement)
        assert daemon.stop() == 0
    pipeline.catch_up()
    ours = {topic: [{part: json.loads(record[part]) if record[part] else None for part in ("key", "value")} for record in records]
            for topic, records in read(kafka, "shop.").items()}
    nothing = {"key": None, "value": None}  # its tombstone of a row without a key
    count = sum(map(len, ours.values())) + ("tombstones" not in options)
    theirs = debezium.records_of_slot(server, "shop", "debezium", "debezium", count, properties, tmp_path)
    theirs = {topic: [record for record in records if record != nothing] for topic, records in theirs.items()}
    assert set(ours) == set(theirs)
    for topic, records in theirs.items():
        assert len(ours[topic]) == len(records), topic
        for mine, expected in zip(ours[topic], records):
            assert comparable(mine) == comparable(expected), topic
