"""What can be wrong with a trigger: each is refused at load where it can be known, else by `check` and at the start, naming place and fix."""
import base64
import re

import pytest

from tests.receivers.receiver import SECRET
from tests.support.daemon import NoServer, Pipeline, wait_until

URL = "https://agents.example.com/hook"


def hook(**more):
    return {"type": "webhook", "url": URL, "secret": SECRET, **more}


def rule(when, **more):
    return hook(tables=[{"match": "public.user_plans", "when": when, **more}])


LOAD = {
    "a subquery": (rule("NEW.plan = (SELECT 1)"), r"subquer|SELECT"),
    "a write": (rule("DELETE FROM user_plans"), r"DELETE"),
    "a second statement": (rule("NEW.plan = 'a'; DROP TABLE x"), r";"),
    "a syntax error": (rule("NEW.plan = = 'a'"), r"="),
    "a bare column": (rule("plan = 'free'"), r"NEW\.plan"),
    "an unknown operation": (rule("op = 'updated'"), r"did you mean 'update'"),
    "an unknown function": (rule("lowr(NEW.plan) = 'a'"), r"lower"),
    "the clock": (rule("NEW.at > now()"), r"replay"),
    "a bad pattern": (rule("NEW.plan REGEXP '('"), r"\("),
    "text in double quotes": (rule('NEW.plan = "free"'), r"'free'|quote"),
    "no url": (hook(url="agents.example.com/hook"), r"https://"),
    "another protocol": (hook(url="ftp://agents.example.com/"), r"https?://"),
    "a private address": (hook(url="http://10.0.0.8/hook"), r"allow_addresses"),
    "a bad range": (hook(allow_addresses=["10.0.0.0/33"]), r"10\.0\.0\.0/33"),
    "no secret": ({"type": "webhook", "url": URL}, r"secret"),
    "a short secret": (hook(secret="whsec_" + base64.b64encode(b"short").decode()), r"openssl rand"),
    "a broken secret": (hook(secret="whsec_!!!!"), r"base64"),
    "an unknown field": (hook(payload={"user": "{NEW.}"}), r"payload"),
    "a header of ours": (hook(headers={"webhook-id": "x"}), r"webhook-id"),
    "a header that breaks out": (hook(headers={"X-A": "a\r\nX-B: b"}), r"X-A"),
    "an unknown option": (hook(secert="x"), r"did you mean 'secret'"),
    "a key without a certificate": (hook(key_file="/nowhere.pem"), r"certificate_file"),
}


@pytest.mark.parametrize("name", LOAD)
def test_what_the_file_alone_shows_is_refused_at_load(tmp_path, name):
    sink, words = LOAD[name]
    pipeline = Pipeline(tmp_path, NoServer(), ["public.user_plans"], sinks={"hook": sink})
    for command in ("validate", "run"):
        result = pipeline.command(command, pipeline.files[0])
        assert result.returncode == 2, result.stdout + result.stderr
        assert re.search(r"pipeline\.yaml:\d+:\d+: sinks\.hook", result.stderr), result.stderr
        assert re.search(words, result.stderr), result.stderr
        assert "whsec_MfKQ" not in result.stderr


TABLE = """create type mood as enum ('sad', 'happy');
create table user_plans (user_id int primary key, plan text, seats int, price numeric(20,2), at timestamptz, m mood, doc json)"""
FIT = {
    "an unknown column": ("NEW.paln = 'free'", r"plan"),
    "text against a number": ("NEW.seats = 'five'", r"seats"),
    "a number against text": ("NEW.plan > 5", r"plan"),
    "a time without a zone": ("NEW.at > '2026-01-01 00:00:00'", r"zone"),
    "an order that an enum lacks": ("NEW.m > 'sad'", r"\bm\b"),
    "json compared as a whole": ("NEW.doc = '{}'", r"json_extract|->>"),
    "an old column that the log never carries": ("OLD.plan <> NEW.plan", r"ALTER TABLE .*user_plans.* REPLICA IDENTITY FULL"),
}


def test_what_does_not_fit_the_table_is_refused_by_check_and_at_the_start(server, tmp_path):
    server.sql(TABLE)
    sinks = {f"hook_{n}": rule(when) for n, (when, _) in enumerate(FIT.values())}
    sinks["copy"] = {"type": "sqlite", "path": str(tmp_path / "copy.db")}
    sinks["fields"] = hook(payload={"user": "{NEW.user_idd}"})
    pipeline = Pipeline(tmp_path, server, ["public.user_plans"], sinks=sinks)
    checked = pipeline.command("check", pipeline.files[0])
    assert checked.returncode == 3, checked.stdout + checked.stderr
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        server.sql("insert into user_plans (user_id) values (1)")
        wait_until("the sink without a rule", lambda: daemon.sink("copy")["applied"] > 0)
        for number, (_, words) in enumerate(FIT.values()):
            name = f"hook_{number}"
            sink = wait_until(f"the refusal of {name}", lambda: daemon.sink(name)["state"] == "waiting_operator" and daemon.sink(name))
            assert sink["code"] == "sink_rules_do_not_fit" and re.search(words, sink["message"]), sink["message"]
            assert re.search(r"pipeline\.yaml:\d+:\d+", sink["message"]), sink["message"]
            assert re.search(words, " ".join(checked.stdout.split())), checked.stdout
        sink = wait_until("the template", lambda: daemon.sink("fields")["state"] == "waiting_operator" and daemon.sink("fields"))
        assert "user_id" in sink["message"] and "user_idd" in sink["message"]


def test_a_client_certificate_that_cannot_be_read_is_named(server, tmp_path):
    server.sql(TABLE)
    pipeline = Pipeline(tmp_path, server, ["public.user_plans"], sinks={
        "hook": hook(url="https://127.0.0.1:9/", allow_addresses=["127.0.0.1"], certificate_file="/nowhere/client.pem",
                     key_file="/nowhere/client.key")})
    with pipeline.start() as daemon:
        sink = wait_until("the message", lambda: daemon.answers() and daemon.sink("hook")["state"] == "waiting_operator" and daemon.sink("hook"))
        assert "/nowhere/client" in sink["message"], sink
