"""Every type of MySQL and MariaDB, by every way that a row can come, in every place where it can arrive: the same value.

A type is one line of TYPES: its name, and literals with what the JSON form makes of them."""
import contextlib
import json

from tests.integration.test_types import Case, same, shown
from tests.support.daemon import wait_until
from tests.support.live_copy import LiveCopy

DOCUMENT = ('{"a": 1, "b": [1, 2.50, "x", null, true, {"c": []}], "ä": "\\\\u0001\\\\n😀", "big": 18446744073709551615, "neg": -9223372036854775808, '
            '"d": 1e300, "": 0.5}')


def bytes_of(column):
    """As the server stores them."""
    return f"concat(char(92 using utf8mb4), 'x', lower(hex({column})))"


def json_of(column):
    return f"cast({column} as char)"


# type, [(literal, value in JSON)], the flavour that has it. A function as value: SQL that asks the server.
TYPES = [
    ("bool", [("true", 1), ("false", 0)]),
    ("tinyint(1)", [("-128", -128), ("5", 5)]),
    ("tinyint unsigned", [("255", 255)]),
    ("smallint", [("-32768", -32768), ("32767", 32767)]),
    ("smallint unsigned", [("65535", 65535)]),
    ("mediumint", [("-8388608", -8388608), ("-1", -1), ("8388607", 8388607)]),
    ("mediumint unsigned", [("16777215", 16777215)]),
    ("int", [("-2147483648", -2147483648), ("0", 0)]),
    ("int unsigned zerofill", [("4294967295", 4294967295), ("7", 7)]),
    ("bigint", [("-9223372036854775808", -2**63), ("9007199254740993", 9007199254740993)]),
    ("bigint unsigned", [("18446744073709551615", 2**64 - 1), ("1", 1)]),
    ("decimal(10,2)", [("-12345678.90", "-12345678.90"), ("0", "0.00")]),
    ("decimal(10,2) unsigned", [("99999999.99", "99999999.99")]),
    ("decimal(65,30)", [("-" + "9" * 35 + "." + "9" * 30, "-" + "9" * 35 + "." + "9" * 30), ("1e-30", "0." + "0" * 29 + "1")]),
    ("decimal(5,5)", [("-0.00001", "-0.00001"), ("0.12345", "0.12345")]),
    ("decimal(9,0)", [("123456789", "123456789")]),
    ("float", [("0.1", 0.1), ("-3.40282e38", -3.40282e38), ("16777216", 16777216.0), ("1.17549e-38", 1.17549e-38)]),
    ("float unsigned", [("0.25", 0.25)]),
    ("double", [("0.1", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("-2.2250738585072014e-308", -2.2250738585072014e-308)]),
    ("bit(1)", [("b'1'", 1)]),
    ("bit(9)", [("b'100000001'", 257)]),
    ("bit(64)", [("x'ffffffffffffffff'", 2**64 - 1), ("b'0'", 0)]),
    ("year", [("1901", 1901), ("2155", 2155), ("'0000'", 0)]),
    ("date", [("'2024-02-29'", "2024-02-29"), ("'1000-01-01'", "1000-01-01"), ("'9999-12-31'", "9999-12-31"), ("'0000-00-00'", "0000-00-00"),
              ("'2024-00-10'", "2024-00-10")]),
    ("datetime", [("'2024-02-29 12:30:00'", "2024-02-29T12:30:00"), ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
                  ("'2024-11-00 01:02:03'", "2024-11-00 01:02:03")]),
    ("datetime(1)", [("'1969-12-31 23:59:59.9'", "1969-12-31T23:59:59.9")]),
    ("datetime(6)", [("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"), ("'1000-01-01 00:00:00.000001'", "1000-01-01T00:00:00.000001"),
                     ("'2024-02-29 12:30:00.5'", "2024-02-29T12:30:00.5"), ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00.000000")]),
    ("timestamp null", [("'2024-02-29 12:30:00'", "2024-02-29T10:30:00Z"), ("'2038-01-19 05:14:07'", "2038-01-19T03:14:07Z"), ("'0000-00-00 00:00:00'", "0000-00-00 00:00:00")]),
    ("timestamp(6) null", [("'1970-01-01 02:00:01.000001'", "1970-01-01T00:00:01.000001Z")]),
    ("timestamp(3) null", [("'2024-07-01 02:00:00.120'", "2024-07-01T00:00:00.12Z")]),
    ("time", [("'23:59:59'", "23:59:59"), ("'00:00:00'", "00:00:00"), ("'-838:59:59'", "-838:59:59"), ("'838:59:59'", "838:59:59"), ("'24:00:00'", "24:00:00")]),
    ("time(2)", [("'-00:00:00.01'", "-00:00:00.01"), ("'12:34:56.78'", "12:34:56.78")]),
    ("time(6)", [("'00:00:00.000001'", "00:00:00.000001"), ("'-01:00:00.5'", "-01:00:00.500000")]),
    ("char(5)", [("'ab '", "ab"), ("''", "")]),
    ("char(255) character set utf8mb4", [("repeat('😀', 255)", "😀" * 255)]),
    ("varchar(20)", [("'ab  '", "ab  "), ("'NULL'", "NULL")]),
    ("varchar(300)", [("'a\\tb\\n\"\\\\ é 😀'", "a\tb\n\"\\ é 😀")]),
    ("binary(5)", [("x'0100'", "\\x0100000000"), ("x'2020202020'", "\\x2020202020"), ("x'00'", "\\x0000000000")]),
    ("varbinary(300)", [("x'00ff00'", "\\x00ff00"), ("''", "\\x")]),
    ("tinyblob", [("x'00'", "\\x00")]),
    ("blob", [("''", "\\x")]),
    ("mediumblob", [("repeat(x'ff', 70000)", "\\x" + "ff" * 70000)]),
    ("longblob", [("x'e9'", "\\xe9")]),
    ("tinytext", [("'tiny'", "tiny")]),
    ("text", [("''", ""), ("'é😀'", "é😀")]),
    ("mediumtext", [("repeat('é', 40000)", "é" * 40000)]),
    ("longtext", [("'long'", "long")]),
    ("varchar(20) character set latin1", [("'café €'", "café €")]),
    ("char(9) character set latin1 collate latin1_bin", [("'ü'", "ü")]),
    ("varchar(20) character set ucs2", [("'žluť'", "žluť")]),
    ("varchar(20) character set utf16", [("'😀 a'", "😀 a")]),
    ("varchar(20) character set utf16le", [("'😀 a'", "😀 a")]),
    ("char(4) character set utf32", [("'😀a'", "😀a")]),
    ("varchar(20) character set utf8mb3", [("'漢字'", "漢字")]),
    ("varchar(20) character set ascii", [("'plain'", "plain")]),
    ("varchar(20) character set latin2", [("'žluťoučký'", "žluťoučký")]),
    ("varchar(20) character set latin5", [("'ğış'", "ğış")]),
    ("varchar(20) character set cp1250", [("'žluť'", "žluť")]),
    ("varchar(20) character set cp1251", [("'Привет'", "Привет")]),
    ("varchar(20) character set koi8r", [("'Привет'", "Привет")]),
    ("varchar(20) character set greek", [("'αβγ'", "αβγ")]),
    ("varchar(20) character set hebrew", [("'שלום'", "שלום")]),
    ("varchar(20) character set gbk", [("'汉字'", "汉字")]),
    ("varchar(20) character set gb2312", [("'汉字'", "汉字")]),
    ("varchar(20) character set big5", [("'漢字'", "漢字")]),
    ("varchar(20) character set sjis", [("'日本'", "日本")]),
    ("varchar(20) character set cp932", [("'日本①'", "日本①")]),
    ("varchar(20) character set ujis", [("'日本'", "日本")]),
    ("varchar(20) character set euckr", [("'한국'", "한국")]),
    ("varchar(20) character set tis620", [("'ไทย'", "ไทย")]),
    ("enum('sad','it''s \"glad\"','')", [("'it''s \"glad\"'", "it's \"glad\""), ("3", ""), ("'never'", "")]),
    ("enum('ä','ö') character set latin1", [("'ö'", "ö")]),
    ("enum(" + ",".join(f"'e{n}'" for n in range(300)) + ")", [("'e299'", "e299")]),
    ("set('a','b','c d')", [("'a,c d'", "a,c d"), ("''", "")]),
    ("set(" + ",".join(f"'s{n}'" for n in range(64)) + ")", [("'s0,s63'", "s0,s63")]),
    ("point", [("ST_GeomFromText('POINT(1 -2.5)')", bytes_of)]),
    ("geometry", [("ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 0))')", bytes_of), ("ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')", bytes_of)]),
    ("geometry", [("ST_GeomFromText('POINT(10 20)', 4326)", bytes_of)], "mysql"),
    ("json", [(f"'{DOCUMENT}'", json_of), ("'null'", json_of), ("'[]'", json_of), ("'\"x\"'", json_of), ("'-0.5'", json_of)]),
    ("json", [("json_array(cast(1.50 as decimal(10,2)), date'2024-02-29', time'-01:02:03.5', timestamp'2024-01-02 03:04:05.678', 1e0, 12345678901234567890)",
               json_of), ("json_array(x'00ff', cast('a' as binary), b'101')", json_of),
              ("(with recursive g (n) as (select 1 union all select n + 1 from g where n < 900) select json_arrayagg(concat(repeat('x', 99), n)) from g)", json_of)], "mysql"),
    ("json", [("'{\"a\": 1,  \"a\": 1e400}'", json_of)], "mariadb"),
    ("vector(3)", [("string_to_vector('[1,-0.5,3e10]')", [1.0, -0.5, 3e10])], "mysql"),
    ("uuid", [("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), ("'00000000-0000-0000-0000-000000000000'",
                                                                                              "00000000-0000-0000-0000-000000000000")], "mariadb"),
    ("inet6", [("'2001:db8::'", "2001:db8::"), ("'::'", "::"), ("'::ffff:1.2.3.4'", "::ffff:1.2.3.4")], "mariadb"),
    ("inet4", [("'10.0.0.0'", "10.0.0.0"), ("'255.255.255.255'", "255.255.255.255")], "mariadb"),
    ("varchar(2000) compressed", [("repeat('é', 900)", "é" * 900), ("'short'", "short"), ("''", "")], "mariadb"),
    ("text compressed", [("repeat('0123456789', 500)", "0123456789" * 500)], "mariadb"),
    ("blob compressed", [("repeat(x'00ff', 500)", "\\x" + "00ff" * 500)], "mariadb"),
]
# What no value may depend on. A value of TIMESTAMP is written in the zone of its session.
UNFRIENDLY = ["set global time_zone = '-05:00'", "set global sql_mode = 'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'"]
WRITER = ["set sql_mode = ''", "set time_zone = '+02:00'"]


class World:
    """A table with all values in it, and statements that bring them by every way."""

    def __init__(self, server):
        self.server, self.cases, self.values = server, [], {}
        for type_, literals, *flavour in TYPES:
            if not flavour or flavour == [server.flavour]:
                for literal, value in literals:
                    case = Case(len(self.cases), type_, literal)
                    self.cases.append(case)
                    self.values[case.column] = value
        self.tables = []
        # One table would have too many columns for a row of 64 KiB.
        for number in range(0, len(self.cases), 40):
            self.tables.append((f"types{number}", self.cases[number:number + 40]))
        for table, cases in self.tables:
            server.sql([*WRITER, f"create table {table} (id int primary key, mark int, " + ", ".join(f"{c.column} {c.type}" for c in cases) + ") row_format = dynamic"])
        self.insert(1)  # before any start: this one is copied
        for table, cases in self.tables:
            for case in cases:
                value = self.values[case.column]
                if callable(value):
                    text = server.value(f"select {value(case.column)} from {table} where id = 1")
                    self.values[case.column] = json.loads(text) if value is json_of else text
        self.texts = {case.column: server.value(f"select cast({case.column} as char) from {table} where id = 1")
                      for table, cases in self.tables for case in cases if case.type == "json"}

    def insert(self, row):
        for table, cases in self.tables:
            self.server.sql([*WRITER, f"insert into {table} values ({row}, 0, " + ", ".join(case.literal for case in cases) + ")"])

    def write(self):
        """Behind the copying: an insert, an update to the values, and one that leaves them as they are."""
        self.insert(2)
        for table, cases in self.tables:
            pairs = ", ".join(f"t.{case.column} = o.{case.column}" for case in cases)
            self.server.sql([*WRITER, f"insert into {table} (id, mark) values (3, 0)",
                             f"update {table} t join {table} o on o.id = 2 set {pairs} where t.id = 3", f"update {table} set mark = 1 where id = 3"])

    def check(self, changes):
        wrong, seen = [], []
        for table, cases in self.tables:
            for change in changes:
                if change.get("table") != f"public.{table}":
                    continue
                for side in ("before", "after"):
                    row = change.get(side)
                    if not row or row.get(cases[0].column) is None:
                        continue
                    seen.append(f"{change['op']} {side} {row['id']}")
                    for case in cases:
                        expected = self.values[case.column]
                        if not same(row.get(case.column), expected):
                            wrong.append(f"{table} {change['op']} {side} of row {row['id']}: {case}: {shown(row.get(case.column))} instead of {shown(expected)}")
        assert wrong == [], f"{len(wrong)} wrong\n" + "\n".join(wrong[:40])
        assert sorted(seen) == sorted(["read after 1", "insert after 2", "update after 3", "update after 3", "update before 3"] * len(self.tables))

    def check_copy(self, pipeline):
        wrong = []
        for table, cases in self.tables:
            rows = pipeline.copy(f"select id, {', '.join(case.column for case in cases)} from {table} order by id")
            assert [row[0] for row in rows] == [1, 2, 3]
            for row in rows:
                for case, value in zip(cases, row[1:]):
                    expected = self.in_copy(case)
                    if isinstance(expected, list):
                        value = json.loads(value)
                    if value != expected:
                        wrong.append(f"{table} {row[0]}: {case}: {shown(value)} instead of {shown(expected)}")
        assert wrong == [], f"{len(wrong)} wrong\n" + "\n".join(wrong[:40])

    def in_copy(self, case):
        value = self.values[case.column]
        if case.type == "json":
            return self.texts[case.column]
        if isinstance(value, str) and value.startswith("\\x") and "text" not in case.type:
            return bytes.fromhex(value[2:])
        if isinstance(value, int) and value >= 2**63:
            return str(value)
        if case.type.startswith("timestamp") and value.endswith("Z"):
            return value.replace("T", " ").replace("Z", "+00:00")
        if case.type.startswith("datetime"):
            return value.replace("T", " ")
        return value


@contextlib.contextmanager
def unfriendly(server):
    before = {name: server.value(f"select @@global.{name}") for name in ("time_zone", "sql_mode")}
    try:
        server.sql(UNFRIENDLY)
        yield
    finally:
        server.sql([f"set global {name} = '{value}'" for name, value in before.items()])


def test_every_type_in_the_topic_and_in_the_copy(mysql, tmp_path):
    with unfriendly(mysql):
        world = World(mysql)
        with LiveCopy(tmp_path, mysql) as live:
            wait_until("the copied rows", lambda: len([r for r in live.pipeline.topic() if r["op"] == "read"]) == len(world.tables))
            world.write()
            live.settle()
            live.stop()
        world.check(live.pipeline.topic())
        world.check_copy(live.pipeline)


def test_dates_that_are_none_by_policy(mysql, tmp_path):
    mysql.sql([*WRITER, "create table t (id int primary key, d date, n datetime(3))", "insert into t values (1, '0000-00-00', '2024-01-00 00:00:00')"])
    with LiveCopy(tmp_path, mysql, source_options={"zero_dates": "as_null"}) as live:
        mysql.sql([*WRITER, "insert into t values (2, '2024-01-00', 0)"])
        live.settle()
        rows = [r["after"] for r in live.pipeline.topic() if r["op"] in ("read", "insert") and r["table"] == "public.t"]
        assert rows == [{"id": 1, "d": None, "n": None}, {"id": 2, "d": None, "n": None}]


def test_metadata_that_goes_away_halts(mysql, tmp_path):
    mysql.sql("create table t (id int primary key, v varchar(20))")
    with LiveCopy(tmp_path, mysql) as live:
        try:
            mysql.sql("set global binlog_row_metadata = MINIMAL")
            mysql.sql("insert into t values (1, 'x')")
            status = wait_until("the halt", lambda: live.daemon.source()["state"] in ("needs_operator", "failed") and live.daemon.source())
            assert status["code"] == "mysql_metadata_missing" and "binlog_row_metadata" in status["message"], status
            assert live.records("t") == []
        finally:
            mysql.sql("set global binlog_row_metadata = FULL")
