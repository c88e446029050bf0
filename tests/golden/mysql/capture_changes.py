#!/usr/bin/python3
"""Changes of one row as a real server logs them, with the row before and after: one file per server in rows/.

    capture_changes.py mariadb|mysql

As capture_rows.py has it; `step` (the settings of the session, the statement) comes before its `event`s and the `values` that
the row has afterwards, which are missing once it is gone.
"""
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, FOLDER)
from capture_rows import ROWS, TABLE_MAP, MysqlServer, events, expression, hexadecimal

FULL, MINIMAL, NOBLOB = ("binlog_row_image = " + image for image in ("FULL", "MINIMAL", "NOBLOB"))
PARTIAL = "binlog_row_value_options = 'PARTIAL_JSON'"
DOCUMENT = '{"a": 1, "b": [1, 2, {"c": "d"}], "long": "%s", "sp ace": {"q\\\\"x": 1}, "ü": null}' % ("z" * 100)


def cases(mariadb):
    for name, image in (("full", FULL), ("minimal", MINIMAL), ("noblob", NOBLOB)):
        yield "image_" + name, ["int", "varchar(20)", "text", "int default 7"], [
            (image, "insert into TABLE (id, c0, c1) values (1, 5, 'five')"),
            (image, "update TABLE set c0 = 6 where id = 1"),
            (image, "update TABLE set c2 = repeat('text', 20) where id = 1"),
            (image, "update TABLE set c1 = null, c3 = 9 where id = 1"),
            (image, "update TABLE set id = 1, c2 = null, c0 = c0 + 1 where id = 1"),
            (image, "delete from TABLE where id = 1")]
    if mariadb:
        return
    for name, image in (("", FULL), ("_noblob", NOBLOB)):
        settings = PARTIAL + ", " + image
        yield "partial" + name, ["json", "int", "json"], [
            (settings, f"insert into TABLE values (1, '{DOCUMENT}', 1, '[1, 2, 3, 4, 5]')"),
            (settings, "update TABLE set c0 = json_set(c0, '$.a', 2)"),
            (settings, "update TABLE set c1 = 2"),
            (settings, "update TABLE set c0 = json_set(c0, '$.b[2].c', 'other'), c2 = json_remove(c2, '$[1]')"),
            (settings, "update TABLE set c0 = json_replace(c0, '$.\"sp ace\".\"q\\\\\"x\"', 70000, '$.\"ü\"', true)"),
            (settings, "update TABLE set c0 = json_insert(c0, '$.zz', cast('2024-02-29' as date), '$.b[9]', 1.50, '$.bb', json_object('n', 1))"),
            (settings, "update TABLE set c0 = json_remove(c0, '$.b', '$.zz')"),
            (settings, "update TABLE set c0 = json_set(c0, '$.a', 2)"),
            (settings, "update TABLE set c0 = json_set(c0, '$.a', repeat('y', 500)), c1 = null"),
            (settings, "update TABLE set c2 = json_array_append(c2, '$', 9)"),
            (settings, "update TABLE set c2 = json_array_insert(c2, '$[0]', 'first')"),
            (settings, "update TABLE set c2 = null, c0 = json_set(c0, '$.new', json_array(1, 'x', null))"),
            (settings, "update TABLE set c2 = '{}', c0 = json_remove(c0, '$.long', '$.new[1]')"),
            (settings, "update TABLE set c0 = json_set(c0, '$', 5)"),
            (settings, "delete from TABLE")]


def main():
    flavour = sys.argv[1]
    with MysqlServer(flavour) as server, open(os.path.join(FOLDER, "rows", f"changes_{flavour}.txt"), "w") as out:
        def put(*fields):
            out.write("\t".join(fields) + "\n")

        put("#", server.version)
        connection = server.connect(charset="utf8mb4", use_unicode=False, conv={})
        cursor = connection.cursor()
        cursor.execute("set time_zone = '+00:00'")
        cursor.execute("select id, character_set_name from information_schema.collations where id is not null" if flavour == "mysql" else
                       "select id, character_set_name from information_schema.collation_character_set_applicability where id is not null")
        charsets = {int(row[0]): row[1].decode() for row in cursor.fetchall()}
        for name, types, steps in cases(flavour == "mariadb"):
            columns = [f"c{i}" for i in range(len(types))]
            definition = ", ".join(f"`{column}` {kind}" for column, kind in zip(columns, types))
            cursor.execute(f"create table `{name}` (id int primary key, {definition}) default character set utf8mb4")
            select = ["`id`"] + [expression(kind, column) for column, kind in zip(columns, types)]
            first = True
            for settings, statement in steps:
                for setting in settings.split(", "):
                    cursor.execute(f"set session {setting}")
                begin = server.place()[1]
                cursor.execute(statement.replace("TABLE", name))
                file, _ = server.place()
                with open(os.path.join(server.data, file), "rb") as log:
                    data = log.read()
                cursor.execute(f"select {', '.join(select)} from {name}")
                row = cursor.fetchone()
                for kind, body in events(b"\0" * 4 + data[begin:]):
                    if first and kind == TABLE_MAP:
                        put("table", name, hexadecimal(body))
                        put("select", *select)
                        first = False
                    if kind in ROWS:
                        put("step", settings, statement)
                        put("event", str(kind), hexadecimal(body))
                        put("values", *(["NULL" if value is None else hexadecimal(value) for value in row] if row else []))
                if flavour == "mysql":
                    cursor.execute("set session binlog_row_value_options = ''")
        for collation, charset in sorted(charsets.items()):
            put("charset", str(collation), charset)


main()
