"""Sinks that a person pauses, resumes and rewinds while everything else runs."""
import json
import signal
import threading

import pytest

from tests.support.daemon import Pipeline, wait_until
from tests.support.workload import COLUMNS, SCHEMA, TABLES, Workload, as_multiset, differences, source_rows

KEYED = [table for table in TABLES if table != "public.visits"]


class Load:
    """A workload in a thread of its own until the block ends."""

    def __init__(self, server, seed):
        self.connection = server.connect()
        self.workload = Workload(self.connection, seed, large=500)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.is_set():
            self.workload.step()

    def wait_for(self, transactions):
        goal = self.workload.transactions + transactions
        wait_until(f"{transactions} transactions", lambda: self.workload.transactions >= goal, 60)

    def __enter__(self):
        self.thread.start()
        return self

    def stop(self):
        self.done.set()
        self.thread.join()

    def __exit__(self, *unused):
        self.stop()
        self.connection.close()


def sinks_of(pipeline):
    return {"copy": {"type": "sqlite", "path": str(pipeline / "copy.db")},
            "feed": {"type": "stdout", "path": str(pipeline / "feed.json"), "start": "beginning"}}


def wait_equal(pipeline, tables):
    for table in tables:
        name = table.removeprefix("public.")
        wait_until(f"{name} to be equal", lambda: differences(source_rows(pipeline.server, name), as_multiset(
            pipeline.copy(f"select {', '.join(COLUMNS[name])} from {name}"))) == "", 60)


def written(pipeline):
    return pipeline.server.value("select pg_current_wal_lsn()")


