"""Agent triggers end to end: a real Postgres, conditions, signed calls, receivers that verify with the published libraries."""
import collections
import json
import os
import pathlib
import random
import subprocess
import threading

import pytest

from tests.receivers.libraries import node_libraries, python_libraries
from tests.receivers.receiver import SECRET, Receiver, Reset
from tests.support.daemon import Pipeline, wait_until

PLANS = "create table user_plans (user_id int primary key, plan text not null, seats int); alter table user_plans replica identity full"
DOWNGRADE = "op = 'update' AND NEW.plan = 'free' AND OLD.plan <> 'free'"


@pytest.fixture(autouse=True)
def libraries():
    try:
        python_libraries()
    except Exception as error:
        pytest.skip(f"the libraries that receivers verify with cannot be had: {error}")


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


def hook(receiver, **more):
    return {"type": "webhook", "url": receiver.url, "secret": SECRET, "allow_addresses": ["127.0.0.1"], **more}


def plans_pipeline(tmp_path, server, sinks, tables=("public.user_plans",), **more):
    server.sql(PLANS)
    return Pipeline(tmp_path, server, list(tables), sinks=sinks, **more)


def accounted(sink):
    """No record vanishes."""
    parts = sink["applied"] + sink["superseded"] + sink["filtered"] + sink["dead"] + sink["parked"] + sink["waiting"]
    assert sink["read"] == parts, sink
    return sink


def settled(daemon, name="hook"):
    """The sink has nothing left to do."""
    def idle():
        sink = daemon.sink(name)
        return sink if sink.get("lag_records") == 0 and sink["waiting"] == 0 else None
    return accounted(wait_until(f"sink {name} to settle", idle))


def test_a_rule_calls_for_exactly_the_changes_that_it_names(server, tmp_path, receiver):
    pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver, tables=[{"match": "public.user_plans", "when": DOWNGRADE}])})
    server.sql("insert into user_plans values (1, 'pro', 1), (2, 'free', 1), (3, 'team', 9)")
    server.sql("update user_plans set plan = 'free' where user_id = 3")  # before the first start: not ours
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
        server.sql("update user_plans set seats = 2 where user_id = 1")
        server.sql("update user_plans set plan = 'team' where user_id = 1")
        server.sql("update user_plans set plan = 'free' where user_id in (1, 2, 3)")
        server.sql("begin; update user_plans set plan = 'pro' where user_id = 2; rollback")
        server.sql("delete from user_plans where user_id = 3")
        wait_until("the call", lambda: len(receiver.taken) == 1)
        sink = settled(daemon)
    [call] = receiver.taken
    assert call.body["type"] == "public.user_plans.update"
    assert call.body["data"]["before"]["plan"] == "team" and call.body["data"]["after"]["plan"] == "free"
    assert call.body["data"]["key"] == {"user_id": 1}
    assert receiver.refused == [] and len(receiver.tries) == 1
    assert sink["applied"] == 1 and sink["filtered"] > 0


def test_rows_keep_their_order_under_every_kind_of_failure(server, tmp_path):
    """Answers are errors, resets and throttling at random; each change arrives, each row's in order, never two of a row at a time."""
    chance = random.Random(7)
    lock = threading.Lock()

    def answer(delivery):
        with lock:
            roll = chance.random()
        if roll < 0.06:
            return 500
        if roll < 0.09:
            return 503, {"retry-after": "0"}
        if roll < 0.12:
            raise Reset()
        return 204

    with Receiver(answer=answer) as receiver:
        pipeline = plans_pipeline(tmp_path, server, {"hook": hook(
            receiver, in_flight=32, retry={"initial": "20ms", "max": "200ms"}, breaker={"failures": 20, "pause": "100ms"})})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into user_plans select g, 'v0', 0 from generate_series(1, 40) g")
            for version in range(1, 20):
                server.sql(f"update user_plans set plan = 'v{version}', seats = {version}")
            wait_until("all calls", lambda: len(set(receiver.ids())) == 40 * 20, 120)
            sink = settled(daemon)
    by_row = collections.defaultdict(list)
    seen = set()
    for call in receiver.taken:
        if call.id not in seen:
            seen.add(call.id)
            by_row[call.body["data"]["after"]["user_id"]].append(call.body["data"]["after"]["seats"])
    assert by_row == {row: list(range(20)) for row in range(1, 41)}
    assert receiver.overlaps == [] and receiver.refused == []
    assert sink["applied"] == 800 and sink["dead"] == 0


