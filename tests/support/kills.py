"""kill -9, again and again, against a real database with a writer that never stops: at named crash points and at random moments.
Afterwards: each tailwater.id in the topic once, ordinals without a hole, the fold of the topic and every copy equal to the source."""
import collections
import os
import random
import re
import subprocess
import threading
import time

from tests.support.daemon import Pipeline, wait_until
from tests.support.table_copy import assert_equal, reads
from tests.support.workload import COLUMNS, DIALECTS, TABLES, Workload, as_multiset, create_tables, differences, source_rows


OTHER_SOURCES = {"postgres": ("mysql_",), "mysql": ("pg_",)}


def crash_points(source="postgres"):
    """Every name in the sources, but for those of other sources: a new crash point is exercised without an edit here."""
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    names = set()
    for folder in ("src", "connectors"):
        for path, _, files in os.walk(os.path.join(root, folder)):
            for file in files:
                if file.endswith(".cc"):
                    with open(os.path.join(path, file)) as code:
                        names.update(re.findall(r'TW_CRASH_POINT\("([a-z_]+)"\)', code.read()))
    return sorted(name for name in names if not name.startswith(OTHER_SOURCES[source]))


class Writer(threading.Thread):
    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.connection = server.connect()
        self.workload = Workload(self.connection, seed)
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.workload.step()
                time.sleep(0.002)  # paces the load; nothing waits for it
        except Exception as error:
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join()
        self.connection.close()
        if self.error:
            raise self.error


def fold(records):
    """The topic's changes applied in order: per table a multiset of rows."""
    keyed, keyless = collections.defaultdict(dict), collections.defaultdict(collections.Counter)
    for record in records:
        if record["op"] not in ("insert", "update", "delete", "truncate", "read", "sweep"):
            continue
        table = record["table"].removeprefix("public.")
        if record["op"] == "sweep":  # a copy of a table without a key begins with one; first copies of others have none
            keyless[table].clear()
            continue
        row = lambda image: {c: None if image.get(c) is None else str(image[c]) for c in COLUMNS[table] if c in image}
        if record["op"] == "truncate":
            keyed[table].clear()
            keyless[table].clear()
        elif not record["key"]:
            as_tuple = lambda image: tuple(row(image)[c] for c in COLUMNS[table])
            if record.get("before"):
                keyless[table][as_tuple(record["before"])] -= 1
            if record.get("after"):
                keyless[table][as_tuple(record["after"])] += 1
        else:
            key = tuple(record["key"].values())
            if record["op"] == "delete":
                keyed[table].pop(key, None)
            else:
                keyed[table][key] = {**keyed[table].get(key, {}), **row(record["after"])}
    result = {}
    for table, columns in COLUMNS.items():
        if table == "visits":
            result[table] = {row: n for row, n in keyless[table].items() if n}
        else:
            result[table] = as_multiset([tuple(row[c] for c in columns) for row in keyed[table].values()])
    return result


def transaction_of(record):
    """(epoch, position), ordinal; none for what stands in no transaction. A position may hold colons itself."""
    parts = record["id"].split(":")
    if len(parts) < 5 or parts[2].startswith("v"):
        return None, None
    return (parts[1], ":".join(parts[2:-2])), int(parts[-2])


