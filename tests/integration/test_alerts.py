"""The alert rules: promtool proves what each fires on, and each leads to its heading of the runbook."""
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/prometheus"
RUNBOOK = "https://tailwater.example/deploy/runbook.md#"


def alerts():
    document = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def promtool(*arguments):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_rules_and_configuration():
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", "alerts.yaml")
    promtool("check", "config", "prometheus.yaml")


def test_each_rule_fires_on_what_it_is_for_and_on_nothing_else():
    promtool("test", "rules", "alerts_test.yaml")


def test_each_rule_has_a_scenario_in_which_it_fires():
    tests = (FOLDER / "alerts_test.yaml").read_text()
    fired = set(re.findall(r'alertname="(Tailwater\w+)"[^\n]*value: 1', tests))
    assert {rule["alert"] for rule in alerts()} - fired == set()


def test_each_rule_says_how_bad_it_is_and_leads_to_its_heading():
    runbook = (ROOT / "deploy/runbook.md").read_text()
    sections = {title.lower(): body for title, body in re.findall(r"^## (Tailwater\w+)\n(.*?)(?=^#)", runbook, re.MULTILINE | re.DOTALL)}
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names)) > 30
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule["alert"]
        assert rule["annotations"]["runbook_url"] == RUNBOOK + rule["alert"].lower()
        body = sections[rule["alert"].lower()]
        assert "Look:" in body and "Type" in body, f"{rule['alert']}: the runbook says neither where to look nor what to type"
    assert set(sections) == {name.lower() for name in names}, "a heading of an alert that is no more"
