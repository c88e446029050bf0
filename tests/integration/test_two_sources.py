"""One pipeline, two databases with tables of the same names, one topic: rows of the same key never meet."""
import json
import threading

from tests.integration.test_reload import Folder
from tests.support.daemon import wait_until
from tests.support.workload import COLUMNS, SCHEMA, TABLES, Workload, as_multiset, differences

DATABASES = {"east": 31, "west": 32}


def test_rows_of_two_databases_never_collide(server, tmp_path):
    folder = Folder(tmp_path, server)
    for database in DATABASES:
        server.sql(f"create database {database}")
        server.sql(SCHEMA, database=database)
    document = folder.pipeline("shop", TABLES, {"copy": folder.sqlite("copy"), "feed": {"type": "stdout", "path": str(tmp_path / "feed")},
                                                "west_only": folder.sqlite("west", tables=["west:*"])})
    document["sources"] = {name: {"type": "postgres", "url": server.url(name), "tables": TABLES} for name in DATABASES}
    folder.write("shop.yaml", document)

    def write(database, seed):
        connection = server.connect(database)
        workload = Workload(connection, seed, large=500)
        for _ in range(200):
            workload.step()
        workload.cursor.execute("insert into seats values (99, 1, %s)", (database,))  # the same key in both
        connection.close()

    def source_rows(database, table):
        columns = ", ".join(f"{c}::text" for c in COLUMNS[table])
        return as_multiset(server.sql(f"select {columns} from {table}", database=database))

    def copied(name, database, table):
        return as_multiset(folder.rows(name, f"select {', '.join('t.' + c for c in COLUMNS[table])} from {table} t "
                                             f"join _tailwater_origins o on o.origin = t._tailwater_origin where o.source = '{database}'"))

    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        writers = [threading.Thread(target=write, args=item) for item in DATABASES.items()]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        for database in DATABASES:
            for table in COLUMNS:
                wait_until(f"{database} {table}", lambda: differences(source_rows(database, table), copied("copy", database, table)) == "")
        assert sorted(folder.rows("copy", "select holder from seats where hall = 99")) == [("east",), ("west",)]
        wait_until("the sink of one source", lambda: differences(source_rows("west", "seats"), copied("west", "west", "seats")) == "")
        assert folder.rows("west", "select holder from seats where hall = 99") == [("west",)]
        wait_until("the feed", lambda: folder.sink(daemon, "shop", "feed").get("lag_records") == 0)
        slots = server.sql("select slot_name from pg_replication_slots order by 1")
        assert slots == [("tailwater_shop__east",), ("tailwater_shop__west",)]
        lines = [json.loads(line) for line in (tmp_path / "feed").read_text().splitlines()]
        # A key of the topic belongs to one source: identities and versions are each source's own.
        ids = [line["id"] for line in lines]
        assert len(ids) == len(set(ids))
        assert {line["source"] for line in lines} == set(DATABASES)
        assert all(line["id"].startswith(line["source"] + ":") for line in lines)
        assert daemon.stop() == 0