def dies_within(daemon, seconds):
    """Of itself; counted from where it streams: how long it takes to get there is the machine's affair."""
    deadline = time.monotonic() + 30
    while "streaming started" not in daemon.log():
        if daemon.process.poll() is not None:
            return True
        assert time.monotonic() < deadline, f"it does not begin to stream:\n{daemon.log()[-3000:]}"
        time.sleep(0.01)
    try:
        daemon.process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def survive_kills(server, home, kills, seed):
    chance = random.Random(seed)
    # Those of Kafka fire in tests of Kafka, those of first starts, rewinds, gaps, handovers, copies and replaced tables in tests of these.
    elsewhere = ("kafka_", "sink_rew", "sink_start_", "topic_taken_over", "gap_", "pg_left_", "handover_", "snapshot_", "pg_low_", "mysql_low_",
                 "intent_", "frontier_", "pg_intent_", "pg_publication_", "pg_slot_", "pg_frontier_", "mysql_intent_", "mysql_frontier_", "rows_replaced_",
                 "sink_replayed_", "postgres_sink_")
    points = [point for point in crash_points(server.TYPE) if not point.startswith(elsewhere)]
    assert points, "no crash point found in the sources"
    hit = collections.Counter()
    create_tables(server)
    pipeline = Pipeline(home, server, TABLES, sinks={
        "copy": {"type": "sqlite", "path": str(home / "copy.db")},
        "second": {"type": "sqlite", "path": str(home / "second.db"), "tables": ["public.accounts", "public.visits"]},
        "feed": {"type": "stdout"},
    }, topic_options={"transaction_size": "64KiB"})
    writer = Writer(server, seed)
    with pipeline.start() as daemon:  # the first start makes publication and slot; killed in it, too, further down
        daemon.wait_state("streaming")
    writer.start()
    started = time.monotonic()
    for kill in range(kills):
        environment = {}
        point = None
        if kill % 2 == 0:
            point = points[(kill // 2) % len(points)]
            environment["TAILWATER_CRASH_POINT"] = f"{point}:{chance.choice([1, 1, 2, 5])}"
        with pipeline.start(**environment) as daemon:  # which kills it
            if kill % 4 == 3:
                time.sleep(chance.uniform(0.03, 0.35))
            elif dies_within(daemon, 0.5 if point else chance.uniform(0, 0.3)):
                assert point and daemon.process.returncode == -9, daemon.log()[-3000:]
                hit[point] += 1
    writer.stop()
    print(f"{kills} kills in {time.monotonic() - started:.0f} s, {writer.workload.transactions} transactions, "
          f"named points that fired: {dict(hit)}")
    pipeline.catch_up()

    records = pipeline.topic()
    ids = collections.Counter(record["id"] for record in records)
    assert [i for i, n in ids.items() if n > 1] == [], "records published twice"
    ordinals = collections.defaultdict(set)
    for record in records:
        transaction, ordinal = transaction_of(record)
        if transaction:
            ordinals[transaction].add(ordinal)
    holes = [k for k, seen in ordinals.items() if seen != set(range(len(seen)))]
    assert holes == [], "ordinals with a hole"
    versions = [record["version"] for record in records]
    assert versions == sorted(versions), "versions fell"

    folded = fold(records)
    for table in COLUMNS:
        expected = source_rows(server, table)
        assert differences(expected, folded[table]) == "", f"topic: {table}"
        columns = ", ".join(COLUMNS[table])
        assert differences(expected, as_multiset(pipeline.copy(f"select {columns} from {table}"))) == "", f"copy: {table}"
    pipeline.copy_path = home / "second.db"
    for table in ("accounts", "visits"):
        columns = ", ".join(COLUMNS[table])
        assert differences(source_rows(server, table), as_multiset(pipeline.copy(f"select {columns} from {table}"))) == "", table
    assert len([p for p in hit if p]) >= len(points) // 2, f"few named crash points fired: {dict(hit)}"


def survive_kills_while_copying(server, home, kills, seed, rows, chunk=1000, workers=2):
    """What is repeated is at most one chunk per worker and kill, and the copy ends equal to the source."""
    chance = random.Random(seed)
    points = [point for point in crash_points(server.TYPE) if not point.startswith(("kafka_", "sink_rew", "topic_taken_over", "gap_", "handover", "postgres_sink_"))]
    points.sort(key=lambda point: not point.startswith(("snapshot_", "pg_low_", "mysql_low_")))  # those of copies first: kills may be few
    create_tables(server)
    dialect = DIALECTS[server.TYPE]
    server.sql("create table big (id bigint primary key, v varchar(100) not null)")
    dialect.insert_numbers(server, "big", "g, concat('row ', g)", rows)
    server.sql(f"create table quiet (a int, b {dialect.hash_type}, primary key (a, b))")
    dialect.insert_numbers(server, "quiet", f"g % 10, {dialect.hash_of_g}", 20_000)
    pipeline = Pipeline(home, server, [*TABLES, "public.big", "public.quiet"],
                        source_options={"snapshot": {"chunk_rows": chunk, "workers": workers}})
    writer = Writer(server, seed)
    writer.start()
    started, fired = time.monotonic(), 0
    for kill in range(kills):
        environment = {"TAILWATER_CRASH_POINT": f"{points[kill // 2 % len(points)]}:{chance.choice([1, 2, 5, 20])}"} if kill % 2 else {}
        with pipeline.start(**environment) as daemon:  # which kills it
            if dies_within(daemon, chance.uniform(0.05, 0.5)):
                assert kill % 2 and daemon.process.returncode == -9, daemon.log()[-3000:]
                fired += 1
    print(f"{kills} kills in {time.monotonic() - started:.0f} s, {fired} at named points")
    with pipeline.start() as daemon:
        wait_until("all copies", lambda: daemon.answers() and daemon.source()["state"] == "streaming" and
                   daemon.source()["snapshots"]["tables_waiting"] == 0, 120)
    writer.stop()
    pipeline.catch_up()
    for table, columns in {**COLUMNS, "big": ["id", "v"], "quiet": ["a", "b"]}.items():
        assert_equal(pipeline, table, columns)
    records = pipeline.topic()
    assert len({record["id"] for record in records}) == len(records)
    repeated = len(reads(records, "public.big")) - rows
    print(f"{repeated} rows of {rows} were copied more than once")
    assert repeated <= (kills + 1) * workers * chunk