def slot_passed(pipeline, position):
    return pipeline.server.sql("select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (position,))


def sinks(pipeline, daemon, *arguments, code=0):
    result = pipeline.command("sinks", *arguments, TAILWATER_URL=daemon.url)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_paused_sink_stays_paused_over_a_kill_and_nobody_else_notices(server, tmp_path):
    server.sql(SCHEMA)
    pipeline = Pipeline(tmp_path, server, TABLES, sinks=sinks_of(tmp_path))
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")  # what is written before its slot exists is not copied
        assert daemon.stop() == 0
    with Load(server, 11) as load:
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the first rows", lambda: daemon.sink("copy")["applied"] > 50)
            assert "sink shop/copy paused" in sinks(pipeline, daemon, "pause", "copy")
            assert "was paused already" in sinks(pipeline, daemon, "pause", "shop/copy")
            paused = wait_until("the pause", lambda: daemon.sink("copy")["state"] == "paused" and daemon.sink("copy"))
            place = paused["offsets"]
            load.wait_for(50)
            fed = daemon.sink("feed")["applied"]
            position = written(pipeline)
            wait_until("the slot to follow", lambda: slot_passed(pipeline, position), 40)
            wait_until("the other sink to go on", lambda: daemon.sink("feed")["applied"] > fed)
            assert daemon.sink("copy")["offsets"] == place
            assert daemon.sink("copy")["lag_records"] > 0
            assert daemon.ready()
            assert 'tailwater_sink_state{pipeline="shop",sink="copy",state="paused"} 1' in daemon.get("/metrics")
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait()
        offline = json.loads(pipeline.command("status", pipeline.files[0], "-o", "json").stdout)
        assert {s["name"]: s["state"] for s in offline["pipelines"][0]["sinks"]} == {"copy": "paused", "feed": "unknown"}
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the pause to be known", lambda: daemon.sink("copy")["state"] == "paused")
            load.wait_for(20)
            assert daemon.sink("copy")["offsets"] == place
            listed = json.loads(sinks(pipeline, daemon, "list", "-o", "json"))["sinks"]
            assert {s["name"]: s["state"] for s in listed} == {"copy": "paused", "feed": "running"}
            assert "sink shop/copy resumed" in sinks(pipeline, daemon, "resume", "copy")
            wait_until("it to go on", lambda: daemon.sink("copy")["state"] == "running" and daemon.sink("copy")["offsets"] != place)
            load.stop()
            wait_equal(pipeline, TABLES)
            assert daemon.stop() == 0


def test_a_rewound_copy_ends_equal(server, tmp_path):
    server.sql(SCHEMA)
    pipeline = Pipeline(tmp_path, server, KEYED, sinks=sinks_of(tmp_path))
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        with Load(server, 12) as load:
            load.wait_for(150)
            assert "--yes" in sinks(pipeline, daemon, "rewind", "copy", "--to", "beginning", code=1)
            plan = json.loads(sinks(pipeline, daemon, "rewind", "copy", "--to", "beginning", "-o", "json", code=1))
            assert plan["dry_run"] and plan["records"] > 0
            applied = daemon.sink("copy")["applied"]
            assert "come again" in sinks(pipeline, daemon, "rewind", "copy", "--to", "beginning", "--yes")
            # Under load, and once more while it is paused.
            load.wait_for(30)
            sinks(pipeline, daemon, "pause", "copy")
            wait_until("the pause", lambda: daemon.sink("copy")["state"] == "paused")
            here = daemon.sink("copy")["offsets"]["0"]
            sinks(pipeline, daemon, "rewind", "shop/copy", "--to", str(here // 2), "--yes")
            wait_until("the place to move", lambda: daemon.sink("copy")["offsets"]["0"] == here // 2)
            assert daemon.sink("copy")["state"] == "paused"
            assert "only goes back" in sinks(pipeline, daemon, "rewind", "copy", "--to", str(here), "--yes", code=1)
            sinks(pipeline, daemon, "resume", "copy")
            wait_until("the records to come again", lambda: daemon.sink("copy")["applied"] + daemon.sink("copy")["superseded"] > applied)
        wait_equal(pipeline, KEYED)
        # Lines that came again bear the identity of the first time; none is missing.
        wait_until("the feed", lambda: daemon.sink("feed").get("lag_records") == 0)
        lines = len((tmp_path / "feed.json").read_text().splitlines())
        sinks(pipeline, daemon, "rewind", "feed", "--to", "2001-01-01T00:00:00Z", "--yes")
        wait_until("the feed again", lambda: len((tmp_path / "feed.json").read_text().splitlines()) >= 2 * lines and
                   daemon.sink("feed").get("lag_records") == 0)
        ids = [json.loads(line)["id"] for line in (tmp_path / "feed.json").read_text().splitlines()]
        assert set(ids[:lines]) == set(ids)


def test_a_copy_with_a_keyless_table_is_not_rewound(server, tmp_path):
    server.sql("create table visits (page text); alter table visits replica identity full")
    pipeline = Pipeline(tmp_path, server, ["public.visits"])
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into visits values ('a'), ('a')")
        wait_until("the rows", lambda: daemon.sink("copy")["applied"] >= 2 and daemon.sink("copy").get("lag_records") == 0)
        said = sinks(pipeline, daemon, "rewind", "copy", "--to", "beginning", "--yes", code=1)
        assert "shop:public.visits" in said and "without a key" in said
        assert pipeline.copy("select count(*) from visits") == [(2,)]


@pytest.mark.parametrize("point", ["sink_rewind_marked", "sink_rewound_in_target", "sink_rewound"])
def test_a_crash_in_a_rewind_is_as_if_it_came_before_or_after(server, tmp_path, point):
    server.sql("create table t (id int primary key, note text)")
    pipeline = Pipeline(tmp_path, server, ["public.t"])
    with pipeline.start(TAILWATER_CRASH_POINT=f"{point}:1") as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into t select g, 'a' from generate_series(1, 100) g")
        server.sql("update t set note = 'b' where id <= 50; delete from t where id > 90")
        wait_until("the rows", lambda: daemon.sink("copy")["applied"] >= 160 and daemon.sink("copy").get("lag_records") == 0)
        place = daemon.sink("copy")["offsets"]["0"]
        assert pipeline.command("sinks", "rewind", "copy", "--to", "beginning", "--yes", TAILWATER_URL=daemon.url).returncode != 0
        assert daemon.wait_exit() != 0
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("it to be at the end again", lambda: daemon.sink("copy").get("lag_records") == 0)
        again = daemon.sink("copy")["applied"] + daemon.sink("copy")["superseded"]
        assert again < 10 if point == "sink_rewind_marked" else again >= 160  # a frontier record may have come
        assert pipeline.copy("select id, note from t order by id") == server.sql("select id, note from t order by id")
        assert "come again" in sinks(pipeline, daemon, "rewind", "copy", "--to", "beginning", "--yes")
        wait_until("all to come again", lambda: daemon.sink("copy")["applied"] + daemon.sink("copy")["superseded"] >= again + 160 and
                   daemon.sink("copy")["offsets"]["0"] >= place)
        assert pipeline.copy("select id, note from t order by id") == server.sql("select id, note from t order by id")


def test_commands_say_what_is_wrong(tmp_path):
    from tests.support.daemon import NoServer
    pipeline = Pipeline(tmp_path, NoServer(), ["public.t"])
    with pipeline.start() as daemon:
        wait_until("the API", daemon.answers)
        assert "did you mean 'copy'" in sinks(pipeline, daemon, "pause", "cpy", code=2)
        assert "there are list, pause, resume, rewind" in sinks(pipeline, daemon, "stop", code=2)
        assert "neither 'beginning'" in sinks(pipeline, daemon, "rewind", "copy", "--to", "yesterday", code=2)
    assert "start one" in pipeline.command("sinks", "list", "--server", "http://127.0.0.1:1").stderr
    for part in ["list", "pause", "resume", "rewind"]:
        assert "Examples:" in pipeline.command("sinks", part, "--help").stdout
