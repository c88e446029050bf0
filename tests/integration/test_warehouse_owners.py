"""Both warehouses at once: what a process had passes to the next one, and whatever comes again neither doubles a row nor takes one back."""
import contextlib
import signal
import threading

import pytest

from tests.conftest import start_server
from tests.servers import clickhouse as servers
from tests.servers.kafka_client import confluent_kafka
from tests.support import clickhouse_copy
from tests.support.daemon import Pipeline, wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.postgres_copy import PostgresCopy
from tests.support.workload import as_multiset


@pytest.fixture(scope="module")
def clickhouse():
    try:
        servers.fetch()
    except Exception as error:
        pytest.skip(f"ClickHouse cannot be had: {error}")
    with servers.ClickHouseServer() as running:
        yield running


class Writer(threading.Thread):
    """Rows that are written again and again, and rows without a key, each once: what is taken back or doubled shows."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.connection = server.connect()
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                step = 0
                while not self.stopping.wait(0.01):
                    step += 1
                    cursor.execute("insert into orders values (%s, %s) on conflict (id) do update set n = excluded.n", (step % 200, step))
                    cursor.execute("delete from orders where id = %s", (step * 7 % 200,))
                    cursor.execute("insert into visits values (%s)", (step,))
        except Exception as error:
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join()
        self.connection.close()
        if self.error:
            raise self.error


class Warehouses:
    """A pipeline with both of them, a process that captures, two that deliver, and a writer while the block lasts."""

    def __init__(self, server, kafka, clickhouse, home):
        self.server, self.clickhouse = server, clickhouse
        self.stack = contextlib.ExitStack()
        self.database = clickhouse_copy.new_database(clickhouse)
        self.copy = PostgresCopy(self.stack.enter_context(start_server()))
        server.sql("create table orders (id int primary key, n int); create table visits (n int); alter table visits replica identity full")
        self.pipeline = KafkaPipeline(home, server, kafka, ["public.orders", "public.visits"], sinks={
            "warehouse": clickhouse_copy.sink(clickhouse, self.database, ["public.orders"]), "reports": self.copy.sink()})

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stack.close()
            raise

    def start(self):
        self.stack.enter_context(self.pipeline.start("--only", "capture")).wait_state("streaming")
        processes = [self.deliver("two"), self.deliver("three")]
        self.writer = Writer(self.server)
        self.stack.callback(self.writer.stopping.set)
        self.writer.start()
        wait_until("both in both groups", lambda: all(self.members(sink) == 2 for sink in ("warehouse", "reports")), 60)
        self.wait_until_dealt(processes)
        self.other, self.owner = sorted(processes, key=lambda process: len(self.share(process, "reports")))
        return self

    def __exit__(self, *unused):
        self.stack.close()

    def deliver(self, name):
        return self.stack.enter_context(self.pipeline.start("--only", "deliver", "--instance", name))

    def members(self, sink):
        """Of the sink's group, once it has dealt its partitions."""
        name = f"{self.pipeline.topic_name}.{sink}"
        admin = self.pipeline.kafka.admin()
        description = admin.describe_consumer_groups([name])[name].result(30)
        return len(description.members) if description.state == confluent_kafka().ConsumerGroupState.STABLE else 0

    @staticmethod
    def share(process, sink):
        """One that stands by still tells the places that it had."""
        status = process.sink(sink) if process.answers() else {"state": "starting"}
        return status.get("offsets") or {} if status["state"] == "running" else {}

    def wait_until_dealt(self, processes):
        def shares(sink):
            return sorted(len(self.share(process, sink)) for process in processes)
        wait_until("partitions of ClickHouse for each, and those of Postgres for one",
                   lambda: shares("warehouse") == [1, 2] and shares("reports") == [0, 3], 60)

    def wait_for_work(self, process, records=100):
        for sink in ("warehouse", "reports"):
            goal = process.sink(sink)["applied"] + records
            wait_until(f"{records} records in {sink}", lambda: process.sink(sink)["applied"] >= goal, 60)

    def has_all(self, process):
        return all(len(self.share(process, sink)) == 3 for sink in ("warehouse", "reports"))

    def wait_until_other_has_all(self):
        wait_until("the other to have all", lambda: self.has_all(self.other), 60)

    def assert_end_equal(self):
        self.writer.stop()
        for table, columns in (("orders", ["id", "n"]), ("visits", ["n"])):
            wait_until(f"{table} in Postgres", lambda: self.copy.difference(self.server, table, columns) == "", 60)
        rows = as_multiset(self.server.sql("select id::text, n::text from orders"))
        wait_until("orders in ClickHouse", lambda: clickhouse_copy.target_rows(self.clickhouse, f"{self.database}.orders", ["id", "n"]) == rows, 60)


