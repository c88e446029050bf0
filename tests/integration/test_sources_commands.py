"""What people do with snapshots while the daemon runs: ask for one, watch, pause, cancel, look at slots."""
import json
import signal
import subprocess

from tests.support.daemon import BINARY, Pipeline, wait_until

ROWS = 30_000


def sources(pipeline, daemon, *arguments, code=0):
    result = pipeline.command("sources", *arguments, TAILWATER_URL=daemon.url)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def snapshots(daemon):
    return json.loads(daemon.get("/api/v1/pipelines/shop/sources/shop/snapshots"))


def settled(daemon):
    return wait_until("the first copy", lambda: snapshots(daemon)["settled"], 60)


def metric(daemon, name):
    for line in daemon.get("/metrics").splitlines():
        if line.startswith(name):
            return float(line.rsplit(" ", 1)[1])
    return None


def copied(pipeline, query):
    return lambda: pipeline.copy_path.exists() and pipeline.copy(
        "select 1 from sqlite_master where name = 't'") and pipeline.copy(query)[0][0]


def test_a_snapshot_is_asked_for_watched_paused_and_cancelled(server, tmp_path):
    server.sql(f"create table t (id int primary key, v text); insert into t select g, 'v' || g from generate_series(1, {ROWS}) g")
    server.sql("create table other (id int primary key); analyze")
    pipeline = Pipeline(tmp_path, server, ["public.*"], source_options={"snapshot": {"chunk_rows": 1000}})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        settled(daemon)
        wait_until("all rows in the sink", lambda: copied(pipeline, "select count(*) from t")() == ROWS, 60)
        assert metric(daemon, "tailwater_snapshot_rows_total{") == ROWS
        assert snapshots(daemon)["tables_copied"] == 2
        assert "2 tables" in sources(pipeline, daemon, "list")

        out = sources(pipeline, daemon, "snapshot", "shop", "public.t")
        assert f"done: {ROWS:,} rows published" in out, out
        out = sources(pipeline, daemon, "snapshot", "shop", "public.t", "--where", "id <= 10", "--sink", "copy", "-o", "json")
        unit = json.loads(out)
        assert (unit["state"], unit["rows"], unit["sink"]) == ("done", 10, "copy"), unit

        assert "did you mean 'public.t'" in sources(pipeline, daemon, "snapshot", "shop", "public.tt", code=1)
        assert "nonsense" in sources(pipeline, daemon, "snapshot", "shop", "public.t", "--where", "nonsense = 1", code=1)
        assert "has no sink" in sources(pipeline, daemon, "snapshot", "shop", "public.t", "--sink", "coppy", code=1)

        # A lock on the table holds the copy, so that there is something to pause.
        with server.connect() as blocker:
            blocker.autocommit = False
            with blocker.cursor() as cursor:
                cursor.execute("lock table t in access exclusive mode")
                unit = json.loads(sources(pipeline, daemon, "snapshot", "shop", "public.t", "--no-wait", "-o", "json"))["units"][0]
                again = sources(pipeline, daemon, "snapshot", "shop", "public.t", code=1)
                assert "has not ended" in again, again
                assert "paused" in sources(pipeline, daemon, "pause", "shop", unit["id"])
                assert "paused" in sources(pipeline, daemon, "list")
                sources(pipeline, daemon, "snapshot", "shop", "public.other", "--where", "id = 0")  # others go on
                blocker.rollback()
        daemon.kill()
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the pause", lambda: snapshots(daemon)["units"] and snapshots(daemon)["units"][0]["state"] == "paused")
        assert "paused" in pipeline.command("status", TAILWATER_URL=daemon.url).stdout
        assert "cancelled" in sources(pipeline, daemon, "cancel", "shop", unit["id"])
        assert snapshots(daemon)["tables_waiting"] == 0
        assert "reserved" in sources(pipeline, daemon, "slots")
        assert "reserved" in sources(pipeline, daemon, "slots", pipeline.files[0])
        assert daemon.stop() == 0
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        settled(daemon)
        assert snapshots(daemon)["units"] == []


def test_the_interrupt_key_leaves_the_snapshot_running(server, tmp_path):
    server.sql(f"create table t (id int primary key); insert into t select generate_series(1, {ROWS})")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        settled(daemon)
        writer = server.connect()
        writer.autocommit = False
        writer.cursor().execute("lock table t in access exclusive mode")
        follow = subprocess.Popen([BINARY, "sources", "snapshot", "shop", "public.t", "--server", daemon.url],
                                  stdout=subprocess.PIPE, text=True)
        wait_until("the unit", lambda: snapshots(daemon)["tables_waiting"] == 1)
        assert follow.stdout.readline().startswith("public.t")  # the watching has begun
        follow.send_signal(signal.SIGINT)
        out = follow.stdout.read()
        assert follow.wait(10) == 1
        assert "goes on in the daemon" in out and "tailwater sources cancel shop/shop" in out, out
        writer.rollback()
        writer.close()
        wait_until("its end", lambda: snapshots(daemon)["tables_waiting"] == 0, 60)


def test_until_caught_up_waits_for_what_is_copied(server, tmp_path):
    server.sql(f"create table t (id int primary key); insert into t select generate_series(1, {ROWS})")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit() == 0, daemon.log()
    assert pipeline.copy("select count(*) from t")[0][0] == ROWS
