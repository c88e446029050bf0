"""on_gap: resnapshot. Behind each gap the source begins a new epoch and copies its tables again: what was written, changed and deleted
inside the gap arrives, old versions never win, and it happens at most three times an hour."""
import json
import shutil

from tests.integration.test_gaps import SLOT, anew, lose_log
from tests.support.daemon import Pipeline, wait_until
from tests.support.standby import copy_data

KILLS = ["gap_found", "gap_epoch_established", "intent_established", "pg_left_slot_dropped", "pg_slot_created", "frontier_established"]


def begun(home, server):
    server.sql("create table if not exists t (id int primary key, note text)")
    server.sql("truncate t")
    pipeline = Pipeline(home, server, ["public.t"], source_options={"on_gap": "resnapshot"})
    server.sql("insert into t select g, 'before' from generate_series(1, 300) g")
    with pipeline.start() as daemon:
        wait_copied(pipeline, server, daemon)
        daemon.stop()
    return pipeline


def source(pipeline):
    result = pipeline.command("status", pipeline.files[0], "-o", "json")
    return json.loads(result.stdout)["pipelines"][0]["sources"][0]


def wait_copied(pipeline, server, daemon):
    rows = server.sql("select id, note from t order by id")

    def equal():
        assert daemon.process.poll() is None, daemon.log()[-3000:]
        try:
            return pipeline.copy("select id, note from t order by id") == rows
        except Exception:  # no table yet
            return False
    wait_until("the copy to equal the source", equal, 60)


def write_inside_the_gap(server, number):
    server.sql("insert into t values (%s, 'inside the gap')", (1000 + number,))
    server.sql("update t set note = %s where id between 50 and 60", (f"changed in gap {number}",))
    server.sql("delete from t where id between %s and %s", (number * 10, number * 10 + 4))


def assert_recovers(pipeline, server, number, kill=None):
    before = source(pipeline)
    if kill:
        with pipeline.start(TAILWATER_CRASH_POINT=kill) as daemon:
            assert daemon.wait_exit(60) == -9, (kill, daemon.log()[-3000:])
    with pipeline.start() as daemon:
        wait_copied(pipeline, server, daemon)
        server.sql("update t set note = 'after the gap' where id = 200")
        wait_copied(pipeline, server, daemon)
        daemon.stop()
    after = source(pipeline)
    assert after["epoch"] > before["epoch"]


def drop_slot(server, number):
    server.sql("select pg_drop_replication_slot(%s)", (SLOT,))
    write_inside_the_gap(server, number)


def advance_slot(server, number):
    write_inside_the_gap(server, number)
    server.sql("select pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())", (SLOT,))


def replace_publication(server, number):
    server.sql(f"drop publication {SLOT}")
    write_inside_the_gap(server, number)
    server.sql(f"create publication {SLOT} for table t")


def invalidate_slot(server, number):
    write_inside_the_gap(server, number)
    lose_log(server)


def test_three_gaps_converge_and_the_fourth_halts(server, tmp_path):
    pipeline = begun(tmp_path / "a", server)
    for number, gap in enumerate([drop_slot, advance_slot, invalidate_slot], 1):
        gap(server, number)
        assert_recovers(pipeline, server, number)
    topic = pipeline.topic()
    assert len({record["id"] for record in topic}) == len(topic)
    drop_slot(server, 4)
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit(60) == 4, daemon.log()[-3000:]
        assert "pg_slot_missing" in daemon.log()
    anew(pipeline)


def test_killed_at_every_step_of_the_recovery(server, tmp_path):
    for round, kills in enumerate([KILLS[:3], KILLS[3:]]):
        pipeline = begun(tmp_path / str(round), server)
        for number, kill in enumerate(kills, 1):
            [drop_slot, advance_slot, replace_publication][number - 1](server, number)
            assert_recovers(pipeline, server, number, kill)
        anew(pipeline)
        pipeline.copy_path.unlink()


def test_a_restored_backup_takes_back_what_it_lacks(server, tmp_path):
    pipeline = begun(tmp_path / "a", server)
    server.stop()
    copy_data(server, str(tmp_path / "backup"))
    server.start()
    server.sql("insert into t select g, 'undone' from generate_series(1000, 1500) g")
    server.sql("delete from t where id = 7")
    pipeline.catch_up()
    server.stop()
    shutil.rmtree(server.data)
    shutil.move(str(tmp_path / "backup"), server.data)
    server.start()
    assert_recovers(pipeline, server, 1)
    assert pipeline.copy("select count(*) from t where note = 'undone'") == [(0,)]
    assert pipeline.copy("select count(*) from t where id = 7") == [(1,)]