def test_the_next_owner_goes_on_where_the_warehouse_is(server, kafka, clickhouse, tmp_path):
    with Warehouses(server, kafka, clickhouse, tmp_path) as two:
        two.wait_for_work(two.owner)
        two.owner.kill()
        two.wait_until_other_has_all()
        two.wait_for_work(two.other)
        two.wait_until_dealt([two.other, two.deliver("four")])  # and on without anybody's death
        two.assert_end_equal()


def test_a_process_that_stood_still_takes_nothing_back_from_a_warehouse(server, kafka, clickhouse, tmp_path):
    with Warehouses(server, kafka, clickhouse, tmp_path) as two:
        two.wait_for_work(two.owner)
        stop_between_transactions(two.owner, two.copy)
        try:
            two.wait_until_other_has_all()
            two.wait_for_work(two.other)
        finally:
            two.owner.process.send_signal(signal.SIGCONT)
        two.wait_until_dealt([two.owner, two.other])
        two.assert_end_equal()


def stop_between_transactions(process, copy):
    """What becomes of one that stops inside of one, test_postgres_sink_kafka.py shows."""
    def stopped():
        process.process.send_signal(signal.SIGSTOP)
        states = {"busy"}
        while "busy" in states:  # a server that waits for more of a COPY is active, and not busy
            states = {state for state, in copy.sql(
                "select case when state = 'active' and wait_event is distinct from 'ClientRead' then 'busy' else state end "
                "from pg_stat_activity where datname = %s and pid <> pg_backend_pid()", (copy.database,))}
        if states == {"idle"}:
            return True
        process.process.send_signal(signal.SIGCONT)
        return False
    wait_until("a moment between two transactions", stopped)


def test_a_rewound_warehouse_ends_equal(server, clickhouse, tmp_path):
    """Beside new changes, which the old ones may not undo."""
    database = clickhouse_copy.new_database(clickhouse)
    server.sql("create table orders (id int primary key, n int); create table visits (n int)")
    with start_server() as target_server:
        copy = PostgresCopy(target_server)
        pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={
            "warehouse": clickhouse_copy.sink(clickhouse, database, ["public.orders"]), "reports": copy.sink(), "nothing": {"type": "blackhole"}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            writer = Writer(server)
            writer.start()
            try:
                for sink in ("warehouse", "reports"):
                    wait_until(f"200 records in {sink}", lambda: daemon.sink(sink)["applied"] > 200)
                    assert pipeline.command("sinks", "rewind", sink, "--to", "beginning", "--yes", "--server", daemon.url).returncode == 0
            finally:
                writer.stop()
            rows = as_multiset(server.sql("select id::text, n::text from orders"))
            wait_until("the end", lambda: copy.rows("orders", ["id", "n"]) == rows and
                       clickhouse_copy.target_rows(clickhouse, f"{database}.orders", ["id", "n"]) == rows, 60)
            for sink in ("warehouse", "reports"):
                wait_until(f"{sink} to have read all, and the beginning twice", lambda: daemon.sink(sink)["read"] >= daemon.sink("nothing")["read"] + 200)
                assert daemon.sink(sink)["dead_letters"]["total"] == 0
