"""kill -9 at every durable boundary of a first start: the next start goes on from what exists, with one slot and one publication."""
import pytest

from tests.support.daemon import Pipeline

# In the order in which a first start passes them.
POINTS = ["pg_intent_established", "intent_established", "pg_publication_created", "pg_slot_created", "frontier_established",
          "pg_frontier_established", "sink_start_resolved"]
SLOT_EXISTS_FROM = POINTS.index("pg_slot_created")


@pytest.mark.parametrize("point", POINTS)
def test_a_first_start_killed_at(point, server, tmp_path):
    server.sql("create table t (id int primary key)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start(TAILWATER_CRASH_POINT=point) as daemon:
        assert daemon.wait_exit(30) == -9, daemon.log()
    slots = server.value("select count(*) from pg_replication_slots")
    if point != "sink_start_resolved":  # a sink does not wait for the source: the slot may exist or not
        assert slots == (1 if POINTS.index(point) >= SLOT_EXISTS_FROM else 0)
    server.sql("insert into t values (1)")
    pipeline.catch_up()
    server.sql("insert into t values (2)")
    pipeline.catch_up()
    assert server.value("select count(*) from pg_replication_slots") == 1
    assert server.value("select count(*) from pg_publication") == 1
    assert pipeline.copy("select id from t order by id") == [(1,), (2,)]  # by the stream, or by the copy
    ids = [record["id"] for record in pipeline.topic()]
    assert len(ids) == len(set(ids))
