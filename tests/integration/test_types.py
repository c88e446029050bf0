"""Every type of Postgres, by every way that a row can come, in every place where it can arrive: the same value.

A type is one line of TYPES: its name, literals, and what has to be there for it.
"""
import base64
import contextlib
import json
import re

import pytest

from tests.conftest import start_server
from tests.receivers.libraries import python_libraries
from tests.receivers.receiver import SECRET, Receiver
from tests.servers import opensearch
from tests.servers.postgres import DEFAULT_VERSION
from tests.support.daemon import Pipeline, wait_until
from tests.support.kafka_pipeline import KafkaPipeline

PREPARE = """
create extension if not exists hstore; create extension if not exists citext; create extension if not exists ltree;
create extension if not exists cube; create extension if not exists isn;
create type mood as enum ('sad', 'it''s "glad"', ''); create type pair as (a int, b text, c numeric[]);
create domain cents as numeric(8,2); create domain tags as text[]; create domain moods as mood[];
create domain cents_twice as cents; create type floats as range (subtype = float8)
"""
# Settings of a database that no value may depend on.
UNFRIENDLY = ["DateStyle = 'SQL, DMY'", "TimeZone = 'America/New_York'", "bytea_output = 'escape'", "IntervalStyle = 'sql_standard'",
              "extra_float_digits = 0"]
EVERY_BYTE = "\\x" + bytes(range(256)).hex()
BINARY, TEXT = True, False  # whether values of the type can be read in their binary form

