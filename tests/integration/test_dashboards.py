"""The dashboards and alert rules against what a daemon really exports: a Postgres and a MariaDB under load, sinks of every family that
counts something of its own, one that waits for a person, one whose target refuses and fails; a real Prometheus scrapes it, and every query finds data.

Grafana itself cannot be had here (no package of it in the registries): that the JSON is what Grafana takes is checked by its shape."""
import json
import pathlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.conftest import start_mysql, start_server
from tests.servers import clickhouse as clickhouse_servers
from tests.servers import prometheus as prometheus_servers
from tests.support import clickhouse_copy
from tests.support.daemon import Pipeline, wait_until
from tests.support.postgres_copy import PostgresCopy

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"

# Metrics without data here, and why. Nothing else may lack any.
NO_DATA = {
    "tailwater_source_gaps_total": "needs a database that lost its log; tests/integration/test_gap_recovery.py sees it counted",
    "tailwater_sink_call_seconds": "is there while a call lasts, which a scrape seldom meets where targets are quick; test_fan_out.py freezes one",
    "ALERTS": "an alert fires after minutes; promtool proves each in tests/integration/test_alerts.py",
}
METRIC = re.compile(r"\b(tailwater_\w+|process_\w+|ALERTS)\b")
PANELS = {"row", "stat", "table", "timeseries"}
UNITS = {"short", "s", "bytes", "Bps", "ops", "string"}
BUILT_IN = {"__rate_interval", "__url_time_range", "__data", "__all"}


