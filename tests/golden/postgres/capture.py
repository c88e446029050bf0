#!/usr/bin/env python3
"""Captures what pgoutput really sends: one file per case of cases/*.sql.

usage: PGHOST=127.0.0.1 PGPORT=… PGUSER=postgres tests/golden/postgres/capture.py [case…]

Needs a throwaway server with wal_level=logical, and psql. Each case runs in a database of its own: what stands
before a line `-- stream` prepares, what follows is captured. A case may name publication options in a line
`-- publication: …`; the default is FOR ALL TABLES.

Written per case, beside the script:
  <case>.bin    messages, each with its length in front (u32, big-endian)
  <case>.facts  what the catalogs say about relations and types, as CatalogFacts would answer
The readable expectation <case>.txt is written by the test itself: TAILWATER_UPDATE_GOLDEN=1 connectors_postgres_test.
Read it before you commit it.
"""
import os
import pathlib
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SESSION = ("-c DateStyle=ISO,YMD -c TimeZone=UTC -c IntervalStyle=postgres -c extra_float_digits=3 "
           "-c bytea_output=hex -c lc_monetary=C")

RELATIONS = """
select 'relation', c.oid, coalesce((select string_agg(a.attname, ',' order by a.attnum) from pg_index i
         join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary and i.indimmediate and i.indisvalid), ''),
       coalesce((select string_agg(attname, ',') from pg_attribute where attrelid = c.oid and attgenerated <> ''), ''),
       (c.relkind <> 'p' or not exists (select from pg_partition_tree(c.oid) t join pg_class l on l.oid = t.relid
         where t.isleaf and l.relreplident <> 'f'))::text
  from pg_class c where c.relkind in ('r', 'p') and c.oid >= 16384 order by c.oid"""
TYPES = """
select 'type', t.oid, case when t.typtype = 'b' and t.typlen = -1 and t.typelem <> 0 and t.typcategory = 'A' then 'a'
       else t.typtype::text end, t.typcategory, t.typbasetype, t.typtypmod, t.typelem,
       coalesce(e.typdelim, t.typdelim), format_type(t.oid, null)
  from pg_type t left join pg_type e on e.oid = t.typelem left join pg_class c on c.oid = t.typrelid
 where t.oid >= 16384 and coalesce(c.relkind, 'c') = 'c' order by t.oid"""


def psql(database, sql):
    command = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database]
    done = subprocess.run(command, input=sql, capture_output=True, text=True,
                          env=dict(os.environ, PGOPTIONS=SESSION, PGCLIENTENCODING="UTF8"))
    if done.returncode != 0:
        sys.exit(f"{database}: {done.stderr}")
    return done.stdout


def capture(case):
    sql = (HERE / "cases" / f"{case}.sql").read_text()
    prepare, stream = sql.split("-- stream\n")
    publication = "FOR ALL TABLES"
    for line in sql.splitlines():
        if line.startswith("-- publication: "):
            publication = line.removeprefix("-- publication: ")
        if line.startswith("-- since: ") and int(psql("postgres", "show server_version_num")) // 10000 < int(line[10:]):
            print(f"{case}: skipped, the server is older")
            return
    psql("postgres", "drop database if exists golden")
    psql("postgres", "create database golden template template0 encoding 'UTF8'")
    try:
        psql("golden", prepare)
        psql("golden", f"create publication golden {publication};"
                       "select pg_create_logical_replication_slot('golden', 'pgoutput')")
        psql("golden", stream)
        messages = psql("golden", "select encode(data, 'hex') from pg_logical_slot_get_binary_changes('golden', null, null,"
                                  " 'proto_version', '1', 'publication_names', 'golden', 'messages', 'true')")
        with open(HERE / f"{case}.bin", "wb") as out:
            for line in messages.splitlines():
                message = bytes.fromhex(line)
                out.write(struct.pack(">I", len(message)) + message)
        facts = psql("golden", "set search_path = '';" + RELATIONS + ";" + TYPES)
        (HERE / f"{case}.facts").write_text(facts)
    finally:
        psql("golden", "select pg_drop_replication_slot('golden') from pg_replication_slots where slot_name = 'golden'")
        psql("postgres", "drop database golden")
    print(case)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in (HERE / "cases").glob("*.sql")):
        capture(name)