def test_an_endpoint_down_for_long_costs_nobody_else_anything(server, tmp_path, receiver):
    changes = 120_000
    pipeline = plans_pipeline(tmp_path, server, {
        "hook": hook(receiver, in_flight=64, tables=[{"match": "public.user_plans", "when": "NEW.user_id % 40 = 0"}],
                     retry={"initial": "50ms", "max": "500ms"}, breaker={"failures": 5, "pause": "200ms"}),
        "copy": {"type": "sqlite", "path": str(tmp_path / "copy.db")}})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
        receiver.stop()
        memory = []
        for half in range(2):  # the first one fills the sink's window
            server.sql("insert into user_plans select g, repeat('x', 200), 0 "
                       f"from generate_series({half * changes // 2 + 1}, {(half + 1) * changes // 2}) g")
            wait_until("the other sink", lambda: daemon.sink("copy")["applied"] >= (half + 1) * changes // 2, 60)
            status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
            memory.append(int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]))
        wait_until("the slot to move", lambda: pipeline.slot_lag() < 100_000)
        sink = wait_until("the state", lambda: daemon.sink("hook")["state"] == "retrying" and daemon.sink("hook"))
        accounted(sink)
        assert sink["parked"] == 0 and sink["dead"] == 0  # down as a whole: nothing is put aside
        assert str(receiver.port) in sink["message"]
        assert memory[1] < memory[0] + 24 * 1024, memory  # kilobytes
        receiver.start()
        wait_until("all calls", lambda: len(set(receiver.ids())) == changes // 40, 120)
        settled(daemon)
    assert sorted({call.body["data"]["after"]["user_id"] for call in receiver.taken}) == list(range(40, changes + 1, 40))
    assert receiver.refused == []


def test_kill_minus_nine_repeats_with_the_same_id_and_never_skips(server, tmp_path, receiver):
    pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver, in_flight=16)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
    chance = random.Random(11)
    rows = 0
    for _ in range(8):
        with pipeline.start() as daemon:
            server.sql(f"insert into user_plans select g, 'pro', 0 from generate_series({rows + 1}, {rows + 150}) g")
            server.sql(f"update user_plans set seats = seats + 1 where user_id > {rows}")
            rows += 150
            target = len(receiver.taken) + chance.randrange(20, 280)
            wait_until("some calls", lambda: len(receiver.taken) >= target)
            daemon.kill()
    with pipeline.start() as daemon:
        wait_until("all calls", lambda: len(set(receiver.ids())) == rows * 2, 60)
        settled(daemon)
    bodies = collections.defaultdict(set)
    orders = collections.defaultdict(list)
    for call in receiver.tries:
        bodies[call.id].add(call.raw)
    for call in receiver.taken:
        seats = call.body["data"]["after"]["seats"]
        if seats not in orders[call.body["data"]["after"]["user_id"]]:
            orders[call.body["data"]["after"]["user_id"]].append(seats)
    assert all(len(versions) == 1 for versions in bodies.values())
    assert orders == {row: [0, 1] for row in range(1, rows + 1)}
    assert receiver.refused == []


