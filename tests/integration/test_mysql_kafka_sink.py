"""Changes of MariaDB as the kafka sink writes them in Debezium's form: the records of Debezium's own connector, field for field."""
import json

import pytest

from tests.conftest import start_kafka, start_mysql
from tests.receivers import debezium
from tests.support.daemon import Pipeline

# Name, type, two rows of literals.
COLUMNS = [
    ("b", "bool", "true", "false"),
    ("t", "tinyint", "-128", "127"),
    ("tu", "tinyint unsigned", "255", "0"),
    ("s", "smallint", "-32768", "1"),
    ("su", "smallint unsigned", "65535", "1"),
    ("m", "mediumint", "-8388608", "1"),
    ("mu", "mediumint unsigned", "16777215", "1"),
    ("i", "int", "-2147483648", "1"),
    ("iu", "int unsigned", "4294967295", "1"),
    ("l", "bigint", "-9223372036854775808", "1"),
    ("lu", "bigint unsigned", "9223372036854775807", "1"),
    ("d", "decimal(10,2)", "-12.50", "99999999.99"),
    ("du", "decimal(65,30) unsigned", "1.5", "0"),
    ("f", "float", "0.1", "-350000.5"),
    ("g", "double", "0.1", "-1e300"),
    ("bit1", "bit(1)", "b'1'", "b'0'"),
    ("bit9", "bit(9)", "b'100000001'", "b'1'"),
    ("y", "year", "1901", "2155"),
    ("da", "date", "'2024-02-29'", "'1969-12-31'"),
    ("dt", "datetime", "'2024-02-29 12:30:00'", "'1969-12-31 23:59:59'"),
    ("dt3", "datetime(3)", "'2024-02-29 12:30:00.123'", "'1969-12-31 23:59:59.999'"),
    ("dt6", "datetime(6)", "'2024-02-29 12:30:00.123456'", "'1969-12-31 23:59:59.999999'"),
    ("ts", "timestamp null", "'2024-02-29 12:30:00'", "'2001-01-01 00:00:00'"),
    ("ts6", "timestamp(6) null", "'2024-02-29 12:30:00.120000'", "'2001-01-01 00:00:00'"),
    ("ti", "time", "'12:34:56'", "'00:00:00'"),
    ("ti6", "time(6)", "'12:34:56.000001'", "'23:59:59.999999'"),
    ("c", "char(5)", "'ab'", "''"),
    ("v", "varchar(20)", "'ä€😀'", "'it''s'"),
    ("latin", "varchar(20) character set latin1", "'Müller'", "'é'"),
    ("tx", "text", "repeat('x', 300)", "''"),
    ("bi", "binary(4)", "x'00ff'", "x'01020304'"),
    ("vb", "varbinary(4)", "x'00ff'", "x''"),
    ("bl", "blob", "x'00ff'", "x'01'"),
    ("e", "enum('small','it''s big')", "'small'", "'it''s big'"),
    ("st", "set('a','b','c')", "'a,c'", "''"),
    ("p", "point", "point(1.5, -2)", "point(0, 0)"),
    ("ge", "geometry", "linestring(point(0, 0), point(1, 1))", "point(1, 1)"),
]
BEYOND_A_DAY = ("far", "time(1)", "'-838:59:58.5'", "'838:59:59'")  # which `connect` has no form for
# Of who writes, when, and which connector; ours knows GTIDs and no files, and says mysql for both servers.
NOT_THE_SAME = {"version", "connector", "ts_ms", "ts_us", "ts_ns", "server_id", "gtid", "file", "pos", "row", "thread", "query"}


def comparable(node):
    if isinstance(node, dict):
        if node.get("name") in ("io.debezium.connector.mariadb.Source", "io.debezium.connector.mysql.Source"):
            node = {**node, "name": "Source"}
        if "items" not in node and node.get("optional") is False:
            node = {**node, "optional": True}  # the log does not tell NOT NULL
        return {key: comparable(value) for key, value in node.items()
                if key != "default" and (key not in NOT_THE_SAME or isinstance(value, (dict, list)))}
    if isinstance(node, list):
        return [comparable(item) for item in node]
    return node


def differences(mine, theirs, path=""):
    """Where two documents differ, a line each."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return [line for key in sorted({*mine, *theirs}) for line in differences(mine.get(key, "nothing"), theirs.get(key, "nothing"), f"{path}.{key}")]
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        return [line for i, pair in enumerate(zip(mine, theirs)) for line in differences(*pair, f"{path}[{i}]")]
    return [] if mine == theirs else [f"{path}: {mine!r}, Debezium: {theirs!r}"]


@pytest.fixture(scope="module")
def both():
    try:
        debezium.libraries("DebeziumSource")
    except RuntimeError as error:
        pytest.skip(f"Debezium cannot be had: {error}")
    with start_mysql("mariadb") as server, start_kafka() as kafka:
        yield server, kafka


@pytest.mark.parametrize("options, properties", [
    ({}, {}),
    ({"decimal": "string", "time_precision": "connect", "binary": "hex", "unsigned_bigint": "precise"},
     {"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "hex", "bigint.unsigned.handling.mode": "precise"}),
], ids=["defaults", "strings"])
def test_the_records_are_those_that_debezium_would_have_written(both, tmp_path, options, properties):
    server, kafka = both
    server.empty()
    columns = COLUMNS if options else [*COLUMNS, BEYOND_A_DAY]
    server.sql("create table everything (id int primary key, {})".format(", ".join(f"{name} {kind}" for name, kind, *_ in columns)))
    server.sql("create table pairs (a int, b varchar(10), note text, primary key (a, b))")
    server.sql("create table keyless (a int)")
    prefix = f"shop{len(options)}"
    pipeline = Pipeline(tmp_path, server, ["public.*"], source_options={"snapshot": {"mode": "never"}}, sinks={
        prefix: {"type": "kafka", "brokers": kafka.brokers.split(","), "server_name": prefix, "create": {"partitions": 1, "replication": 1}, **options}})
    names = ", ".join(name for name, *_ in columns)
    statements = [f"insert into everything (id, {names}) values ({row}, {', '.join(column[row + 1] for column in columns)})" for row in (1, 2)]
    statements += [
        "insert into everything (id) values (3)", "delete from everything where id = 3",
        "insert into pairs values (1, 'x', 'y')", "update pairs set note = 'q'", "update pairs set b = 'z'", "delete from pairs",
        "insert into keyless values (1)", "update keyless set a = 2", "delete from keyless"]
    count = 3 + 1 + 1 + 1 + 1 + 3 + 2 + 4  # with tombstones
    with debezium.beside_log(server, prefix, count, properties, tmp_path) as theirs:
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            server.sql(["set time_zone = '+00:00'", *statements])
            assert daemon.stop() == 0
        pipeline.catch_up()
    ours = {topic: [{part: json.loads(record[part]) if record[part] else None for part in ("key", "value")} for record in kafka.records(topic)]
            for topic in kafka.topics() if topic.startswith(prefix + ".") and not topic.endswith(".fence")}
    nothing = {"key": None, "value": None}  # its tombstone of a row without a key
    theirs = {topic: [record for record in records if record != nothing] for topic, records in theirs.items()}
    assert set(ours) == set(theirs)
    for topic, records in theirs.items():
        assert len(ours[topic]) == len(records), topic
        for mine, expected in zip(ours[topic], records):
            assert differences(comparable(mine), comparable(expected)) == [], topic
