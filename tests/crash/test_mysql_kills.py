"""kill -9, again and again, against a real MariaDB and a real MySQL with a writer that never stops."""
import os

import pytest

from tests.conftest import start_mysql
from tests.servers.mysql import FLAVOURS
from tests.support.daemon import Pipeline
from tests.support.kills import survive_kills, survive_kills_while_copying

KILLS = int(os.environ.get("TW_MYSQL_KILLS", "36"))
SNAPSHOT_KILLS = int(os.environ.get("TW_MYSQL_SNAPSHOT_KILLS", "12"))
SEED = int(os.environ.get("TW_SEED", "1"))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_id_once_and_every_copy_equal_after_kills(flavour, tmp_path):
    with start_mysql(flavour) as server:
        survive_kills(server, tmp_path, KILLS, SEED)


# In the order in which a first start passes them.
POINTS = ["mysql_intent_established", "intent_established", "frontier_established", "mysql_frontier_established", "sink_start_resolved"]


def test_a_first_start_killed_at_every_step(mysql, tmp_path):
    for point in POINTS:
        mysql.empty()
        mysql.sql(["create table t (id int primary key)", "insert into t values (0)"])
        pipeline = Pipeline(tmp_path / point, mysql, ["public.t"])
        with pipeline.start(TAILWATER_CRASH_POINT=point) as daemon:
            assert daemon.wait_exit(30) == -9, daemon.log()
        mysql.sql("insert into t values (1)")
        pipeline.catch_up()
        mysql.sql("insert into t values (2)")
        pipeline.catch_up()
        assert pipeline.copy("select id from t order by id") == [(0,), (1,), (2,)]  # by the stream, or by the copy
        ids = [record["id"] for record in pipeline.topic()]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_snapshot_survives_kills_and_repeats_little(flavour, tmp_path):
    with start_mysql(flavour) as server:
        survive_kills_while_copying(server, tmp_path, SNAPSHOT_KILLS, SEED, rows=60_000)
