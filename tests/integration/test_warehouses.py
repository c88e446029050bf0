"""One pipeline file carries a Postgres and a MariaDB into ClickHouse and into another Postgres, under load and through kills and new columns."""
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import start_mysql, start_server
from tests.integration.test_reload import Folder
from tests.servers import clickhouse as clickhouse_servers
from tests.support.clickhouse_copy import KEYED, new_database, sink, target_rows
from tests.support.daemon import wait_until
from tests.support.postgres_copy import PostgresCopy
from tests.support.workload import COLUMNS, Workload, as_multiset, create_tables, differences

BILLING = "billing"  # MariaDB's database: Postgres' tables are in schema public


@pytest.fixture
def clickhouse():
    try:
        clickhouse_servers.fetch()
    except Exception as error:
        pytest.skip(f"ClickHouse cannot be had: {error}")
    with clickhouse_servers.ClickHouseServer() as running:
        yield running


def rows_of(server, schema, table, columns):
    return as_multiset(server.sql(f"select {', '.join(map(server.as_text, columns))} from {schema}.{table}"))


def test_one_file_fills_two_warehouses_from_two_databases(server, clickhouse, tmp_path):
    with start_mysql("mariadb") as mariadb, start_server() as reports_server, ThreadPoolExecutor() as writers:
        mariadb.sql(f"create database {BILLING}")
        create_tables(server)
        create_tables(mariadb, BILLING)
        reports, database = PostgresCopy(reports_server), new_database(clickhouse)
        sources = {"shop": (server, "public"), "billing": (mariadb, BILLING)}
        folder = Folder(tmp_path, server)
        document = folder.pipeline("warehouse", ["public.*"], {
            "analytics": sink(clickhouse, database, [{"match": "*.*", "exclude": ["*.visits"]}], table="{source}_{table}"),
            "reports": reports.sink()})
        document["sources"]["shop"] = document["sources"].pop("db")
        document["sources"]["billing"] = {"type": "mysql", "url": mariadb.url(BILLING), "tables": [f"{BILLING}.*"]}
        folder.write("warehouse.yaml", json.dumps(document))

        connections = {name: each.connect() if name == "shop" else each.connect(BILLING) for name, (each, _) in sources.items()}
        loads = {name: Workload(connection, seed, large=500) for seed, (name, connection) in enumerate(connections.items(), 41)}

        def new_column_is_there():
            found = reports.sql("select 1 from information_schema.columns where table_name = 'events' and column_name = 'added'")
            held = clickhouse.rows(f"select table from system.columns where database = '{database}' and name = 'added'")
            return len(found) == len(held) == len(sources)

        def write(steps):
            def work(load):
                for _ in range(steps):
                    load.step()
            return [writers.submit(work, load) for load in loads.values()]

        def unequal():
            for name, (each, schema) in sources.items():
                for table, columns in COLUMNS.items():
                    columns = columns + (["added"] if table == "events" else [])
                    expected = rows_of(each, schema, table, columns)
                    names = ", ".join(f'"{column}"::text' for column in columns)
                    found = as_multiset(reports.sql(f"select {names} from {schema}.{table}"))
                    if difference := differences(expected, found):
                        return f"reports {schema}.{table}: {difference}"
                    if table in KEYED and (difference := differences(expected, target_rows(clickhouse, f"{database}.{name}_{table}", columns))):
                        return f"analytics {name}_{table}: {difference}"
            return ""

        for written in write(150):  # these are copied
            written.result()
        more = write(450)
        with folder.start() as daemon:
            folder.wait_streaming(daemon, "warehouse")
            wait_until("both sinks to write", lambda: all(s["applied"] > 500 for s in folder.state(daemon, "warehouse")["sinks"]), 60)
        # The end of the block is kill -9 in mid-stream.
        for each, schema in sources.values():
            each.sql(f"alter table {schema}.events add column added int")
            each.sql(f"insert into {schema}.events (id, kind, added) values (-77, 'late', 5)")
        with folder.start() as daemon:
            folder.wait_streaming(daemon, "warehouse")
            for written in more:
                written.result()
            wait_until("the new column to be in both warehouses", new_column_is_there, 60)
            last = [""]

            def equal():
                last[0] = unequal()
                return not last[0]
            try:
                wait_until("both warehouses to be equal", equal, 60)
            except AssertionError as error:
                raise AssertionError(f"{error}: {last[0]}") from None
            # A change is in both within seconds.
            begun = time.monotonic()
            server.sql("insert into public.events (id, kind) values (-78, 'now')")
            for holds in (lambda: reports.sql("select 1 from public.events where id = -78"),
                          lambda: clickhouse.rows(f"select 1 from {database}.shop_events where id = -78")):
                wait_until("a row to arrive", holds)
            print(f"a row was in both after {time.monotonic() - begun:.2f} s")
            assert all(s["state"] == "running" and s["dead"] == 0 for s in folder.state(daemon, "warehouse")["sinks"])
            assert daemon.stop() == 0
        for connection in connections.values():
            connection.close()
