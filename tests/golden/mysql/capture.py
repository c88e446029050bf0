#!/usr/bin/python3
"""Captures what servers really send for a dump of their log: see README.md beside this script.

usage: tests/golden/mysql/capture.py [--server mariadb|mysql] [case…]
"""
import argparse
import pathlib
import re
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))
from tests.servers.mysql import FLAVOURS, MysqlServer

COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID = 0x12, 0x1E
STOP_AT_END, ANNOTATE_ROWS = 0x01, 0x02
OUR_SERVER_ID = 4711
MYSQL_UUID = "11111111-2222-3333-4444-555555555555"

TABLES = {
    "mariadb": "select 'table', table_schema, table_name, table_type = 'SYSTEM VERSIONED', table_type = 'SEQUENCE'",
    "mysql": "select 'table', table_schema, table_name, 0, 0",
}
COLUMNS = {
    "mariadb": "select 'column', c.table_schema, c.table_name, c.column_name, c.column_type, c.data_type,"
               " c.is_generated = 'ALWAYS', exists (select * from information_schema.check_constraints k"
               " where k.constraint_schema = c.table_schema and k.table_name = c.table_name and k.level = 'Column'"
               " and k.check_clause = concat('json_valid(`', c.column_name, '`)')), ifnull(c.generation_expression = 'ROW END', 0)",
    "mysql": "select 'column', c.table_schema, c.table_name, c.column_name, c.column_type, c.data_type,"
             " c.generation_expression <> '', 0, 0",
}
COLLATIONS = {
    "mariadb": "select id, character_set_name from information_schema.collation_character_set_applicability",
    "mysql": "select id, character_set_name from information_schema.collations",
}


class Case:
    def __init__(self, name):
        self.name = name
        self.text = (HERE / "cases" / f"{name}.sql").read_text()
        self.servers = self.directive("servers", " ".join(FLAVOURS)).split()
        self.settings = dict(pair.split("=", 1) for pair in self.directive("settings", "").split())
        self.start = self.directive("start", "gtid")
        self.prepare, self.stream = self.text.split("-- stream\n")

    def directive(self, name, default):
        found = re.search(rf"^-- {name}: (.*)$", self.text, re.MULTILINE)
        return found.group(1) if found else default


class Sessions:
    """Runs statements; `-- session NAME` switches between sessions. Only lines for this server: others are marked
    `-- only mysql` … `-- end`."""

    def __init__(self, server):
        self.server = server
        self.open = {}

    def run(self, text):
        session, statement, skip = self.get("main"), "", False
        for line in text.splitlines():
            if line.startswith("-- only "):
                skip = self.server.flavour not in line.split()[2:]
            elif line == "-- end":
                skip = False
            elif skip:
                pass
            elif line.startswith("-- session "):
                session = self.get(line.split()[2])
            elif line == "-- kill server":
                self.close()
                self.server.restart("immediate")
                session = self.get("main")
            elif not line.startswith("-- "):
                statement += line + "\n"
                if line.endswith(";"):
                    with session.cursor() as cursor:
                        cursor.execute(statement.strip()[:-1])
                    statement = ""
        assert not statement.strip(), f"no ';' at the end of {statement}"

    def get(self, name):
        if name not in self.open:
            self.open[name] = self.server.connect()
        return self.open[name]

    def close(self):
        for connection in self.open.values():
            connection.close()
        self.open.clear()


def place(server):
    if server.is_mariadb:
        return *server.place(), server.value("select @@gtid_binlog_pos")
    return *server.place(), server.executed()


def encode(gtid_set):
    """As PROTOCOLS B8 has it, tagged."""
    entries = []
    for entry in filter(None, gtid_set.replace("\n", "").split(",")):
        uuid, *parts = entry.strip().split(":")
        tag, intervals = "", {}
        for part in parts:
            if part[0].isdigit():
                first, _, last = part.partition("-")
                intervals.setdefault(tag, []).append((int(first), int(last or first) + 1))
            else:
                tag = part
        entries += [(bytes.fromhex(uuid.replace("-", "")), t, i) for t, i in intervals.items()]
    out = struct.pack("<Q", 1 << 56 | len(entries) << 8 | 1)
    for uuid, tag, intervals in sorted(entries):
        out += uuid + bytes([len(tag) << 1]) + tag.encode() + struct.pack("<Q", len(intervals))
        out += b"".join(struct.pack("<QQ", *interval) for interval in intervals)
    return out


