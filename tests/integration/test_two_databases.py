"""One pipeline, a Postgres and a MySQL or MariaDB with tables of the same names, one topic, the same sinks: rows of the same key never meet."""
import json
import threading

from tests.integration.test_reload import Folder
from tests.support.daemon import wait_until
from tests.support.workload import COLUMNS, TABLES, Workload, as_multiset, create_tables, differences, source_rows


def test_rows_of_postgres_and_mysql_never_collide(server, mysql, tmp_path):
    servers = {"east": server, "west": mysql}
    folder = Folder(tmp_path, server)
    for each in servers.values():
        create_tables(each)
        each.sql("insert into seats values (98, 1, 'from before')")
    document = folder.pipeline("shop", TABLES, {"copy": folder.sqlite("copy"), "feed": {"type": "stdout", "path": str(tmp_path / "feed")},
                                                "west_only": folder.sqlite("west", tables=["west:*"])})
    document["sources"] = {name: {"type": each.TYPE, "url": each.url(), "tables": TABLES} for name, each in servers.items()}
    folder.write("shop.yaml", document)

    def write(name, seed):
        connection = servers[name].connect()
        workload = Workload(connection, seed, large=500)
        for _ in range(200):
            workload.step()
        workload.cursor.execute("insert into seats values (99, 1, %s)", (name,))  # the same key in both
        connection.close()

    def copied(file, name, table):
        return as_multiset(folder.rows(file, f"select {', '.join('t.' + c for c in COLUMNS[table])} from {table} t "
                                             f"join _tailwater_origins o on o.origin = t._tailwater_origin where o.source = '{name}'"))

    with folder.start() as daemon:
        folder.wait_streaming(daemon, "shop")
        writers = [threading.Thread(target=write, args=item) for item in {"east": 31, "west": 32}.items()]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        for name, each in servers.items():
            for table in COLUMNS:
                wait_until(f"{name} {table}", lambda: differences(source_rows(each, table), copied("copy", name, table)) == "")
        assert sorted(folder.rows("copy", "select holder from seats where hall = 99")) == [("east",), ("west",)]
        wait_until("the sink of one source", lambda: differences(source_rows(mysql, "seats"), copied("west", "west", "seats")) == "")
        assert folder.rows("west", "select holder from seats where hall = 99") == [("west",)]
        wait_until("the feed", lambda: folder.sink(daemon, "shop", "feed").get("lag_records") == 0)
        lines = [json.loads(line) for line in (tmp_path / "feed").read_text().splitlines()]
        ids = [line["id"] for line in lines]
        assert len(ids) == len(set(ids))
        assert {line["source"] for line in lines} == set(servers)
        assert all(line["id"].startswith(line["source"] + ":") for line in lines)
        assert daemon.stop() == 0
