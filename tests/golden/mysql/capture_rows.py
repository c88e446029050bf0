#!/usr/bin/python3
"""Rows as a real server logs them, beside what it answers to the SELECT of a copy: one file per server in rows/.

    capture_rows.py mariadb|mysql

Lines, fields separated by tabs: `table` body of the TABLE_MAP, `fact` of a column, `charset` of a collation,
`select` the expressions, then for each row of the table `values` (NULL, or the bytes of the text protocol),
and the `event`s (type, body) that its inserts left in the log.
"""
import os
import struct
import sys
import zlib

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(FOLDER, "..", "..", ".."))
from tests.servers.mysql import MysqlServer

TABLE_MAP, QUERY, FORMAT = 19, 2, 15
ROWS = {20, 21, 22, 23, 24, 25, 30, 31, 32, 39, 166, 167, 168}
LOOSE = "set sql_mode = 'ALLOW_INVALID_DATES'"


def all_of(*columns):
    """Rows that put one list of values per column side by side."""
    height = max(len(values) for values in columns)
    return [[values[i] if i < len(values) else "NULL" for values in columns] for i in range(height)]


def integers(unsigned):
    types, columns = [], []
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        types.append(f"{name} unsigned" if unsigned else name)
        low, high = (0, 2 ** bits - 1) if unsigned else (-2 ** (bits - 1), 2 ** (bits - 1) - 1)
        columns.append([low, high, 1, "NULL", high - 1, 0 if unsigned else -1, 100])
    return types, all_of(*columns)


def fractions(kind, values):
    types = [f"{kind}({digits})" if digits else kind for digits in range(7)]
    return types, [[f"'{value}'" if value != "NULL" else value for _ in types] for value in values]


DATES = ["0000-00-00", "2024-00-10", "2024-05-00", "2024-02-31", "1000-01-01", "9999-12-31", "0001-01-01", "0000-05-06",
         "1969-12-31", "1970-01-01", "2000-02-29", "NULL", "1900-02-29"]
CHARSETS = ["ascii", "latin1", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
            "koi8r", "koi8u", "greek", "hebrew", "macroman", "macce", "dec8", "hp8", "swe7", "keybcs2", "geostd8", "armscii8",
            "tis620", "big5", "gb2312", "gbk", "sjis", "cp932", "ujis", "eucjpms", "euckr", "ucs2", "utf16", "utf16le", "utf32",
            "utf8mb3", "utf8mb4", "gb18030"]
TEXTS = ["''", "'plain ascii ~\\\\'", "'äöüß€'", "'Łódź'", "'Привет'", "'Ελλάδα'", "'שלום'", "'日本語テキスト'", "'中文字符'", "'한국어'", "'ไทย'", "'𝄞😀'",
         "'`^{|}[]#$'"]
JSON_VALUES = [
    "null", "true", "false", "0", "-1", "32767", "-32768", "32768", "65535", "2147483647", "-2147483648", "2147483648", "4294967295",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "1.0", "-0.0", "0.1", "1e15", "999999999999999.9", "1e-15", "9.9e-16", "1.5e300", "5e-324", "123456.789", "1e14", "100000.0",
    "0.00001", "1e22", '""', '"a"', '"\\u0001\\b\\t\\n\\f\\r\\"\\\\\\/ äöü € 😀 \\u007f"', "[]", "{}", "[1,2,3]", "[[],{},[[]],null,true,false]",
    '{"b":1,"a":2,"aa":3,"B":4,"":5}', '{"a":1,"a":2}', '{"k":{"l":{"m":[1,{"n":"o"}]}}}', '{"sp ace":1,"q\\"uote":2,"ü":3}',
    "[1,-1,70000,-70000,5000000000,1.5,\"x\"]", '{"a":[1,2,{"b":null}],"c":"d"}']