def dump(server, start, file, offset, gtids):
    """The packets of the log behind a place, without their status byte."""
    connection = server.connect(None)
    with connection.cursor() as cursor:
        cursor.execute("set @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum,"
                       " @mariadb_slave_capability = 4")
        if server.is_mariadb and start == "gtid":
            cursor.execute("set @slave_connect_state = %s", (gtids,))
    if server.is_mariadb:
        flags = STOP_AT_END | ANNOTATE_ROWS
        offset, file = (4, "") if start == "gtid" else (offset, file)
        command = COM_BINLOG_DUMP, struct.pack("<IHI", offset, flags, OUR_SERVER_ID) + file.encode()
    elif start == "file":
        command = COM_BINLOG_DUMP, struct.pack("<IHI", offset, STOP_AT_END, OUR_SERVER_ID) + file.encode()
    else:
        known = encode(gtids)
        command = COM_BINLOG_DUMP_GTID, struct.pack("<HIIQI", STOP_AT_END, OUR_SERVER_ID, 0, 4, len(known)) + known
    connection._execute_command(*command)
    while True:
        packet = connection._read_packet().get_all_data()
        if packet[0] == 0xFE and len(packet) < 9:
            break
        yield packet[1:]
    connection.close()


def as_lines(rows):
    return "".join("\t".join(str(field) for field in row) + "\n" for row in rows)


def facts(server):
    """What CatalogFacts would answer now."""
    lines = []
    for table in (TABLES, COLUMNS):
        source = "information_schema." + ("tables" if table is TABLES else "columns c")
        order = "table_name" if table is TABLES else "c.table_name, c.ordinal_position"
        where = "table_schema not in ('sys', 'mysql', 'information_schema', 'performance_schema')"
        lines += server.sql(f"{table[server.flavour]} from {source} where {where} order by table_schema, {order}", database=None)
    return as_lines(lines)


def capture(server, case):
    server.sql([f"drop database if exists {each}" for each in ("public", "other")] + ["create database public"], database=None)
    sessions = Sessions(server)
    sessions.run(case.prepare)
    server.sql("flush binary logs")
    start = place(server)
    sessions.run(case.stream)
    packets = list(dump(server, case.start, *start))
    sessions.close()
    name = f"{case.name}.{server.flavour}"
    with open(HERE / f"{name}.bin", "wb") as out:
        for packet in packets:
            out.write(struct.pack(">I", len(packet)) + packet)
    (HERE / f"{name}.facts").write_text(facts(server))
    print(name, len(packets), "packets,", sum(map(len, packets)), "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=FLAVOURS)
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    cases = [Case(name) for name in arguments.cases or sorted(path.stem for path in (HERE / "cases").glob("*.sql"))]
    for flavour in FLAVOURS:
        if arguments.server not in (None, flavour):
            continue
        by_settings = {}
        for case in cases:
            if flavour in case.servers:
                by_settings.setdefault(tuple(sorted(case.settings.items())), []).append(case)
        for settings, of_settings in by_settings.items():
            server = MysqlServer(flavour, settings=dict(settings))
            if flavour == "mysql":
                identity = pathlib.Path(server.data, "auto.cnf")
                identity.write_text(f"[auto]\nserver-uuid={MYSQL_UUID}\n")
                subprocess.run(["chown", "--reference", server.data, str(identity)], check=True)
            with server:
                charsets = server.sql(COLLATIONS[flavour] + " where id is not null order by id", database=None)
                (HERE / f"charsets.{flavour}").write_text(as_lines(charsets))
                for case in of_settings:
                    capture(server, case)


if __name__ == "__main__":
    main()