def test_a_row_that_always_fails_is_parked_and_comes_in_order_when_it_heals(server, tmp_path):
    healed = threading.Event()

    def answer(delivery):
        return 500 if delivery.body["data"]["after"]["user_id"] == 7 and not healed.is_set() else 204

    with Receiver(answer=answer) as receiver:
        pipeline = plans_pipeline(tmp_path, server, {"hook": hook(
            receiver, max_lane_wait="300ms", retry={"initial": "20ms", "max": "100ms"}, breaker={"failures": 1000, "pause": "1s"})})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into user_plans select g, 'pro', 0 from generate_series(1, 20) g")

            def parked():
                server.sql("update user_plans set seats = seats + 1 where user_id <> 7")  # the endpoint takes others
                return daemon.sink("hook")["parked_stored"] > 0
            wait_until("the row to be parked", parked)
            for _ in range(3):
                server.sql("update user_plans set seats = seats + 1 where user_id = 7")
            wait_until("its followers to be parked", lambda: daemon.sink("hook")["parked_stored"] == 4)
            sink = settled(daemon)
            assert sink["parked"] == 4 and sink["dead"] == 0
            listed = json.loads(pipeline.command("dead-letters", "list", "hook", "-o", "json", "--server", daemon.url).stdout)
            codes = [letter["code"] for letter in listed["dead_letters"]]
            assert codes[1:] == ["key_blocked"] * 3 and codes[0] != "key_blocked", listed
            daemon.kill()
        with pipeline.start() as daemon:
            wait_until("the sink", lambda: daemon.answers() and daemon.sink("hook")["parked_stored"] == 4)
            healed.set()
            assert pipeline.command("dead-letters", "replay", "hook", "--all", "--server", daemon.url).returncode == 0
            wait_until("the row", lambda: daemon.sink("hook")["parked_stored"] == 0)
            server.sql("update user_plans set seats = seats + 1 where user_id = 7")
            wait_until("the live change", lambda: any(call.body["data"]["after"] == {"user_id": 7, "plan": "pro", "seats": 4} for call in receiver.taken))
    seats = [call.body["data"]["after"]["seats"] for call in receiver.taken if call.body["data"]["after"]["user_id"] == 7]
    assert seats == [0, 1, 2, 3, 4]
    assert receiver.overlaps == []


def test_dead_letters_are_listed_shown_replayed_and_dropped(server, tmp_path):
    accept = threading.Event()

    def answer(delivery):
        row = delivery.body["data"]["after"]["user_id"]
        return 422 if row in (3, 5) and not accept.is_set() else 204

    with Receiver(answer=answer) as receiver:
        pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver)})
        with pipeline.start() as daemon:
            def command(*arguments):
                result = pipeline.command("dead-letters", *arguments, "--server", daemon.url)
                assert result.returncode == 0, result.stdout + result.stderr
                return result.stdout
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into user_plans select g, 'pro', 0 from generate_series(1, 6) g")
            server.sql("update user_plans set seats = 1")
            wait_until("dead letters", lambda: daemon.sink("hook")["dead_stored"] == 2 and daemon.sink("hook")["parked_stored"] == 2)
            sink = settled(daemon)
            assert (sink["applied"], sink["dead"], sink["parked"]) == (8, 2, 2)
            letters = json.loads(command("list", "hook", "-o", "json"))["dead_letters"]
            assert [letter["state"] for letter in letters] == ["dead", "dead", "parked", "parked"]
            assert "422" in letters[0]["reason"] and letters[0]["table"] == "public.user_plans"
            shown = command("show", "hook", letters[0]["id"])
            assert '"user_id"' in shown
            assert "user_plans" in command("list", "hook") and '"user_id"' not in command("list", "hook")
            command("drop", "hook", letters[1]["id"], "--yes")  # row 5: its next change moves up and is refused as well
            wait_until("the next change of the row", lambda: [
                letter["state"] for letter in json.loads(command("list", "hook", "-o", "json"))["dead_letters"]
                if letter["id"] == letters[3]["id"]] == ["dead"])
            accept.set()
            command("replay", "hook", "--all")
            wait_until("the replay", lambda: daemon.sink("hook")["dead_stored"] == 0)
            sink = settled(daemon)
            assert sink["parked_stored"] == 0 and sink["replayed"] == 3
            metrics = daemon.get("/metrics")
            assert 'tailwater_sink_dead_letters_total{' in metrics
    calls = [(call.body["data"]["after"]["user_id"], call.body["data"]["after"]["seats"]) for call in receiver.taken]
    assert [call for call in calls if call[0] == 3] == [(3, 0), (3, 1)]
    assert [call for call in calls if call[0] == 5] == [(5, 1)]