def json_sql():
    quoted = ["'" + value.replace("\\", "\\\\").replace("'", "''") + "'" for value in JSON_VALUES]
    quoted += [
        "'" + '"' + "x" * 127 + '"' + "'", "'" + '"' + "x" * 128 + '"' + "'", "concat('\"', repeat('y', 20000), '\"')",
        "'" + "[" * 100 + "]" * 100 + "'",
        "concat('[', repeat('123456,', 20000), '7000]')",
        "concat('{\"big\": \"', repeat('z', 70000), '\", \"n\": [1, 70000, -70000, 4294967295, null, true], \"o\": {\"i\": 5}}')",
        "json_array(cast('2024-02-29' as date), cast('2024-02-29 10:11:12.5' as datetime(3)), cast('-838:59:59' as time), "
        "cast('10:11:12.000001' as time(6)), cast('1000-01-01' as date), timestamp'9999-12-31 23:59:59')",
        "json_array(cast(123.450 as decimal(6,3)), cast(-0.5 as decimal(5,5)), cast('12345678901234567890.123456789' as decimal(40,10)), 1.10, 0.0)",
        "json_object('b', cast(x'00ff' as binary), 'c', x'00ff', 'd', b'101', 'e', cast('abc' as binary(5)))",
        "json_array(repeat(x'ff', 100), repeat(x'00', 57), x'')",
        "json_array(cast(3 as unsigned), cast(18446744073709551615 as unsigned), 1e0, cast(0.1 as float), year(now()) * 0)",
        "json_array(st_geomfromtext('POINT(1 2)'))",
        "json_array(true, false, null, 'tru', 1 = 1)",
    ]
    return quoted


