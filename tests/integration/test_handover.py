"""`tailwater sources handover`: from a Postgres 15 to a 17 that holds the same rows; nothing is lost, nothing is doubled, and before equality
is proven nothing is changed."""
import json
import subprocess

import pytest

from tests.conftest import start_kafka, start_server
from tests.servers.postgres import DEBIAN_15
from tests.support.daemon import BINARY, Pipeline
from tests.support.kafka_pipeline import KafkaPipeline

SLOT = "tailwater_shop__shop"
ROWS = 500


def restore(old, new):
    """pg_dump | psql, as one does it; publications and slots stay behind."""
    dump = subprocess.run([f"{DEBIAN_15}/pg_dump", "--no-publications", "-h", "127.0.0.1", "-p", str(old.port), "-U", "postgres", "postgres"],
                          capture_output=True, check=True)
    subprocess.run([f"{DEBIAN_15}/psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(new.port), "-U", "postgres", "postgres"],
                   input=dump.stdout, capture_output=True, check=True)


@pytest.fixture
def servers():
    with start_server(15) as old, start_server(17) as new:
        yield old, new


def begun(pipeline, old):
    """Captured from the first row on, then stopped with some changes still on the old server."""
    old.sql("create table orders (id int primary key, note text, price numeric(10, 2), at timestamptz default now())")
    old.sql("create table empty (id int primary key)")
    pipeline.catch_up()
    old.sql("insert into orders select g, case g %% 3 when 0 then null when 1 then '' else 'é ' || g end, g / 7.0 from generate_series(1, %s) g", (ROWS,))
    pipeline.catch_up()
    old.sql("update orders set note = 'not yet captured' where id <= 10")
    old.sql("delete from orders where id = 11")


def point_to(pipeline, old, new):
    text = pipeline.files[0].read_text()
    assert f":{old.port}/" in text
    pipeline.files[0].write_text(text.replace(f":{old.port}/", f":{new.port}/"))


def handover(pipeline, old, *arguments, **environment):
    return pipeline.command("sources", "handover", pipeline.files[0], "shop", "--from-url", old.url(), *arguments, timeout=120, **environment)


def source(pipeline):
    result = pipeline.command("status", pipeline.files[0], "-o", "json")
    return json.loads(result.stdout)["pipelines"][0]["sources"][0]


def rows(pipeline):
    return sorted(pipeline.copy("select id, note, price from orders"))


def rows_of(server):
    return sorted((id, note, str(price)) for id, note, price in server.sql("select id, note, price from orders"))


def left_on(server):
    return (server.value("select count(*) from pg_replication_slots"), server.value("select count(*) from pg_publication"))


def assert_goes_on(pipeline, new, before):
    """After the handover, from the new server; identities stay unique, versions rise."""
    new.sql("insert into orders values (1000, 'on the new server', 1)")
    new.sql("update orders set note = 'changed on the new server' where id = 1")
    pipeline.catch_up()
    assert [(id, note, str(price) if price is not None else None) for id, note, price in rows(pipeline)] == rows_of(new)
    after = source(pipeline)
    assert after["epoch"] > before["epoch"]


def test_from_15_to_17(servers, tmp_path):
    old, new = servers
    pipeline = Pipeline(tmp_path / "a", old, ["public.*"])
    begun(pipeline, old)
    restore(old, new)
    before = source(pipeline)

    same = handover(pipeline, old)  # the file still names the old server
    assert same.returncode == 3 and "handover_same_server" in same.stderr, same
    point_to(pipeline, old, new)

    plan = handover(pipeline, old, "--dry-run")
    assert plan.returncode == 0 and "Nothing was changed" in plan.stdout, plan
    assert left_on(new) == (0, 0)

    # Somebody writes on the old server, or may still commit.
    with old.connect(autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute("update orders set note = 'open' where id = 20")
        refused = handover(pipeline, old)
        assert refused.returncode == 3 and "handover_still_written" in refused.stderr and "pid " in refused.stderr, refused
        writer.rollback()
    assert left_on(new) == (0, 0)

    # One row of the new server is another one.
    new.sql("update orders set price = price + 1 where id = 77")
    refused = handover(pipeline, old, "-o", "json")
    assert refused.returncode == 3, refused
    answer = json.loads(refused.stdout)
    assert answer["done"] is False and answer["error"]["code"] == "handover_differs" and "public.orders" in answer["error"]["message"]
    assert {table["table"]: table["equal"] for table in answer["tables"]} == {"public.orders": False, "public.empty": True}
    assert left_on(new) == (0, 0)
    assert source(pipeline)["epoch"] == before["epoch"]
    new.sql("update orders set price = price - 1 where id = 77")

    # A kill at any point leaves a topic that belongs to one server, and a second attempt that works.
    for place in ("handover_established", "handover_storing"):
        killed = handover(pipeline, old, TAILWATER_CRASH_POINT=place)
        assert killed.returncode == -9, (place, killed)
        assert source(pipeline)["epoch"] == before["epoch"]
    done = handover(pipeline, old)
    assert done.returncode == 0, done
    assert "equal" in done.stdout and "stored" in done.stdout
    assert left_on(old)[0] == 1, "the way back"
    assert left_on(new) == (1, 1)
    assert_goes_on(pipeline, new, before)
    topic = pipeline.topic()
    assert len({record["id"] for record in topic}) == len(topic)
    versions = [record["version"] for record in topic]
    assert versions == sorted(versions)

    again = handover(pipeline, old)
    assert again.returncode == 4 and "another server" in again.stderr, again


def test_a_running_daemon_is_left_alone(servers, tmp_path):
    old, new = servers
    pipeline = Pipeline(tmp_path / "a", old, ["public.*"])
    begun(pipeline, old)
    restore(old, new)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        point_to(pipeline, old, new)
        refused = handover(pipeline, old)
        assert refused.returncode == 3 and "pipeline_running" in refused.stderr, refused
        assert daemon.source()["state"] == "streaming"
    assert left_on(new) == (0, 0)


def test_kafka_topic(servers, tmp_path):
    old, new = servers
    with start_kafka() as kafka:
        pipeline = KafkaPipeline(tmp_path, old, kafka, ["public.*"])
        begun(pipeline, old)
        restore(old, new)
        before = source(pipeline)
        point_to(pipeline, old, new)
        killed = handover(pipeline, old, TAILWATER_CRASH_POINT="handover_proven")
        assert killed.returncode == -9, killed
        done = handover(pipeline, old)
        assert done.returncode == 0, done
        assert_goes_on(pipeline, new, before)
        pipeline.committed()  # checks identities and versions


def test_usage(tmp_path):
    result = subprocess.run([BINARY, "sources", "handover", "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "--skip-proof" in result.stdout
