"""Promotion of a real standby: with a synchronized slot (17) the daemon goes on there, without one it names the gap."""
from tests.conftest import start_server
from tests.integration.test_gaps import SLOT, assert_gap
from tests.support.daemon import Pipeline, wait_until
from tests.support.standby import make_standby, remove


def point_to(pipeline, server, other):
    text = pipeline.files[0].read_text()
    assert f":{server.port}/" in text
    pipeline.files[0].write_text(text.replace(f":{server.port}/", f":{other.port}/"))


def begun(home, primary):
    primary.sql("create table t (id int primary key, note text)")
    pipeline = Pipeline(home, primary, ["public.t"])
    pipeline.catch_up()
    primary.sql("insert into t select g, 'on the primary' from generate_series(1, 100) g")
    pipeline.catch_up()
    return pipeline


def wait_replayed(primary, standby):
    end = primary.value("select pg_current_wal_flush_lsn()")
    wait_until("the standby to have everything", lambda: standby.value("select pg_last_wal_replay_lsn() >= %s::pg_lsn", (end,)))


def wait_synchronized(primary, standby):
    """The copy lasts from the moment on at which the slot, being read, has moved past where the standby began to keep log."""
    numbers = iter(range(10_000, 100_000))

    def synchronized():
        primary.sql("insert into t values (%s, 'moves the slot')", (next(numbers),))
        primary.sql("select pg_log_standby_snapshot()")
        return standby.value("select count(*) from pg_replication_slots where slot_name = %s and synced and not temporary", (SLOT,)) == 1
    wait_until("the slot to be synchronized", synchronized)
    primary.sql("delete from t where id >= 10000")


def test_promotion_with_a_synchronized_slot(tmp_path):
    with start_server(17) as primary:
        primary.settings["synchronized_standby_slots"] = "standby"
        standby = make_standby(primary, sync_slots=True)
        try:
            standby.start()
            primary.restart()  # takes the setting; a consumer cannot run ahead of the standby from here on
            pipeline = begun(tmp_path / "a", primary)

            with pipeline.start() as daemon:
                daemon.wait_state("streaming")
                wait_synchronized(primary, standby)
                primary.sql("insert into t select g, 'while streaming' from generate_series(101, 200) g")
                primary.sql("delete from t where id <= 10")
                wait_until("the deletes to be copied", lambda: pipeline.copy("select count(*), min(id) from t") == [(190, 11)])
                wait_replayed(primary, standby)
                primary.stop("immediate")
                daemon.wait_state("retrying")
                daemon.stop()
            standby.sql("select pg_promote()")
            standby.sql("insert into t values (1000, 'after the promotion')")
            point_to(pipeline, primary, standby)
            pipeline.catch_up()
            assert pipeline.copy("select id, note from t order by id") == standby.sql("select id, note from t order by id")
            topic = pipeline.topic()
            assert len({record["id"] for record in topic}) == len(topic), "published twice"
            inserted = [record["after"]["id"] for record in topic if record["op"] == "insert" and record["after"]["id"] < 10000]
            assert sorted(inserted) == [*range(1, 201), 1000]
        finally:
            remove(standby)


def test_promotion_without_a_synchronized_slot(tmp_path):
    with start_server(17) as primary:
        standby = make_standby(primary)
        try:
            standby.start()
            pipeline = begun(tmp_path / "a", primary)
            wait_replayed(primary, standby)
            primary.stop("immediate")
            standby.sql("select pg_promote()")
            standby.sql("insert into t values (1000, 'after the promotion')")
            point_to(pipeline, primary, standby)
            line = assert_gap(pipeline, "pg_slot_missing")
            assert "promoted from timeline 1 to 2 without a synchronized slot" in line
        finally:
            remove(standby)


def test_promotion_of_a_standby_that_lacks_changes_that_we_have(tmp_path):
    with start_server(17) as primary:
        standby = make_standby(primary, sync_slots=True)
        try:
            standby.start()
            pipeline = begun(tmp_path / "a", primary)

            with pipeline.start() as daemon:
                daemon.wait_state("streaming")
                wait_synchronized(primary, standby)
                daemon.stop()
            standby.stop()
            primary.sql("insert into t values (500, 'only here')")
            pipeline.catch_up()
            primary.stop("immediate")
            del standby.settings["primary_conninfo"], standby.settings["sync_replication_slots"]
            standby.start()
            standby.sql("select pg_promote()")
            standby.sql("insert into t select g, 'another history' from generate_series(500, 2000) g")
            point_to(pipeline, primary, standby)
            line = assert_gap(pipeline, "pg_timeline_diverged", ends=False)
            assert "missing in the topic" in line
        finally:
            remove(standby)