def tables(mariadb):
    unsigned_integers, unsigned_rows = integers(True)
    signed_integers, signed_rows = integers(False)
    yield "ints", signed_integers, signed_rows
    yield "uints", unsigned_integers, unsigned_rows
    yield "others", ["bool", "int(5) zerofill", "year", "bit(1)", "bit(9)", "bit(64)", "bit(24)", "bigint unsigned zerofill"], all_of(
        [0, 1, -128, "NULL"], [0, 7, 123456], ["'0000'", 1901, 2155, 2024], [0, 1, 1], [0, "b'111111111'", "b'100000000'", 1],
        [0, "0xffffffffffffffff", "0x8000000000000000", 1], [0, "0xffffff", 256], [0, 5, 2 ** 64 - 1])
    yield "decimals", ["decimal(65,30)", "decimal(5,5)", "decimal(10,2) unsigned", "decimal(10,2)", "decimal(9,0)", "decimal(18,9)", "decimal(20,0)",
                       "decimal(1,0)", "decimal(19,10)", "decimal(12,3) zerofill"], all_of(
        ["0", "9" * 35 + "." + "9" * 30, "-" + "9" * 35 + "." + "9" * 30, "NULL", "0." + "0" * 29 + "1", "-1." + "0" * 30],
        ["0", "0.99999", "-0.99999", "NULL", "0.00001", "-0.00001"], ["0", "99999999.99", "1.5", "NULL", "0.01", "10"],
        ["0", "99999999.99", "-99999999.99", "NULL", "-0.01", "-1.5"], ["0", "999999999", "-999999999", "NULL", "-1", "7"],
        ["0", "999999999.999999999", "-999999999.999999999", "NULL", "-0.000000001", "100000000.1"], ["0", "9" * 20, "-" + "9" * 20, "NULL", "-1", "1" + "0" * 19],
        ["0", "9", "-9", "NULL"], ["0", "999999999.9999999999", "-999999999.9999999999", "NULL", "0.0000000001", "-123456.789"],
        ["0", "999999999.999", "1.5", "NULL", "0.001"])
    yield "floats", ["float", "float unsigned", "float(7,3)", "double", "double(10,2)", "double unsigned"], all_of(
        ["0", "-0e0", "0.1", "3.4028234e38", "-3.4028234e38", "1.17549e-38", "1.4e-45", "16777217", "0.30000001", "123456.789", "3.14159265358979", "1e10", "NULL", "8388608.5", "999999", "1e-7"],
        ["0", "1.1", "3.4e38"], ["0", "1.1", "-9999.999", "1234.567", "0.001"],
        ["0", "-0e0", "0.1", "1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "1e15", "1e22", "123456789012345680", "0.1 + 0.2", "1e-7", "NULL", "100", "1.5e300"],
        ["0", "0.1", "-99999999.99", "12345678.91", "0.01"], ["0", "0.1", "1e300"])
    yield "dates", ["date"], [[f"'{value}'" if value != "NULL" else value] for value in DATES]
    stamps = [f"{date} {clock}" for date in DATES if date != "NULL" for clock in ("00:00:00", "23:59:59.999999")] + ["NULL", "2024-02-29 12:34:56.789012"]
    # Rounding up must not leave the range of years.
    yield ("datetimes",) + fractions("datetime", [stamp for stamp in stamps if not stamp.startswith(("9999-12-31 2", "0000-00-00 2"))] + ["9999-12-31 23:59:59"])
    yield ("times",) + fractions("time", ["00:00:00", "-00:00:00.01", "-838:59:59", "838:59:59", "23:59:59.999999", "24:00:00", "23:59:59", "-00:00:01", "NULL", "12:34:56.789012",
                                           "-12:34:56.789012", "-01:00:00.5", "100:00:00.000001", "-00:00:00.999999", "-00:00:00.000001"])
    yield ("timestamps",) + fractions("timestamp", ["1970-01-01 00:00:01", "2038-01-19 03:14:07", "2024-02-29 12:34:56.789012", "0000-00-00 00:00:00", "NULL", "2000-01-01 00:00:00.000001", "1970-01-01 00:00:01.5"])
    yield "strings", ["char(5)", "char(255)", "binary(5)", "binary(255)", "varbinary(300)", "varchar(10)", "varchar(300)", "varchar(63)", "varchar(64)",
                      "char(5) character set latin1", "char(0)", "binary(1)"], all_of(
        ["''", "'ab  '", "'äöü😀é'", "NULL", "'  x'"], ["''", "repeat('ü', 255)", "'x'", "NULL"], ["x''", "x'6162000000'", "x'0000000000'", "NULL", "x'00ff'", "x'0102030405'"],
        ["x''", "repeat(x'ff', 255)", "x'00'", "NULL"], ["x''", "repeat(x'fe', 300)", "x'00'", "NULL", "x'616200'", "x'2020'"],
        ["''", "'x  '", "repeat('😀', 10)", "NULL"], ["''", "repeat('é', 300)", "' '"], ["''", "repeat('é', 63)"], ["''", "repeat('a', 64)"],
        ["''", "'é€'", "'abcde'"], ["''", "NULL"], ["x''", "x'00'", "x'20'"])
    yield "texts", ["tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "text character set latin1"], all_of(
        ["''", "repeat('é', 127)", "'x'", "NULL"], ["''", "repeat('t', 3000)", "'x'"], ["''", "repeat('m', 70000)", "'x'"], ["''", "'l'", "NULL"],
        ["x''", "repeat(x'ff', 255)", "x'00'"], ["x''", "repeat(x'80', 3000)", "x'00'"], ["x''", "x'00'"], ["x''", "x'ff'"], ["''", "repeat('ü', 300)", "'x'"])
    sets = [name for name in CHARSETS if not (mariadb and name == "gb18030")]
    yield "charsets", [f"varchar(60) character set {name}" for name in sets], [[text] * len(sets) for text in TEXTS]
    yield "raw", ["varchar(600) character set latin1", "varchar(600) character set latin2", "varchar(600) character set cp1251"], [
        ["0x" + "".join(f"{byte:02x}" for byte in range(1, 128) if byte != 34)] * 3,
        ["convert(unhex('" + "".join(f"{byte:02x}" for byte in range(128, 256)) + "') using latin1)",
         "convert(unhex('" + "".join(f"{byte:02x}" for byte in range(160, 256)) + "') using latin2)",
         "convert(unhex('" + "".join(f"{byte:02x}" for byte in range(192, 256)) + "') using cp1251)"]]
    many = ",".join(f"'m{i}'" for i in range(300))
    bits = ",".join(f"'s{i}'" for i in range(64))
    yield "labels", [f"enum({many})", "enum('a','it''s','') character set latin1", "enum('grün','blå') character set latin1", f"set({bits})", "set('x','ü','it''s') character set latin1",
                     "set('a','b','c','d','e','f','g','h','i')", "enum('日本','中文') character set ucs2", "enum('é')"], all_of(
        ["'m0'", "'m299'", "0", "NULL", "'m254'", "'m255'", "'m256'"], ["'a'", "'it''s'", "''", "0"], ["'grün'", "'blå'", "0"],
        ["''", "'s0'", "'s63'", "0xffffffffffffffff", "'s0,s31,s32,s63'", "NULL"], ["''", "'ü'", "'x,ü,it''s'"], ["''", "'i'", "'a,b,i'", "511"],
        ["'日本'", "'中文'", "0"], ["'é'", "0", "NULL"])
    yield "computed", ["int", "int as (c0 * 2) virtual", "int as (c0 * 3) stored", "varchar(20) as (concat('v', c0)) virtual", "int invisible default 7"], [["1", None, None, None, "5"], ["NULL", None, None, None, "NULL"]]
    wide = 300
    yield "wide", ["tinyint"] * wide, [["NULL" if (i * 7 + row) % (row + 2) == 0 else str(i % 100) for i in range(wide)] for row in range(4)]
    for width in range(1, 10):
        yield f"width{width}", ["int"] * width, [[str(i) if i % 2 else "NULL" for i in range(width)]]
    yield "geometries", ["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"], all_of(
        ["st_geomfromtext('POINT(1 2)')", "NULL", "st_geomfromtext('POINT(1 2)', 4326)", "st_geomfromtext('GEOMETRYCOLLECTION EMPTY')"], ["st_geomfromtext('POINT(1.5 -2)')", "NULL"], ["st_geomfromtext('LINESTRING(0 0,1 1)')"],
        ["st_geomfromtext('POLYGON((0 0,1 0,1 1,0 0))')"], ["st_geomfromtext('MULTIPOINT(0 0,1 1)')"], ["st_geomfromtext('MULTILINESTRING((0 0,1 1))')"],
        ["st_geomfromtext('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))')"], ["st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 1))')"])
    if mariadb:
        yield "nets", ["uuid", "inet4", "inet6"], all_of(
            ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "NULL", "'123e4567-e89b-72d3-a456-426655440100'", "'6ccd780c-baba-1026-9564-5b8c65602400'"],
            ["'1.2.3.4'", "'0.0.0.0'", "'255.255.255.255'", "NULL", "'10.0.0.0'", "'1.2.0.0'"],
            ["'::'", "'::1'", "'2001:db8::ff00:42:8329'", "NULL", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1:0:2:3:4:5:6:7'", "'1:0:0:2:0:0:0:3'", "'1::'", "'1:0:0:2:3:0:0:4'", "'::2:3:4:5:6:7:8'", "'1:2:3:4:5:6:7::'", "'::ffff:0:0'", "'fe80::'", "'0:0:0:0:0:0:1:0'"])
        yield "compressed", ["varchar(1000) compressed", "text compressed", "blob compressed", "varbinary(1000) compressed", "varchar(500) character set latin1 compressed", "longtext compressed", "varchar(50) compressed"], all_of(
            ["''", "repeat('é', 500)", "'short'", "NULL"], ["''", "repeat('abc', 5000)", "'short'"], ["x''", "repeat(x'00ff', 3000)", "x'00'"], ["x''", "repeat(x'01', 900)", "x'ff'"],
            ["''", "repeat('ü', 500)", "'ü'"], ["''", "repeat('long', 30000)"], ["''", "'tiny'"])
        yield "json_alias", ["json", "longtext"], all_of(
            ["'{\"a\": 1,   \"b\":[1,2]}'", "'null'", "'\"x\"'", "NULL", "'1e400'"], ["'{\"a\": 1}'"])
    else:
        yield "jsons", ["json"], [[value] for value in json_sql()] + [["NULL"]]
        yield "vectors", ["vector(3)", "vector"], all_of(["to_vector('[1,2,3]')", "to_vector('[-0.1,1e-30,3.4028234e38]')", "NULL"], ["to_vector('[0.5]')", "NULL", "to_vector('[1,2,3,4,5]')"])


def expression(definition, name):
    first = definition.split("(")[0].split(" ")[0]
    if first in ("float", "double"):
        return f"(`{name}` * 1e0)"
    if first == "bit":
        return f"CAST(`{name}` AS UNSIGNED)"
    if "character set" in definition and first not in ("enum", "set"):
        charset = definition.split("character set ")[1].split(" ")[0]
        if charset not in ("utf8mb3", "utf8mb4"):
            return f"CAST(`{name}` AS BINARY)"
    return f"`{name}`"


def hexadecimal(data):
    """z and the length in front of what was deflated."""
    return data.hex() if len(data) < 1000 else f"z{len(data)}:{zlib.compress(data, 9).hex()}"


def events(data, checksum=4):
    place = 4
    while place < len(data):
        _, kind, _, size, _, _ = struct.unpack_from("<IBIIIH", data, place)
        yield kind, data[place + 19:place + size - checksum]
        place += size


def main():
    flavour = sys.argv[1]
    with MysqlServer(flavour) as server, open(os.path.join(FOLDER, "rows", flavour + ".txt"), "w") as out:
        def put(*fields):
            out.write("\t".join(fields) + "\n")

        put("#", server.version)
        connection = server.connect(charset="utf8mb4", use_unicode=False, conv={})
        cursor = connection.cursor()
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute("select id, character_set_name from information_schema.collations where id is not null" if flavour == "mysql" else
                       "select id, character_set_name from information_schema.collation_character_set_applicability where id is not null")
        charsets = {int(row[0]): row[1].decode() for row in cursor.fetchall()}
        used = set()
        for name, types, rows in tables(flavour == "mariadb"):
            cursor.execute(LOOSE)
            columns = [f"c{i}" for i in range(len(types))]
            definition = ", ".join(f"`{column}` {kind}" for column, kind in zip(columns, types))
            cursor.execute(f"create table `{name}` (id int primary key, {definition}) default character set utf8mb4")
            for identity, row in enumerate(rows):
                named = [column for column, value in zip(columns, row) if value is not None]
                given = [str(value) for value in row if value is not None]
                cursor.execute(f"insert ignore into {name} (id, {', '.join(named)}) values ({identity}, {', '.join(given)})")
            file, end = server.place()
            with open(os.path.join(server.data, file), "rb") as log:
                data = log.read()
            mapped = None
            wanted = []
            for kind, body in events(data):
                if kind == TABLE_MAP:
                    length = body[8]
                    at = 9 + length + 1
                    table = body[at + 1:at + 1 + body[at]].decode()
                    mapped = body if table == name else None
                    if mapped and not wanted:
                        put("table", name, hexadecimal(body))
                elif kind in ROWS and mapped is not None:
                    wanted.append((str(kind), hexadecimal(body)))
            cursor.execute("select column_name, column_type, data_type, extra, generation_expression, character_set_name from information_schema.columns where table_schema = database() and table_name = %s order by ordinal_position", (name,))
            for column, column_type, data_type, extra, generation, charset in cursor.fetchall():
                json = flavour == "mariadb" and name == "json_alias" and column == b"c0"
                put("fact", column.decode(), column_type.decode(), data_type.decode(), "generated" if generation else "", "json" if json else "")
            select = ["`id`"] + [expression(kind, column) for column, kind in zip(columns, types)]
            cursor.execute(f"select {', '.join(select)} from {name} order by id")
            put("select", *select)
            for row in cursor.fetchall():
                put("values", *["NULL" if value is None else hexadecimal(value) for value in row])
            if name == "charsets":  # as the server converts them; '?' where it cannot
                cursor.execute(f"select {', '.join(f'`{column}`' for column in columns)} from {name} order by id")
                for row in cursor.fetchall():
                    put("converted", *[hexadecimal(value) for value in row])
            for event in wanted:
                put("event", *event)
        for collation, charset in sorted(charsets.items()):
            put("charset", str(collation), charset)


if __name__ == "__main__":
    main()