def test_too_many_dead_letters_stop_the_sink_until_somebody_looked(server, tmp_path):
    accept = threading.Event()
    with Receiver(answer=lambda delivery: 204 if accept.is_set() else 422) as receiver:
        pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver, halt_after=3)})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into user_plans select g, 'pro', 0 from generate_series(1, 10) g")
            sink = wait_until("the halt", lambda: daemon.sink("hook")["state"] == "waiting_operator" and daemon.sink("hook")["dead_stored"] == 3
                              and daemon.sink("hook"))
            assert "dead-letters" in sink["message"] and sink["waiting"] > 0, sink
            accept.set()
            result = pipeline.command("dead-letters", "replay", "hook", "--all", "--server", daemon.url)
            assert result.returncode == 0, result.stderr
            wait_until("all calls", lambda: len(set(receiver.ids())) == 10, 60)
            settled(daemon)


def test_a_secret_rotates_without_a_restart(server, tmp_path):
    import base64
    first, second = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    secret = tmp_path / "secret"
    secret.write_text(first + "\n")
    with Receiver(secret=first) as receiver:
        pipeline = plans_pipeline(tmp_path / "p", server, {"hook": hook(receiver, secret="${file:%s}" % secret)})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into user_plans values (1, 'pro', 0)")
            wait_until("the first call", lambda: len(receiver.taken) == 1)
            receiver.accept(second)  # receivers take both for a while, as they should
            secret.write_text(second + "\n")

            def signed_anew():
                server.sql("update user_plans set seats = seats + 1")
                return receiver.verified_by.get(second)
            wait_until("a call signed with the new secret", signed_anew)
            assert receiver.verified_by[first] >= 1 and receiver.refused == []
            secret.unlink()
            state = wait_until("the missing secret", lambda: (server.sql("update user_plans set seats = seats + 1"),
                                                              daemon.sink("hook"))[1]["state"] == "waiting_operator" and daemon.sink("hook"))
            assert str(secret) in state["message"] and "whsec" not in daemon.log()
            secret.write_text(second + "\n")
            wait_until("the rest", lambda: daemon.sink("hook")["state"] == "running" and daemon.sink("hook").get("lag_records") == 0, 60)


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_cloud_events_are_read_by_the_published_library(server, tmp_path, receiver, mode):
    pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver, format="cloudevents", mode=mode)})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
        server.sql("insert into user_plans values (1, 'pläne \"x\"%', 3)")
        wait_until("the call", lambda: len(receiver.taken) == 1)
    [call] = receiver.taken
    event = call.event
    assert event.get_specversion() == "1.0" and event.get_type() == "tailwater.public.user_plans.insert"
    assert event.get_source() == "/tailwater/shop/shop" and event.get_id()
    data = event.get_data()
    data = json.loads(data) if isinstance(data, (str, bytes)) else data
    assert data["after"] == {"user_id": 1, "plan": 'pläne "x"%', "seats": 3}