# type, has a binary form, literals; a number at the end: the first version that has it
TYPES = [
    ("bool", BINARY, ["t", "f"]),
    ("int2", BINARY, ["-32768", "32767"]),
    ("int4", BINARY, ["-2147483648", "0"]),
    ("int8", BINARY, ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
    ("oid", BINARY, ["4294967295"]),
    ("xid", BINARY, ["4294967295"]),
    ("cid", BINARY, ["7"]),
    ("tid", BINARY, ["(4294967295,65535)"]),
    ("xid8", BINARY, ["18446744073709551615", "0"], 13),
    ("numeric", BINARY, ["NaN", "0", "-0.0001", "0.00", "1e40", "12345678901234567890.123456789012345678901234567890",
                         "1e-1000", "9" * 1000, "-" + "9" * 131072]),
    ("numeric", BINARY, ["Infinity", "-Infinity"], 14),
    ("numeric(12,2)", BINARY, ["9.5", "-1234567890.12"]),
    ("numeric(5,-2)", BINARY, ["1234567"], 15),
    ("float4", BINARY, ["NaN", "Infinity", "-Infinity", "1e-45", "3.4028235e38", "0.1", "16777216", "-0"]),
    ("float8", BINARY, ["NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e308", "0.1", "-0"]),
    ("money", TEXT, ["-1234.50"]),
    ("text", BINARY, ["", "a\tb\n\"\\ \u00e9 \U0001F600", "NULL"]),
    ("varchar(20)", BINARY, ["abc"]),
    ("bpchar(5)", BINARY, ["ab"]),
    ("bpchar", BINARY, ["ab  "]),
    ("name", BINARY, ["odd Name"]),
    ('"char"', BINARY, ["x", ""]),
    ("citext", BINARY, ["Mixed Case"]),
    ("bytea", BINARY, ["", EVERY_BYTE]),
    ("date", BINARY, ["2024-02-29", "infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "4713-01-01 BC", "0001-01-01"]),
    ("time", BINARY, ["00:00", "24:00:00", "23:59:59.999999"]),
    ("time(3)", BINARY, ["12:34:56.7891"]),
    ("timetz", BINARY, ["24:00:00-15:59", "00:00:00+15:59", "01:02:03.000004+05:30"]),
    ("timestamp", BINARY, ["2024-02-29 12:30:00.5", "infinity", "-infinity", "0044-03-15 01:02:03 BC", "294276-12-31 23:59:59.999999",
                           "4713-01-01 00:00:00 BC", "1969-12-31 23:59:59.999999"]),
    ("timestamptz", BINARY, ["2024-02-29 12:30:00.5+02", "infinity", "-infinity", "0044-03-15 01:02:03+00 BC",
                             "294276-12-31 23:59:59.999999+00"]),
    ("interval", BINARY, ["0", "1 year 2 mons 3 days 04:05:06.7", "-1 year +2 mons -3 days -00:00:00.000001", "178000000 years",
                          "-2147483648 days"]),
    ("interval year to month", BINARY, ["14 months"]),
    ("interval", TEXT, ["infinity", "-infinity"], 17),
    ("uuid", BINARY, ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", BINARY, ['{"a": 1,  "a": 1e400, "b": [null, "\\u00e9"]}', '"x"']),
    ("jsonb", BINARY, ['{"b": 1e400, "a": [1.50, null]}', "null"]),
    ("jsonpath", BINARY, ["$.a[*]?(@ > 1)"]),
    ("xml", TEXT, ['<?xml version="1.0" encoding="UTF-8"?><a b="1">\u00e9</a>']),
    ("bit(5)", BINARY, ["10110"]),
    ("varbit", BINARY, ["", "101010101"]),
    ("inet", BINARY, ["::1/64", "10.0.0.1", "::ffff:1.2.3.4", "2001:db8::/32"]),
    ("cidr", BINARY, ["10.0.0.0/8", "::/0"]),
    ("macaddr", BINARY, ["08:00:2b:01:02:03"]),
    ("macaddr8", BINARY, ["08:00:2b:01:02:03:04:05"]),
    ("point", TEXT, ["(1,-2.5)"]),
    ("lseg", TEXT, ["[(1,2),(3,4)]"]),
    ("box", TEXT, ["(3,4),(1,2)"]),
    ("path", TEXT, ["[(1,2),(3,4)]", "((1,2),(3,4))"]),
    ("polygon", TEXT, ["((1,2),(3,4),(5,6))"]),
    ("line", TEXT, ["{1,2,3}"]),
    ("circle", TEXT, ["<(1,2),3>"]),
    ("tsvector", TEXT, ["'a':1A 'fat''s':2"]),
    ("tsquery", TEXT, ["'fat' & !'rat'"]),
    ("pg_lsn", TEXT, ["16/B374D848"]),
    ("txid_snapshot", BINARY, ["10:20:10,14,15"]),
    ("pg_snapshot", BINARY, ["10:20:"], 13),
    ("regclass", TEXT, ["pg_class"]),
    ("regtype", TEXT, ["integer"]),
    ("int2vector", TEXT, ["1 2"]),
    ("oidvector", TEXT, ["1 4294967295"]),
    ("refcursor", BINARY, ["c"]),
    ("aclitem", TEXT, ["=r/postgres"]),
    ("int4range", TEXT, ["(,5]", "empty"]),
    ("numrange", TEXT, ["[1.50,2)"]),
    ("tstzrange", TEXT, ['["2024-01-01 00:00:00+02",infinity)']),
    ("daterange", TEXT, ["[2024-01-01,)"]),
    ("floats", TEXT, ["[0.1,1e300)"]),
    ("int4multirange", TEXT, ["{[1,2),[5,6)}", "{}"], 14),
    ("datemultirange", TEXT, ["{[2024-01-01,2024-02-01)}"], 14),
    ("pair", TEXT, ['(1,"a ""b""","{1.50,NULL}")', "(,,)"]),
    ("hstore", TEXT, ['"k"=>"v", "n"=>NULL']),
    ("ltree", TEXT, ["Top.Science"]),
    ("cube", TEXT, ["(1, 2),(3, 4.5)"]),  # stands for every extension with a binary form of its own
    ("isbn", TEXT, ["978-0-393-04002-9"]),  # and for one without
    ("mood", BINARY, ["it's \"glad\"", ""]),
    ("cents", BINARY, ["12.5"]),
    ("cents_twice", BINARY, ["-0.01"]),
    ("tags", BINARY, ['{a,NULL,"b c"}']),
    ("moods", BINARY, ["{sad,NULL}"]),
    ("int4[]", BINARY, ["{}", "{1,NULL,3}", "{{1,2},{3,NULL}}", "{{{1},{2}},{{3},{4}}}", "[0:1]={5,6}", "[-2:-1][5:5]={{7},{NULL}}"]),
    ("text[]", BINARY, ['{"a b",NULL,"NULL","",c,"q\\"uote","back\\\\slash","com,ma","{brace}"}']),
    ("bool[]", BINARY, ["{t,f,NULL}"]),
    ("int8[]", BINARY, ["{9223372036854775807}"]),
    ("numeric(10,2)[]", BINARY, ["{1.5,NaN,NULL}"]),
    ("float4[]", BINARY, ["{0.1,Infinity}"]),
    ("float8[]", BINARY, ["{0.1,NaN}"]),
    ("bytea[]", BINARY, ['{"\\\\x00ff",NULL}']),
    ("date[]", BINARY, ["{2024-02-29,infinity}"]),
    ("timestamptz[]", BINARY, ['{"2024-01-01 00:00:00+02",infinity,NULL}']),
    ("interval[]", BINARY, ['{"1 day","-1 mon +00:00:01"}']),
    ("uuid[]", BINARY, ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    ("jsonb[]", BINARY, ['{"{\\"a\\": [1, \\"x\\"]}",null,NULL}']),
    ("inet[]", BINARY, ["{::1/64}"]),
    ("bit(3)[]", BINARY, ["{101}"]),
    ("mood[]", BINARY, ['{sad,NULL,"it\'s \\"glad\\""}']),
    ("cents[]", BINARY, ["{12.5,NULL}"]),
    ("box[]", TEXT, ["{(3,4),(1,2);(1,1),(0,0)}"]),
    ("int4range[]", TEXT, ['{"[1,3)",empty,NULL}']),
    ("pair[]", TEXT, ['{"(1,\\"a b\\",{1})"}']),
    ("money[]", TEXT, ["{1.50}"]),
    ("hstore[]", TEXT, ['{"\\"a\\"=>\\"1\\""}']),
    ("cube[]", TEXT, ['{"(1, 2)"}']),
    ("xml[]", TEXT, ["{<a/>}"]),
]


class Case:
    """One column of the tables: a type and one of its values."""

    def __init__(self, number, type_, literal):
        self.column = f"c{number}"
        self.type = type_
        self.literal = literal

    def __repr__(self):
        return f"{self.type} {self.literal[:60]!r}"


def cases(version, binary):
    chosen = [(line[0], literal) for line in TYPES if (line[3] if len(line) > 3 else 0) <= version and (line[1] or not binary)
              for literal in line[2]]
    return [Case(number, *one) for number, one in enumerate(chosen)]


def expected_json(text, type_):
    """What the one JSON form makes of the text that the server prints under ISO, UTC, hex and the postgres style of intervals."""
    base = type_.split("(")[0].split(" ")[0]
    if base in ("int2", "int4", "int8", "oid", "xid8"):
        return int(text)
    if base == "bool":
        return text == "t"
    if base in ("float4", "float8"):
        return float(text) if text.lstrip("-") not in ("NaN", "Infinity") else text
    if base in ("json", "jsonb"):
        return json.loads(text)
    far = "BC" in text or "infinity" in text or len(text.split("-")[0]) > 4
    if base == "timestamp" and not far:
        return text.replace(" ", "T")
    if base == "timestamptz" and not far:
        return text.replace(" ", "T").replace("+00", "Z")
    return text


def array_json(text, element_type):
    """The server's text of an array as nested lists."""
    bounds = []
    if text.startswith("["):
        prefix, text = text.split("=", 1)
        bounds = [int(bound) for bound in re.findall(r"\[(-?\d+):", prefix)]
    delimiter = ";" if element_type == "box" else ","
    place = 1

    def read_list():
        nonlocal place
        items = []
        while text[place] != "}":
            if text[place] == delimiter:
                place += 1
            elif text[place] == "{":
                place += 1
                items.append(read_list())
            elif text[place] == '"':
                quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S).match(text, place)
                items.append(expected_json(re.sub(r"\\(.)", r"\1", quoted[1], flags=re.S), element_type))
                place = quoted.end()
            else:
                bare = re.compile(f"[^{delimiter}}}]+").match(text, place)
                items.append(None if bare[0] == "NULL" else expected_json(bare[0], element_type))
                place = bare.end()
        place += 1
        return items

    elements = read_list()
    return {"lower_bounds": bounds, "elements": elements} if bounds else elements


def server_texts(server, database, columns):
    """Row 1 as the server prints it under the settings that a source pins."""
    import psycopg2.extensions
    connection = server.connect(database, options="-c DateStyle=ISO -c TimeZone=UTC -c IntervalStyle=postgres -c bytea_output=hex "
                                                  "-c extra_float_digits=3")
    connection.set_client_encoding("UTF8")
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"select {', '.join(columns)} from full_rows where id = 1")
            oids = tuple({column.type_code for column in cursor.description})
            raw = psycopg2.extensions.new_type(oids, "raw", lambda value, _: value)
            psycopg2.extensions.register_type(raw, cursor)
            cursor.execute(f"select {', '.join(columns)} from full_rows where id = 1")
            return cursor.fetchone()
    finally:
        connection.close()


class World:
    """A database with all values in it, and statements that bring them by every way."""

    def __init__(self, server, binary, database):
        self.server, self.binary, self.database = server, binary, database
        self.cases = cases(server.version, binary)
        self.columns = [case.column for case in self.cases]
        server.sql(PREPARE, database=database)
        for setting in UNFRIENDLY:
            server.sql(f"alter database {database} set {setting}")
        columns = ", ".join(f"{case.column} {case.type}" for case in self.cases)
        for table in ("full_rows", "default_rows"):
            server.sql(f"create table {table} (id int primary key, mark int, {columns})", database=database)
        server.sql("alter table full_rows replica identity full", database=database)
        self.insert(1)  # before any start: this one is copied
        self.texts = dict(zip(self.columns, server_texts(server, database, self.columns)))

    def pipeline(self, home, kind=Pipeline, *more, **options):
        return kind(home, self.server, *more, ["public.full_rows", "public.default_rows"], database=self.database,
                    source_options={"format": "binary" if self.binary else "text"}, **options)

    def copied(self, pipeline):
        """Whether the row from before the start is in the topic, so that what is written now comes by the stream and no other way."""
        return len([change for change in pipeline.topic() if change["op"] == "read"]) == 2

    def insert(self, row):
        values = [case.literal for case in self.cases]
        casts = ", ".join(f"%s::{case.type}" for case in self.cases)
        for table in ("full_rows", "default_rows"):
            # Under the settings of the source: what a literal means is not what is looked at here.
            connection = self.server.connect(self.database, options="-c DateStyle=ISO,YMD -c IntervalStyle=postgres -c TimeZone=UTC")
            connection.set_client_encoding("UTF8")
            with connection.cursor() as cursor:
                cursor.execute(f"insert into {table} values (%s, 0, {casts})", [row, *values])
            connection.close()

    def write(self):
        """Behind the copying: an insert, an update to the values, and one that leaves them as they are."""
        self.insert(2)
        for table in ("full_rows", "default_rows"):
            pairs = ", ".join(f"{column} = o.{column}" for column in self.columns)
            self.server.sql(f"insert into {table} (id, mark) values (3, 0)", database=self.database)
            self.server.sql(f"update {table} t set {pairs} from {table} o where o.id = 2 and t.id = 3", database=self.database)
            self.server.sql(f"update {table} set mark = 1 where id = 3", database=self.database)

    def images(self, changes):
        """Of the two tables, every image that holds the values: (where it is from, the row)."""
        for change in changes:
            if change.get("table") not in ("public.full_rows", "public.default_rows"):
                continue
            for side in ("before", "after"):
                row = change.get(side)
                if row and len(row) > 3 and row.get(self.columns[0]) is not None:
                    yield f"{change['table']} {change['op']} {side} of row {row['id']}", row

    def check(self, changes):
        """Every image of the changes in the JSON form holds exactly the values, and no image is missing."""
        wrong, seen = [], []
        for origin, row in self.images(changes):
            seen.append(origin)
            for case in self.cases:
                if case.column not in row:
                    continue  # unchanged
                expected = self.expected(case)
                if not same(row[case.column], expected):
                    wrong.append(f"{origin}: {case}: {shown(row[case.column])} instead of {shown(expected)}")
        assert wrong == [], "\n".join(wrong[:20])
        assert sorted(seen) == IMAGES

    def expected(self, case):
        element = {"tags": "text", "moods": "mood"}.get(case.type, case.type.removesuffix("[]"))
        text = self.texts[case.column]
        return array_json(text, element) if element != case.type else expected_json(text, case.type)


def same(value, expected):
    """Equal, the sign of a zero included."""
    if isinstance(expected, float):
        return isinstance(value, (int, float)) and repr(float(value)) == repr(expected)
    return value == expected


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:150]}... ({len(text)} characters)"


FORMATS = pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
CHANGES = 10  # of both tables: a copied row, two inserts and two updates
# Every image with values: the copy of row 1, the insert of row 2, the update of row 3 and the one after it, under FULL with its old row.
IMAGES = sorted(f"public.{image}" for image in [
    "full_rows read after of row 1", "full_rows insert after of row 2", "full_rows update after of row 3", "full_rows update after of row 3",
    "full_rows update before of row 3", "default_rows read after of row 1", "default_rows insert after of row 2",
    "default_rows update after of row 3", "default_rows update after of row 3"])


@pytest.fixture(scope="module")
def servers():
    """One server of each version for all tests, which take databases of their own."""
    with contextlib.ExitStack() as stack:
        running = {}

        def get(version=DEFAULT_VERSION):
            if version not in running:
                running[version] = stack.enter_context(start_server(version))
            return running[version]
        yield get


@contextlib.contextmanager
def database(server, options=""):
    """A database, and an end of it and of the slots in it."""
    server.sql(f"create database types {options}")
    try:
        yield "types"
    finally:
        slots = "from pg_replication_slots where database = 'types'"
        wait_until("the slots to be free", lambda: server.value(f"select count(*) {slots} and active") == 0)
        server.sql(f"select pg_drop_replication_slot(slot_name) {slots}")
        server.sql("drop database types with (force)")


@FORMATS
@pytest.mark.parametrize("version", [15, 18])
def test_every_type_in_the_topic_and_in_the_copy(servers, version, binary, tmp_path):
    server = servers(version)
    with database(server) as name:
        world = World(server, binary, name)
        pipeline = world.pipeline(tmp_path)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            assert f"format={'binary' if binary else 'text'}" in daemon.log()
            wait_until("the copied rows", lambda: world.copied(pipeline))
            world.write()
            wait_until("the copy", lambda: daemon.sink("copy").get("lag_records") == 0 and marks(pipeline) == [(1,), (1,)])
            assert daemon.stop() == 0
        world.check(pipeline.topic())
        check_copy(world, pipeline)


def marks(pipeline):
    tables = pipeline.copy("select count(*) from sqlite_master where name in ('full_rows', 'default_rows')")[0][0] if pipeline.copy_path.exists() else 0
    return pipeline.copy("select mark from full_rows where id = 3 union all select mark from default_rows where id = 3") if tables == 2 else []


def check_copy(world, pipeline):
    wrong = []
    for table in ("full_rows", "default_rows"):
        rows = pipeline.copy(f"select id, {', '.join(world.columns)} from {table} order by id")
        assert [row[0] for row in rows] == [1, 2, 3]
        for row in rows:
            for case, value in zip(world.cases, row[1:]):
                expected = sqlite_value(world.expected(case), world.texts[case.column], case.type)
                if isinstance(expected, (list, dict)):
                    value = json.loads(value)
                if value != expected:
                    wrong.append(f"{table} {row[0]}: {case}: {shown(value)} instead of {shown(expected)}")
    assert wrong == [], "\n".join(wrong[:20])


def sqlite_value(expected, text, type_):
    if type_ == "bytea":
        return bytes.fromhex(text[2:])
    if type_ in ("json", "jsonb"):
        return text
    if isinstance(expected, bool):
        return int(expected)
    if type_ == "xid8" and expected >= 2**63:
        return text
    if type_ in ("float4", "float8") and text != "NaN":
        return float(text)  # SQLite has no zero with a sign
    if type_ == "timestamptz" and expected != text:
        return text + ":00"
    return expected if isinstance(expected, (list, dict, int, float)) else text


@FORMATS
def test_every_type_of_a_latin1_database(servers, binary, tmp_path):
    server = servers()
    with database(server, "encoding 'LATIN1' locale 'C' template template0") as name:
        def insert(row):
            server.sql("insert into t values (%s, U&'caf\\00e9', array[U&'\\00fc'], U&'\"\\00e9\"', U&'\"\\00e9\"', '\\xe9')", [row], database=name)

        def changes():
            return [change for change in pipeline.topic() if change.get("table") == "public.t" and change["op"] in ("read", "insert", "update")]
        server.sql("create table t (id int primary key, a text, b varchar(9)[], c json, d jsonb, e bytea)", database=name)
        server.sql("alter table t replica identity full", database=name)
        insert(1)
        pipeline = Pipeline(tmp_path, server, ["public.t"], database=name, source_options={"format": "binary" if binary else "text"})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copied row", lambda: len(changes()) == 1)
            insert(2)
            server.sql("update t set b = b where id = 2", database=name)
            wait_until("the changes", lambda: len(changes()) == 3)
            assert daemon.stop() == 0
        assert [change["op"] for change in changes()] == ["read", "insert", "update"]
        rows = [image for change in changes() for image in (change.get("before"), change.get("after")) if image]
        value = {"a": "caf\u00e9", "b": ["\u00fc"], "c": "\u00e9", "d": "\u00e9", "e": "\\xe9"}
        assert rows == [{"id": row, **value} for row in (1, 2, 2, 2)]


@FORMATS
def test_every_type_by_kafka(servers, kafka, binary, tmp_path):
    """The topic lies in Kafka; another one takes the changes from the sink."""
    target = f"out-{'binary' if binary else 'text'}"
    sinks = {target.replace("-", "_"): {"type": "kafka", "brokers": kafka.brokers.split(","), "create": {"partitions": 1, "replication": 1}, "format": "json",
                     "topic": target}}

    def arrived():
        return [json.loads(record["value"]) for record in kafka.records(target) if record["value"]] if target in kafka.topics() else []
    with database(servers()) as name:
        world = World(servers(), binary, name)
        pipeline = world.pipeline(tmp_path, KafkaPipeline, kafka, sinks=sinks)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copied rows", lambda: world.copied(pipeline))
            world.write()
            wait_until("the sink", lambda: len(arrived()) >= CHANGES, 60)
            assert daemon.stop() == 0
        world.check(arrived())
        world.check(pipeline.topic())
        check_wire(world, pipeline.committed())


def check_wire(world, records):
    """The published change.proto says the same to a reader of somebody else's."""
    wrong, seen, columns = [], [], {}
    for change in (record["change"] for record in records):
        if change.schema.columns:
            columns[change.schema_fingerprint] = [column.name for column in change.schema.columns]
        for row in (change.before, change.after):
            values = dict(zip(columns.get(change.schema_fingerprint, []), row.values))
            if not values or values["c0"].WhichOneof("kind") in (None, "absence"):
                continue
            seen.append(change.operation)
            for case in world.cases:
                kind = values[case.column].WhichOneof("kind")
                if kind == "absence":
                    continue  # unchanged
                value, text, expected = getattr(values[case.column], kind), world.texts[case.column], world.expected(case)
                if kind in ("decimal", "text", "json", "enum_label", "other"):
                    right = value == text
                elif kind in ("int64_value", "uint64_value", "bool_value"):
                    right = value == expected
                elif kind == "float64_value":
                    right = repr(value) == repr(float(text))
                elif kind == "bytes":
                    right = value == bytes.fromhex(text[2:])
                elif kind == "uuid":
                    right = value.hex() == text.replace("-", "")
                else:  # numbers of days and microseconds, arrays: by their JSON, which is read from the same bytes
                    right = True
                if not right:
                    wrong.append(f"{case}: {kind} {shown(value)} instead of {shown(text)}")
    assert wrong == [], "\n".join(wrong[:20])
    assert len(seen) == len(IMAGES)


@FORMATS
def test_every_type_by_webhook(servers, binary, tmp_path):
    try:
        python_libraries()
    except Exception as error:
        pytest.skip(f"the libraries that receivers verify with cannot be had: {error}")
    with database(servers()) as name, Receiver() as receiver:
        world = World(servers(), binary, name)
        hook = {"type": "webhook", "url": receiver.url, "secret": SECRET, "allow_addresses": ["127.0.0.1"], "bigint": "number", "max_body": "1MiB",
                "start": "snapshot", "snapshot": True}
        pipeline = world.pipeline(tmp_path, sinks={"hook": hook})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the calls for copied rows", lambda: len(receiver.ids()) == 2)
            world.write()
            wait_until("the calls", lambda: len(receiver.ids()) >= CHANGES)
            assert daemon.stop() == 0
        world.check([delivery.body["data"] for delivery in receiver.taken])


@pytest.fixture(scope="module")
def search():
    try:
        opensearch.fetch()
    except Exception as error:
        pytest.skip(f"OpenSearch cannot be had: {error}")
    with opensearch.OpenSearchServer() as running:
        yield running


@FORMATS
def test_every_type_by_search(servers, search, binary, tmp_path):
    prefix = "b" if binary else "t"
    sinks = {"search": {"type": "opensearch", "url": search.url, "index": prefix + "_{table}", "settings": {"number_of_replicas": 0}}}
    with database(servers()) as name:
        world = World(servers(), binary, name)
        pipeline = world.pipeline(tmp_path, sinks=sinks)
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copied rows", lambda: world.copied(pipeline))
            world.write()
            wait_until("the documents", lambda: daemon.sink("search").get("lag_records") == 0 and
                       all(search.documents(f"{prefix}_{table}").get(f"shop:public.{table}:3", {}).get("mark") == 1 for table in ("full_rows", "default_rows")), 60)
            assert daemon.stop() == 0
        wrong = []
        for table in ("full_rows", "default_rows"):
            documents = search.documents(f"{prefix}_{table}")
            assert sorted(documents) == [f"shop:public.{table}:{row}" for row in (1, 2, 3)]
            for row, document in documents.items():
                for case in world.cases:
                    if not same(value := document.get(case.column), expected := search_value(world, case)):
                        wrong.append(f"{row}: {case}: {shown(value)} instead of {shown(expected)}")
        assert wrong == [], "\n".join(wrong[:20])


def search_value(world, case):
    expected = world.expected(case)
    if case.type == "bytea":
        return base64.b64encode(bytes.fromhex(world.texts[case.column][2:])).decode()
    if isinstance(expected, dict) and "lower_bounds" in expected:
        return expected["elements"]
    return expected