def queries(board):
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def metrics_of(expression):
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name.startswith("tailwater") else name for name in METRIC.findall(expression)}


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_what_grafana_takes(path):
    board = json.loads(path.read_text())
    assert board["id"] is None and board["uid"] == f"tailwater-{path.stem}" and board["schemaVersion"] >= 36
    assert "tailwater" in board["tags"] and board["title"] and board["time"] and board["refresh"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    assert set(re.findall(r'"uid": "([^"]+)"', path.read_text())) == {board["uid"], "${datasource}"}, "a datasource is hard-wired"
    used = set(re.findall(r"\$\{?(\w+)", path.read_text()))
    assert used <= set(variables) | BUILT_IN, "a variable that nobody defines"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        assert panel["type"] in PANELS, panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24 and place["w"] > 0 and place["h"] > 0, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"] and 10 < len(panel["description"]) <= 150, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references)) and all(target["expr"] for target in panel["targets"]), panel["title"]
    titles = [link["title"] for link in board["links"]]
    assert titles == ["Tailwater", "Runbook"] and board["links"][0]["tags"] == ["tailwater"]
    anchors = {"#" + re.sub(r"[^a-z0-9_ -]", "", line.lstrip("# ").lower()).replace(" ", "-")
               for line in (ROOT / "deploy/runbook.md").read_text().splitlines() if line.startswith("#")}
    for anchor in re.findall(r"runbook\.md(#[\w-]+)", path.read_text()):
        assert anchor in anchors


def test_the_dashboards_link_to_each_other_and_are_provisioned():
    text = "".join(path.read_text() for path in BOARDS)
    boards = {path.stem for path in BOARDS}
    assert boards == {"overview", "source", "sink"}
    assert set(re.findall(r'"/d/tailwater-(\w+)\?', text)) == {"source", "sink"}
    [provider] = yaml.safe_load((ROOT / "deploy/grafana/provisioning.yaml").read_text())["providers"]
    assert provider["type"] == "file" and provider["options"]["path"] in (ROOT / "deploy/grafana/README.md").read_text()


def test_one_line_leads_every_link_to_a_runbook_of_ones_own():
    [line] = re.findall(r"^sed -i 's#(.+)#(.+)#' (.+)$", (ROOT / "deploy/grafana/README.md").read_text(), re.MULTILINE)
    placeholder, own, names = line
    files = [path for name in names.split() for path in ROOT.glob(name)]
    assert {*BOARDS, ALERTS} == set(files)
    for path in files:
        text = path.read_text()
        assert own not in text and placeholder in text and "tailwater.example" not in text.replace(placeholder, own), path.name


class Receiver(BaseHTTPRequestHandler):
    """Takes calls; of each ten rows it refuses one for good and fails on another."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        row = (body["data"]["after"] or {}).get("id", 0) % 10
        self.send_response({7: 422, 8: 500}.get(row, 204))
        if row in (7, 8):
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *unused):
        pass


class Load(threading.Thread):
    """Changes of every kind on both databases until it is stopped."""

    def __init__(self, postgres, mariadb):
        super().__init__(daemon=True)
        self.postgres, self.mariadb = postgres, mariadb
        self.done = threading.Event()
        self.error = None

    def run(self):
        try:
            one, other = self.postgres.connect(), self.mariadb.connect()
            with one.cursor() as here, other.cursor() as there:
                for step in range(1, 1_000_000):
                    if self.done.wait(0.05):
                        break
                    here.execute("insert into orders select g, repeat('x', 400) from generate_series(%s, %s) g", (step * 100, step * 100 + 99))
                    here.execute("update orders set note = 'paid' where id %% 100 = 5 and id > %s", (step * 100 - 200,))
                    here.execute("delete from orders where id %% 100 = 6 and id > %s", (step * 100 - 200,))
                    here.execute("insert into calls values (%s)", (step,))
                    there.execute("insert into invoices values (%s, repeat('x', 400))", (step,))
            one.close()
            other.close()
        except Exception as error:
            self.error = error

    def stop(self):
        self.done.set()
        self.join()
        if self.error:
            raise self.error


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """A Prometheus that has watched a daemon through its first copies and some time of load."""
    try:
        prometheus_servers.fetch()
        clickhouse_servers.fetch()
    except Exception as error:
        pytest.skip(str(error))
    home = tmp_path_factory.mktemp("dashboards")
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    with start_server(settings={"max_slot_wal_keep_size": "8GB"}) as postgres, start_mysql("mariadb") as mariadb, \
            start_server() as other, clickhouse_servers.ClickHouseServer() as clickhouse:
        postgres.sql("create table orders (id bigint primary key, note text); create table calls (id int primary key); "
                     "create table documents (id int primary key, body text); alter table documents alter body set storage external; "
                     "create table archive (id int primary key, note text); insert into archive select g, 'row ' || g from generate_series(1, 300000) g")
        postgres.sql("insert into orders values (0, ''); insert into calls values (0); insert into documents values (0, '')")
        postgres.sql("analyze")  # how many rows there are to copy is what the statistics say
        mariadb.empty()
        mariadb.sql("create table invoices (id int primary key, note varchar(500))")
        hook = {"type": "webhook", "url": f"http://127.0.0.1:{receiver.server_address[1]}/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "allow_addresses": ["127.0.0.1"], "tables": ["public.calls"], "max_lane_wait": "1s", "retry": {"initial": "20ms", "max": "200ms"},
                "breaker": {"failures": 10000, "pause": "1s"}}
        pipeline = Pipeline(home, postgres, ["public.*"], source_options={"snapshot": {"chunk_rows": 500, "workers": 1}},
                            topic_options={"max_record_size": "64KiB", "oversize": "omit_columns"}, sinks={
            "copy": {"type": "sqlite", "path": str(home / "copy.db")},
            "feed": {"type": "stdout", "path": str(home / "feed.json")},
            "nothing": {"type": "blackhole"},
            "hook": hook,
            "warehouse": clickhouse_copy.sink(clickhouse, "default", ["public.orders", "public.documents"]),
            "reports": PostgresCopy(other).sink(tables=["public.orders", "public.documents"]),
            "broken": {"type": "sqlite", "path": str(home / "no such folder" / "copy.db")}})
        document = json.loads(pipeline.files[0].read_text())
        document["sources"]["billing"] = {"type": "mysql", "url": mariadb.url(), "tables": ["public.invoices"]}
        pipeline.files[0].write_text(json.dumps(document))
        with pipeline.start() as daemon:
            wait_until("the API", daemon.answers)
            with prometheus_servers.PrometheusServer([f"127.0.0.1:{daemon.port}"], [ALERTS]) as prometheus:
                daemon.wait_state("streaming")
                daemon.wait_state("streaming", "billing")
                wait_until("the copies", lambda: daemon.source()["snapshots"]["tables_copied"] == 4 and
                           daemon.source()["snapshots"]["tables_waiting"] == 0, 120)
                # An open transaction holds the log back, so that there is an end to forecast.
                holder = postgres.connect(autocommit=False)
                with holder.cursor() as cursor:
                    cursor.execute("select txid_current()")
                load = Load(postgres, mariadb)
                load.start()
                postgres.kill_walsenders()  # an error of the source, too
                postgres.sql("insert into documents values (1, repeat('x', 200000))")
                wait_until("all that takes its time to be known", lambda: all(name in daemon.get("/metrics") for name in (
                    "tailwater_source_loss_forecast_seconds{", "tailwater_sink_oldest_dead_letter_seconds{", "tailwater_sink_dead_letters_total{",
                    'tailwater_source_headroom_seconds{', 'tailwater_source_log_growth_bytes_per_second{')), 90)
                time.sleep(6)  # some scrapes of all that: what is looked at is history
                load.stop()
                holder.close()
                yield prometheus
                assert daemon.process.poll() is None
    receiver.shutdown()
    receiver.server_close()


def expand(expression):
    """As Grafana does it with everything chosen."""
    expression = expression.replace("$__rate_interval", "5s")
    expression = re.sub(r"\$(pipeline|source|sink)\b", ".+", expression)
    assert "$" not in expression, expression
    return expression


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_query_of_every_panel_finds_data(scraped, path):
    empty = []
    for panel, target in queries(json.loads(path.read_text())):
        expression = expand(target["expr"])
        found = scraped.query_range(expression, since=600)
        excused = metrics_of(expression) & set(NO_DATA)
        if not any(value != "NaN" for series in found for _, value in series["values"]) and not excused:
            empty.append(f"{panel['title']}: {expression}")
    assert empty == []


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_variable_offers_values(scraped, path):
    board = json.loads(path.read_text())
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
        assert scraped.get(f"label/{label}/values", **{"match[]": re.sub(r"\$\w+", ".+", selector)}), variable["name"]
    for annotation in board["annotations"]["list"]:
        scraped.query(expand(annotation["expr"]))


def test_every_metric_of_the_alert_rules_exists_and_every_rule_can_be_evaluated(scraped):
    groups = scraped.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    named = set().union(*(metrics_of(rule["query"]) for rule in rules))
    exported = {re.sub(r"_(bucket|sum|count)$", "", name) for name in scraped.metric_names()}
    assert {name for name in named - exported if name not in NO_DATA} == set()
    # The sink without a folder: what it waits for has begun to count.
    pending = {(rule["name"], alert["labels"].get("sink")) for rule in rules for alert in rule["alerts"]}
    assert ("TailwaterSinkNeedsOperator", "broken") in pending
    for rule in rules:
        for alert in rule["alerts"]:
            text = " ".join(alert["annotations"].values())
            assert "<no value>" not in text and "<error" not in text, text


def test_each_kind_of_warehouse_moves_what_its_panels_show(scraped):
    """Numbers, and not only names: rows went there."""
    for sink, names in {"warehouse": ("requests_total", "bytes_written_total", "records_written_total"), "reports": ("records_written_total",)}.items():
        for name in names:
            [found] = scraped.query(f'sum(tailwater_sink_{name}{{sink="{sink}"}})')
            assert float(found["value"][1]) > 0, (sink, name)


def test_every_metric_of_the_daemon_is_on_a_dashboard(scraped):
    shown = set().union(*(metrics_of(target["expr"]) for path in BOARDS for _, target in queries(json.loads(path.read_text()))))
    exported = {re.sub(r"_(bucket|sum|count)$", "", name) for name in scraped.metric_names() if name.startswith("tailwater_")}
    assert exported - shown == set(), "show it, or say here why not"
