"""kill -9 around a statement that replaces a table's rows without changes of rows: the next start still copies the table again."""
import pytest

from tests.conftest import start_mysql
from tests.servers.mysql import FLAVOURS
from tests.support.daemon import Pipeline, wait_until

# In the order in which the statement passes them.
POINTS = ["rows_replaced_noted", "before_append", "appended_not_durable", "published_not_released", "snapshot_chunk_read"]


def swap(server):
    server.sql(["create table t_new (id int primary key, v int)", "insert into t_new values (2, 20), (3, 30)",
                "rename table t to t_old, t_new to t", "insert into t values (4, 40)", "delete from t where id = 2"])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_swapped_table_is_copied_again_whatever_dies(flavour, tmp_path):
    with start_mysql(flavour) as server:
        for point in POINTS:
            server.empty()
            server.sql(["create table t (id int primary key, v int)", "insert into t values (1, 1), (2, 2)"])
            pipeline = Pipeline(tmp_path / point, server, ["public.t"])
            pipeline.catch_up()
            swap(server)
            with pipeline.start(TAILWATER_CRASH_POINT=point) as daemon:
                assert daemon.wait_exit(60) == -9, (point, daemon.log())
            pipeline.catch_up()
            assert pipeline.copy("select id, v from t order by id") == [(3, 30), (4, 40)], point
            ids = [record["id"] for record in pipeline.topic()]
            assert len(ids) == len(set(ids)), point


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_where_nothing_is_copied_by_itself_the_table_is_named_until_somebody_copies_it(flavour, tmp_path):
    with start_mysql(flavour) as server:
        server.empty()
        server.sql("create table t (id int primary key, v int)")
        pipeline = Pipeline(tmp_path, server, ["public.t"], source_options={"snapshot": {"mode": "never"}})
        pipeline.catch_up()
        server.sql("insert into t values (1, 1), (2, 2)")
        pipeline.catch_up()
        swap(server)
        pipeline.catch_up()
        assert pipeline.copy("select id, v from t order by id") == [(1, 1), (4, 40)]
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            stale = daemon.source()["snapshots"]["stale"]
            assert [one["table"] for one in stale] == ["public.t"], stale
            url = ("--server", daemon.url)
            listed = pipeline.command("sources", "list", *url).stdout
            assert "tailwater sources snapshot shop/shop public.t" in listed, listed
            assert pipeline.command("sources", "snapshot", "shop", "public.t", *url).returncode == 0
            wait_until("the copy", lambda: pipeline.copy("select id, v from t order by id") == [(3, 30), (4, 40)])
            assert "stale" not in daemon.source()["snapshots"]
            assert daemon.stop() == 0
