"""A clickhouse sink for tests, and what its tables hold beside what the source holds."""
import itertools
import json

from tests.support.daemon import wait_until
from tests.support.workload import COLUMNS, Workload, as_multiset, differences, source_rows

KEYED = ["accounts", "seats", "settings", "events"]  # visits has no key
NAMES = (f"t{number}" for number in itertools.count(1))


def new_database(clickhouse):
    name = next(NAMES)
    clickhouse.execute(f"create database {name}")
    return name


def sink(clickhouse, database, tables=None, **more):
    """Small batches without a pause between them, unless told otherwise: tests have no time."""
    return {"type": "clickhouse", "url": clickhouse.url, "database": database, "batch": {"interval": "0s"},
            "tables": tables or [f"public.{table}" for table in KEYED], "timeouts": {"connect": "2s", "request": "20s"}, **more}


def query(clickhouse, text):
    """Rows of texts; decimals with all their digits."""
    if clickhouse.flavour == "engine_behind_http":
        text += " settings output_format_decimal_trailing_zeros = 1, output_format_json_quote_denormals = 1"
    return clickhouse.rows(text)


def target_rows(clickhouse, place, columns):
    """What a reader sees with FINAL; nothing if there is no such table."""
    database, table = place.split(".")
    if table not in clickhouse.tables(database):
        return {}
    return as_multiset(query(clickhouse, f"select {', '.join(columns)} from {place} final where _deleted = 0"))


def assert_equals_source(clickhouse, database, server):
    for table in KEYED:
        assert differences(source_rows(server, table), target_rows(clickhouse, f"{database}.{table}", COLUMNS[table])) == "", table


def wait_for_rows(clickhouse, place, rows, columns=("id", "note")):
    wait_until(f"{rows}", lambda: target_rows(clickhouse, place, columns) == as_multiset(rows), 40)


def wait_for_sink(daemon, state, code, name="warehouse", timeout=30):
    def reached():
        current = daemon.answers() and daemon.sink(name)
        return current if current and current["state"] == state and current.get("code") == code else None
    return wait_until(f"the sink to be {state} with {code}", reached, timeout)


def try_at_once(pipeline, daemon, name="warehouse"):
    """As an operator who has repaired something and does not wait for the next slow probe."""
    for word in ("pause", "resume"):
        result = pipeline.command("sinks", word, name, "--server", daemon.url)
        assert result.returncode == 0, result.stderr


def wait_copied(daemon, source="shop"):
    """The first copy is done: what is written from here on comes by the stream alone."""
    wait_until("the first copy", lambda: daemon.source(source)["snapshots"]["tables_copied"] == 1)


def letters(pipeline, daemon, name="warehouse"):
    result = pipeline.command("dead-letters", "list", name, "-o", "json", "--server", daemon.url)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["dead_letters"]


def run_workload(server, seed, steps, during=None):
    connection = server.connect()
    workload = Workload(connection, seed=seed, large=2000)
    workload.next_event = seed * 50_000  # several of them on one database
    for step in range(steps):
        workload.step()
        if during:
            during(step)
    connection.close()