def test_a_receiver_in_node_verifies_and_reads(server, tmp_path):
    try:
        libraries = node_libraries()
    except Exception as error:
        pytest.skip(f"the npm packages that the receiver verifies with cannot be had: {error}")
    program = pathlib.Path(__file__).resolve().parent.parent / "receivers/node_receiver.mjs"
    process = subprocess.Popen(["node", program, libraries], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "SECRET": SECRET})
    try:
        url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/"
        common = {"type": "webhook", "url": url, "secret": SECRET, "allow_addresses": ["127.0.0.1"]}
        pipeline = plans_pipeline(tmp_path, server, {
            "plain": common, "binary": {**common, "format": "cloudevents", "mode": "binary"},
            "structured": {**common, "format": "cloudevents", "mode": "structured"}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sinks", lambda: all(daemon.sink(name)["state"] == "running" for name in ("plain", "binary", "structured")))
            server.sql("insert into user_plans values (1, 'größe', 3)")
            lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
    assert all(line["verified"] for line in lines), lines
    events = [line["event"] for line in lines if line["event"]]
    assert len(events) == 2 and {event["type"] for event in events} == {"tailwater.public.user_plans.insert"}
    assert all(event["data"]["after"]["plan"] == "größe" for event in events)


def test_a_template_shapes_the_payload_and_nothing_in_a_row_breaks_out(server, tmp_path, receiver):
    pipeline = plans_pipeline(tmp_path, server, {"hook": hook(
        receiver, payload={"user": "{NEW.user_id}", "text": "now on {NEW.plan}!", "op": "{op}"}, headers={"X-Plan": "{NEW.plan}"})})
    nasty = 'a"b\\c\r\nX-Evil: 1\x01{NEW.seats}'
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
        server.sql("insert into user_plans values (1, %s, 3)", (nasty,))
        wait_until("the call", lambda: len(receiver.taken) == 1)
    [call] = receiver.taken
    assert call.body == {"user": 1, "text": f"now on {nasty}!", "op": "insert"}
    assert "x-evil" not in call.headers and "%0D%0A" in call.headers["x-plan"]


def test_snapshot_and_replay_records_call_nobody_unless_asked(server, tmp_path, receiver):
    pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver)})
    pipeline.catch_up()
    server.sql("insert into user_plans values (1, 'pro', 0)")
    with pipeline.start() as daemon:
        wait_until("the call", lambda: len(receiver.taken) == 1)
        settled(daemon)
        assert daemon.stop() == 0
    # The offset goes back, as a rewind does it: below the mark everything is a replay.
    import sqlite3
    with sqlite3.connect(pipeline.topic_path / "hook.db") as place:
        place.execute("update offsets set rewound_from = next_offset, next_offset = 0")
    place.close()
    with pipeline.start() as daemon:
        wait_until("the sink", lambda: daemon.answers() and daemon.sink("hook").get("lag_records") == 0)
        server.sql("insert into user_plans values (2, 'pro', 0)")
        wait_until("the new call", lambda: len(receiver.taken) == 2)
        settled(daemon)
    assert [call.body["data"]["after"]["user_id"] for call in receiver.tries] == [1, 2]


def test_a_copy_calls_only_those_who_asked_for_copies(server, tmp_path, receiver):
    """The rows of a re-snapshot, that is; the sweep behind them calls nobody."""
    with Receiver() as asked:
        pipeline = plans_pipeline(tmp_path, server, {"hook": hook(receiver), "copies": hook(asked, snapshot=True)})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sinks", lambda: all(daemon.sink(name)["state"] == "running" for name in ("hook", "copies")))
            wait_until("the first copy, of no rows", lambda: daemon.source()["snapshots"]["tables_copied"] == 1)
            server.sql("insert into user_plans select g, 'pro', 0 from generate_series(1, 5) g; delete from user_plans where user_id = 4")
            wait_until("the calls", lambda: len(receiver.taken) == 6 and len(asked.taken) == 6)
            copied = pipeline.command("sources", "snapshot", "shop", "public.user_plans", "--server", daemon.url)
            assert copied.returncode == 0, copied.stderr
            wait_until("the copies", lambda: len(asked.taken) == 10)
            server.sql("insert into user_plans values (9, 'free', 0)")
            wait_until("what comes behind", lambda: len(receiver.taken) == 7 and len(asked.taken) == 11)
            settled(daemon)
            settled(daemon, "copies")
    types = collections.Counter(call.body["type"] for call in asked.taken)
    assert types == {"public.user_plans.insert": 6, "public.user_plans.delete": 1, "public.user_plans.read": 4}
    assert sorted(call.body["data"]["after"]["user_id"] for call in asked.taken if call.body["type"].endswith(".read")) == [1, 2, 3, 5]
    assert {call.body["type"] for call in receiver.taken} == {"public.user_plans.insert", "public.user_plans.delete"}
