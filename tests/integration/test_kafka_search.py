"""The whole way on real servers: two databases, one Kafka topic, deliver processes that share its partitions, one OpenSearch."""
import json
import time

import pytest

from tests.servers import opensearch
from tests.support.daemon import wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.workload import COLUMNS, SCHEMA, TABLES, Workload, as_multiset, differences

KEYED = ["accounts", "seats", "settings", "events"]  # visits has no key


@pytest.fixture(scope="module")
def search():
    try:
        opensearch.fetch()
    except Exception as error:
        pytest.skip(f"OpenSearch cannot be had: {error}")
    with opensearch.OpenSearchServer() as running:
        yield running


def two_databases(server, kafka, search, tmp_path):
    """Sources `east` and `west`: two databases that hold the same tables; one index per table for both."""
    for database in ("east", "west"):
        server.sql(f"create database {database}")
        server.sql(SCHEMA, database=database)
    pipeline = KafkaPipeline(tmp_path, server, kafka, TABLES, topic={"partitions": 4}, sinks={"search": {
        "type": "opensearch", "url": search.url, "index": "both_{table}", "settings": {"number_of_replicas": 0},
        "tables": [f"public.{table}" for table in KEYED]}})
    document = json.loads(pipeline.files[0].read_text())
    document["sources"] = {database: {"type": "postgres", "url": server.url(database), "tables": TABLES} for database in ("east", "west")}
    pipeline.files[0].write_text(json.dumps(document))
    return pipeline


def rows_of(server, database, table):
    columns = ", ".join(f"{c}::text" for c in COLUMNS[table])
    return as_multiset(server.sql(f"select {columns} from {table}", database=database))


def assert_indices_equal_sources(server, search):
    for table in KEYED:
        documents = search.documents(f"both_{table}")
        for database in ("east", "west"):
            mine = [source for identity, source in documents.items() if identity.startswith(database + ":")]
            found = as_multiset([row.get(column) for column in COLUMNS[table]] for row in mine)
            assert differences(rows_of(server, database, table), found) == "", f"{database}.{table}"


def test_two_databases_with_the_same_tables_never_collide_through_deaths_of_every_part(server, kafka, search, tmp_path):
    pipeline = two_databases(server, kafka, search, tmp_path)
    connections = [server.connect(database=database) for database in ("east", "west")]
    workloads = [Workload(connection, seed, large=800) for seed, connection in enumerate(connections, 1)]

    def work(steps):
        for _ in range(steps):
            for workload in workloads:
                workload.step()

    with pipeline.start("--only", "capture") as capture:
        for source in ("east", "west"):
            capture.wait_state("streaming", source)
        delivering = [pipeline.start("--only", "deliver", "--instance", name) for name in ("two", "three")]
        try:
            for process in delivering:
                wait_until("its share", lambda: process.answers() and process.sink("search")["state"] == "running", 40)
            work(120)
            delivering[0].kill()  # its partitions go to the other
            work(60)
            search.kill()
            work(60)
            search.start()
            delivering.append(pipeline.start("--only", "deliver", "--instance", "two"))
            work(60)
        finally:
            for process in delivering:
                process.kill()
        assert capture.stop() == 0
    for connection in connections:
        connection.close()
    pipeline.catch_up()
    assert_indices_equal_sources(server, search)
    pipeline.committed()
