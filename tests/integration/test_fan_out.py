"""One pipeline with every kind of sink at once, on the local topic and on one of Kafka: whatever one target does, the others stay at
full speed, and the slot moves."""
import contextlib
import json
import pathlib
import re
import time

import pytest

from tests.conftest import start_kafka
from tests.receivers.libraries import python_libraries
from tests.servers import clickhouse
from tests.servers import kafka as kafka_servers
from tests.servers import opensearch
from tests.servers.kafka_client import confluent_kafka
from tests.support.daemon import Pipeline, wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.targets import KINDS

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = 3000  # a round


class Orders:
    """Rounds of inserts, updates and deletes, a hundred rows a transaction."""

    def __init__(self, server):
        self.server = server
        self.inserted = 0
        server.sql("create table orders (id int primary key, note text)")

    def write_round(self):
        """The place in the log behind it."""
        connection = self.server.connect()
        with connection.cursor() as cursor:
            for first in range(self.inserted + 1, self.inserted + ROWS, 100):
                cursor.execute("insert into orders select g, 'new' from generate_series(%s, %s) g", (first, first + 99))
                cursor.execute("update orders set note = 'paid' where id %% 3 = 0 and id between %s and %s", (first - 100, first + 99))
                cursor.execute("delete from orders where id %% 7 = 0 and id between %s and %s", (first - 200, first - 101))
            cursor.execute("select pg_current_wal_lsn()")
            position = cursor.fetchone()[0]
        connection.close()
        self.inserted += ROWS
        return position

    def rows(self):
        return dict(self.server.sql("select id, note from orders"))


@pytest.fixture
def targets(tmp_path):
    try:
        opensearch.fetch()
        clickhouse.fetch()
        python_libraries()
        kafka_servers.fetch()
        confluent_kafka()
    except Exception as error:
        pytest.skip(f"not every kind of target can be had: {error}")
    with contextlib.ExitStack() as stack:
        yield [kind(tmp_path, stack) for kind in KINDS]


@pytest.fixture(params=["local", "kafka"])
def topic(request):
    return request.param


@pytest.fixture
def pipeline(topic, server, targets, tmp_path):
    sinks = {target.name: target.sink() for target in targets} | {"nothing": {"type": "blackhole"}}
    if topic == "local":
        yield Pipeline(tmp_path, server, ["public.orders"], sinks=sinks)
    else:
        with start_kafka() as broker:
            yield KafkaPipeline(tmp_path, server, broker, ["public.orders"], sinks=sinks)


def passed(daemon, names):
    """All of them have passed all that the topic holds, and put nothing aside."""
    sinks = {sink["name"]: sink for sink in daemon.status()["pipelines"][0]["sinks"]}
    return all(sinks[name].get("lag_records") == 0 and sinks[name]["waiting"] == 0 and sinks[name]["parked_stored"] == 0 for name in names)


def captured(daemon, server, position):
    return server.value("select %s::pg_lsn >= %s::pg_lsn", (daemon.source()["frontier"], position))


def test_a_target_in_trouble_costs_nobody_else_anything(topic, server, targets, pipeline):
    """On the local topic every trouble; on the one of Kafka, where sinks read by other code, one of each target."""
    orders = Orders(server)
    names = {target.name for target in targets} | {"nothing"}

    def round_of(daemon, those):
        """Seconds until all of `those` have passed a round of changes."""
        begun = time.monotonic()
        position = orders.write_round()
        wait_until("the topic", lambda: captured(daemon, server, position), 60)
        wait_until(f"{sorted(those)} to pass", lambda: passed(daemon, those), 60)
        return position, time.monotonic() - begun

    with pipeline.start() as daemon:
        daemon.wait_state("streaming", timeout=60)
        wait_until("every sink", lambda: all(sink["state"] == "running" for sink in daemon.status()["pipelines"][0]["sinks"]), 60)
        round_of(daemon, names)  # warms up
        usual = max(round_of(daemon, names)[1] for _ in range(2))
        for target in targets:
            for trouble in target.troubles if topic == "local" else target.troubles[:1]:
                others = names - {target.name}
                with getattr(target, trouble)():
                    position, seconds = round_of(daemon, others)
                    if (target.name, trouble) == ("search", "frozen"):
                        wait_until("the call that hangs to be seen", lambda: 'tailwater_sink_call_seconds{pipeline="shop",sink="search"}' in daemon.get("/metrics"))
                    print(f"{target.name} {trouble}: the others in {seconds:.1f} s, usually {usual:.1f} s", flush=True)
                    assert not passed(daemon, {target.name}), f"{target.name} is not in trouble at all"
                    assert seconds < 3 * usual + 3, f"{target.name} {trouble} held others up"
                    wait_until("the slot to move", lambda: server.sql(
                        "select 1 from pg_replication_slots where confirmed_flush_lsn >= %s::pg_lsn", (position,)), 40)
                    assert all(sink["state"] == "running" for sink in daemon.status()["pipelines"][0]["sinks"] if sink["name"] in others)
                wait_until(f"{target.name} to catch up after {trouble}", lambda: passed(daemon, names), 90)
        rows, inserted = orders.rows(), range(1, orders.inserted + 1)
        for target in targets:
            assert target.difference(rows, inserted) == "", target.name
        status = daemon.status()["pipelines"][0]["sinks"]
        assert {sink["name"]: sink["dead"] for sink in status if sink["dead"]} == {}
        assert daemon.stop() == 0


def test_every_cell_of_the_table_of_guarantees_names_a_test_that_exists():
    """src/pipeline/README.md: crash, rebalance, zombie, rewind and re-snapshot for each sink that keeps something."""
    text = (ROOT / "src/pipeline/README.md").read_text()
    table = text[text.index("| sink | crash | rebalance | zombie | rewind | re-snapshot |"):]
    rows = {}
    for line in table[:table.index("\n\n")].splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0].split(":")[0].strip("` ")] = cells[1:]
    registering = [path for path in (ROOT / "connectors").rglob("register*.cc") if "AddSink<" in path.read_text()]
    keeping = {path.relative_to(ROOT / "connectors").parts[0] for path in registering}  # connectors/postgres/sink is the postgres sink
    assert set(rows) == keeping - {"blackhole", "stdout"}, "a row per sink"
    tests = "".join(path.read_text() for suffix in ("cc", "h", "py") for path in (ROOT / "tests").rglob(f"*.{suffix}"))
    for sink, cells in rows.items():
        assert len(cells) == 5, sink
        for cell in cells:
            [name] = re.findall(r"`(\w+)`", cell)
            assert re.search(rf"(?:def|,)\s+{name}\b", tests), f"{sink}: no test {name}"
