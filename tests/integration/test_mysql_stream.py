"""The main job on MariaDB and MySQL: whatever a statement does to rows, the topic has it once and in order, and the copy equals the source."""
import os
import threading
import time

import pymysql
import pytest

from tests.conftest import start_mysql
from tests.support.daemon import Pipeline, wait_until
from tests.support.live_copy import LiveCopy
from tests.support.table_copy import has_table
from tests.support.workload import COLUMNS, TABLES, Workload, as_multiset, create_tables, differences, source_rows

ON_MARIADB = pytest.mark.parametrize("mysql_of_module", ["mariadb"], indirect=True)
ON_MYSQL = pytest.mark.parametrize("mysql_of_module", ["mysql"], indirect=True)
TABLE = "create table t (id int primary key, a int, b varchar(100), c blob)"


@pytest.fixture
def live(mysql, tmp_path):
    with LiveCopy(tmp_path, mysql) as running:
        yield running


def operations(records):
    return [(record["op"], record["table"].removeprefix("public."), *(record.get("key") or {}).values()) for record in records]


# -- rows

def test_a_random_history_arrives_whole(mysql, tmp_path):
    create_tables(mysql)
    pipeline = Pipeline(tmp_path, mysql, TABLES)
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        connection = mysql.connect()
        workload = Workload(connection, seed=11)
        for _ in range(300):
            workload.step()
        connection.close()
        assert daemon.stop() == 0
    pipeline.catch_up()
    for table, columns in COLUMNS.items():
        copied = as_multiset(pipeline.copy(f"select {', '.join(columns)} from {table}"))
        assert differences(source_rows(mysql, table), copied) == "", table
    ids = [record["id"] for record in pipeline.topic()]
    assert len(ids) == len(set(ids))


def test_images_of_every_mode(live):
    live.sql(TABLE)
    live.sql("insert into t values (1, 1, 'one', x'00ff')", "update t set b = 'two' where id = 1", "delete from t where id = 1")
    live.sql("set session binlog_row_image = MINIMAL", "insert into t (id, a) values (2, 5)", "update t set b = 'x' where id = 2",
             "update t set id = 3 where id = 2", "delete from t where id = 3")
    live.sql("set session binlog_row_image = NOBLOB", "insert into t values (4, 1, 'b', 'blob')", "update t set a = 2 where id = 4",
             "update t set c = 'changed' where id = 4")
    live.settle()
    records = live.records("t")
    full, minimal, noblob = records[:3], records[3:8], records[8:]
    assert operations(full) == [("insert", "t", 1), ("update", "t", 1), ("delete", "t", 1)]
    one = {"id": 1, "a": 1, "b": "one", "c": "\\x00ff"}
    two = {**one, "b": "two"}
    assert [(r.get("before"), r.get("after")) for r in full] == [(None, one), (one, two), (two, None)]
    # A key that changes: delete of the old, insert of the new.
    assert operations(minimal) == [("insert", "t", 2), ("update", "t", 2), ("delete", "t", 2), ("insert", "t", 3), ("delete", "t", 3)]
    assert minimal[0]["after"] == {"id": 2, "a": 5} and sorted(minimal[0]["omitted"]) == ["b", "c"], minimal[0]
    assert minimal[1]["after"]["b"] == "x" and {"a", "c"} <= set(minimal[1]["unchanged"]), minimal[1]
    assert minimal[4]["before"] == {"id": 3}, minimal[4]
    assert operations(noblob) == [("insert", "t", 4), ("update", "t", 4), ("update", "t", 4)]
    assert noblob[1]["after"]["a"] == 2 and noblob[1].get("unchanged") == ["c"], noblob[1]
    assert noblob[2]["after"]["c"] == "\\x" + b"changed".hex()
    live.wait_equal("t")


def test_statements_that_write_more_than_they_say(live):
    mariadb = live.server.is_mariadb
    live.sql("create table a (id int primary key, v int, u int unique)", "create table b (id int auto_increment primary key, a_id int, v int)",
             "create trigger audit after insert on a for each row insert into b (a_id, v) values (new.id, new.v)")
    live.sql("begin", "insert into a values (1, 10, 1)", "commit")
    live.sql("insert into a values (2, 20, 2), (3, 30, 3)")
    live.sql("update a join b on b.a_id = a.id set a.v = a.v + 1, b.v = b.v + 1")
    live.sql("replace into a values (1, 11, 1)", "replace into a values (9, 12, 2)", "replace into a values (4, 40, 4)")
    live.sql("insert into a values (3, 0, 3) on duplicate key update v = v + 100", "insert into a values (7, 0, 3) on duplicate key update id = 8")
    live.sql("insert ignore into a values (8, 1, 1), (10, 1, 10)", "insert into b (a_id, v) select id, v from a",
             "delete a, b from a join b on b.a_id = a.id where a.id = 9")
    live.sql("begin", "create temporary table scratch as select id from a", "insert into scratch values (1000)",
             "insert into b (a_id, v) select id, 5 from scratch", "drop temporary table scratch", "commit")
    if mariadb:
        live.sql("insert into a values (20, 1, 20) returning id", "delete from a where id = 20 returning id")
    live.settle()
    live.wait_equal("a", "b")
    first, second, joined = live.transactions()[:3]
    assert operations(first) == [("insert", "a", 1), ("insert", "b", 1)]
    assert [(op, table) for op, table, _ in operations(second)] == [("insert", "a"), ("insert", "b")] * 2
    assert sorted(operations(joined)) == sorted([("update", "a", n) for n in (1, 2, 3)] + [("update", "b", n) for n in (1, 2, 3)])
    assert not [r for r in live.records() if "scratch" in r["table"]]


def test_cascades_are_what_the_log_says(live):
    """MySQL 9 logs the children, before their parent; MariaDB runs cascades inside of its engine and logs none of it."""
    live.sql("create table parent (id int primary key)",
             "create table child (id int primary key, parent int, foreign key (parent) references parent (id) on delete cascade on update cascade)",
             "create table orphan (id int primary key, parent int, foreign key (parent) references parent (id) on delete set null)",
             "insert into parent values (1), (2)", "insert into child values (1, 1), (2, 2)", "insert into orphan values (1, 1)")
    live.sql("update parent set id = 3 where id = 2")
    live.sql("delete from parent where id = 1")
    live.settle()
    records = [operations(group) for group in live.transactions()[3:]]
    moved = [("delete", "parent", 2), ("insert", "parent", 3)]
    if live.server.is_mariadb:
        assert records == [moved, [("delete", "parent", 1)]]
        live.wait_equal("parent")
    else:
        assert records[0] == [("update", "child", 2), *moved]
        assert sorted(records[1][:2]) == [("delete", "child", 1), ("update", "orphan", 1)] and records[1][2:] == [("delete", "parent", 1)]
        live.wait_equal("parent", "child", "orphan")


def test_tables_of_every_shape(live):
    odd = ["Quo`te", "do.t", "UPPER", "sp ace", "ü$", "select", "semi;colon"]
    wide = ", ".join(f"c{n} int" for n in range(300))
    live.sql("create table computed (id int primary key, a int, s int generated always as (a * 2) stored, v int generated always as (a + 1) virtual, "
             "h int invisible)", "create table keyless (a int, b varchar(20))", "create table uniq (a int not null, b int, unique (a))",
             f"create table wide (id int primary key, {wide})", "create table prefix_key (k varchar(100), v int, primary key (k(10)))",
             "create table parts (id int primary key, v int) partition by range (id) (partition a values less than (10), partition b values less than (100))",
             *[f"create table `{name.replace('`', '``')}` (`K.1` int primary key, `va``l` text)" for name in odd])
    live.sql("insert into computed (id, a, h) values (1, 1, 1)", "update computed set a = 5", "insert into keyless values (1, 'x'), (1, 'x'), (2, null)",
             "delete from keyless where a = 1 limit 1", "update keyless set b = 'y' where a = 2",
             "insert into uniq values (1, 1)", "update uniq set b = 2", "insert into wide (id, c0, c7, c8, c299) values (1, 1, 2, 3, 4)",
             "update wide set c1 = 5, c7 = null", "insert into prefix_key values ('long enough to be cut', 1)", "update prefix_key set v = 2",
             "insert into parts values (1, 1), (50, 1)", "update parts set id = 60 where id = 1", "delete from parts where id = 50",
             *[f"insert into `{name.replace('`', '``')}` values (1, 'it''s')" for name in odd])
    live.settle()
    for name in ("computed", "keyless", "uniq", "wide", "prefix_key", "parts", *odd):
        live.wait_equal(name)
    inserted = next(r for r in live.records("computed") if r["op"] == "insert")
    assert inserted["after"] == {"id": 1, "a": 1, "s": 2, "v": 2, "h": 1}
    assert [r["key"] for r in live.records("keyless")] == [None] * 5 or not any(r["key"] for r in live.records("keyless"))


# -- transactions

def test_transactions_are_whole_and_what_was_rolled_back_never_was(live):
    live.sql(TABLE)
    live.sql("begin", "insert into t (id) values (1)", "update t set a = 1", "insert into t (id) values (2)", "delete from t where id = 1", "commit")
    live.sql("begin", "insert into t (id) values (3)", "rollback")
    live.sql("begin", "insert into t (id) values (4)", "savepoint s", "insert into t (id) values (5)", "rollback to s", "insert into t (id) values (6)",
             "savepoint s", "insert into t (id) values (7)", "release savepoint s", "commit")
    live.sql("begin", "insert into t (id) values (8)", "savepoint `it``s; BEGIN`", "delete from t", "rollback to `it``s; BEGIN`", "commit")
    live.settle()
    assert [operations(group) for group in live.transactions("t")] == [
        [("insert", "t", 1), ("update", "t", 1), ("insert", "t", 2), ("delete", "t", 1)],
        [("insert", "t", 4), ("insert", "t", 6), ("insert", "t", 7)], [("insert", "t", 8)]]
    assert [[r["id"].split(":")[-2] for r in group] for group in live.transactions("t")] == [["0", "1", "2", "3"], ["0", "1", "2"], ["0"]]
    live.wait_equal("t")


def mixed_engines(live, plain):
    """Rows of a table without transactions, and savepoints around them."""
    live.sql("create table t (id int primary key)", f"create table m (id int primary key) engine = {plain}")
    live.sql("begin", "insert into t values (1)", "savepoint s", "insert into t values (2)", "insert into m values (1)", "rollback to s",
             "insert into t values (3)", "commit")
    live.sql("begin", "insert into t values (4)", "insert into m values (2)", "rollback")
    live.sql("begin", "insert into m values (3)", "savepoint s", "insert into t values (5)", "update m set id = 4 where id = 3", "savepoint inner_one",
             "insert into t values (6)", "insert into m values (5)", "rollback to inner_one", "insert into t values (7)", "release savepoint s", "commit")
    live.sql("insert into m values (10), (11)", "delete from m where id = 10")
    live.settle()
    live.wait_equal("t", "m")
    topic = {table: sorted(r["after"]["id"] for r in live.records(table) if r["op"] == "insert") for table in "tm"}
    assert topic == {"t": [1, 3, 5, 7], "m": [1, 2, 3, 4, 5, 10, 11]}
    live.ids_are_unique()


@pytest.mark.parametrize("plain", ["MyISAM", "Aria transactional = 0"], ids=["myisam", "aria"])
@ON_MARIADB
def test_savepoints_around_tables_without_transactions(mysql, tmp_path, plain):
    # MySQL refuses them where GTIDs are on; see those without.
    with LiveCopy(tmp_path, mysql) as live:
        mixed_engines(live, plain)


def test_prepared_transactions_wait_for_their_outcome(mysql, tmp_path):
    with LiveCopy(tmp_path, mysql) as live:
        live.sql(TABLE)

        def prepare(name, *statements):
            # MySQL lets go of a prepared transaction with its session, MariaDB 10.5+ too: another one decides.
            live.sql(f"xa start '{name}'", *statements, f"xa end '{name}'", f"xa prepare '{name}'")
        prepare("kept", "insert into t (id) values (1)", "insert into t (id) values (2)")
        prepare("undone", "insert into t (id) values (3)")
        prepare("over a kill", "insert into t (id) values (4)", "insert into t (id) select 100 + id from (select 1 id union select 2) x")
        prepare("over a crash", "insert into t (id) values (5)")
        live.sql("xa start 'one', 'phase', 7", "insert into t (id) values (6)", "xa end 'one', 'phase', 7", "xa commit 'one', 'phase', 7 one phase")
        live.sql("xa start 'empty'", "xa end 'empty'", "xa prepare 'empty'", "xa commit 'empty'")
        live.sql("insert into t (id) values (7)")
        live.settle()
        assert operations(live.records("t")) == [("insert", "t", 6), ("insert", "t", 7)]
        live.sql("xa commit 'kept'", "xa rollback 'undone'")
        live.settle()
        assert operations(live.records("t"))[2:] == [("insert", "t", 1), ("insert", "t", 2)]
        live.daemon.kill()
        live.sql("insert into t (id) values (8)", "xa commit 'over a kill'", "insert into t (id) values (9)")
        live.start()
        live.settle()
        assert operations(live.records("t"))[4:] == [("insert", "t", n) for n in (8, 4, 101, 102, 9)]
        mysql.restart("immediate")
        mysql.sql("xa commit 'over a crash'")
        live.settle(60)
        assert operations(live.records("t"))[9:] == [("insert", "t", 5)]
        live.wait_equal("t")
        live.ids_are_unique()
        live.stop()
    live.pipeline.catch_up()
    assert len(live.records("t")) == 10


@ON_MARIADB
def test_other_kinds_of_groups_of_mariadb(mysql, tmp_path):
    with LiveCopy(tmp_path, mysql) as live:
        live.sql("create sequence s", "create table v (id int primary key, a int) with system versioning", TABLE)
        live.sql("insert into t (id) values (nextval(s)), (nextval(s))")
        live.sql("set session gtid_domain_id = 5", "insert into t (id) values (50)", "set session gtid_domain_id = 7", "insert into t (id) values (70)")
        live.sql("insert into t (id) values (3)")
        live.sql("set skip_replication = 1", "insert into t (id) values (4)")
        live.sql("insert into v values (1, 1)", "update v set a = 2", "insert into v values (2, 1)", "delete from v where id = 1")
        live.sql("create table made (id int primary key) as select id from t", "create or replace table made (id int primary key) select id from t where id < 3")
        live.settle()
        live.wait_equal("t", "made")
        live.wait_equal("v")
        history = [(r["op"], *(r["key"] or {"": None}).values()) for r in live.records("v")]
        assert [entry[0] for entry in history if entry[1] == 1] in (["insert", "update", "delete"], ["insert", "delete", "insert", "delete"]), history
        assert not live.records("s")
        live.daemon.kill()  # each domain goes on from where it was
        live.sql("set session gtid_domain_id = 7", "insert into t (id) values (71)", "set session gtid_domain_id = 9", "insert into t (id) values (90)")
        live.start()
        live.settle()
        live.wait_equal("t")
        live.ids_are_unique()


@ON_MYSQL
def test_other_kinds_of_groups_of_mysql(mysql, tmp_path):
    with LiveCopy(tmp_path, mysql) as live:
        live.sql(TABLE)
        live.sql("set gtid_next = 'AUTOMATIC:tagged'", "insert into t (id) values (1)", "set gtid_next = 'AUTOMATIC'", "insert into t (id) values (2)")
        uuid = mysql.value("select @@server_uuid")
        following = int(mysql.executed().split(uuid + ":")[1].split(":")[0].split("-")[-1])
        live.sql(f"set gtid_next = '{uuid}:{following + 1000}'", "begin", "commit", "set gtid_next = 'AUTOMATIC'")  # skipped by an operator
        live.sql(f"set gtid_next = '{uuid}:{following + 500}'", "insert into t (id) values (3)", "set gtid_next = 'AUTOMATIC'")
        live.sql("insert into t (id) values (4)")
        live.sql("set sql_generate_invisible_primary_key = on", "create table nameless (a int)", "insert into nameless values (1), (2)",
                 "update nameless set a = 3 where a = 2")
        live.sql("create table made (id int primary key) select id from t")
        live.settle()
        live.wait_equal("t", "made", "nameless")
        assert [r["key"] for r in live.records("nameless")] == [{"my_row_id": 1}, {"my_row_id": 2}, {"my_row_id": 2}]
        wait_until("the frontier", lambda: mysql.value("select gtid_subset(@@global.gtid_executed, %s)", (live.daemon.source()["frontier"],)))
        live.daemon.kill()
        live.sql("set gtid_next = 'AUTOMATIC:tagged'", "insert into t (id) values (5)", "set gtid_next = 'AUTOMATIC'", "insert into t (id) values (6)")
        live.start()
        live.settle()
        live.wait_equal("t")
        live.ids_are_unique()


def test_a_mysql_without_gtids(tmp_path):
    with start_mysql("mysql", settings={"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF", "max_binlog_size": "65536"}) as server:
        create_tables(server)
        with LiveCopy(tmp_path, server) as live:
            mixed_engines(live, "MyISAM")
            connection = server.connect()
            workload = Workload(connection, 5, large=300)
            for round_ in range(4):
                for _ in range(60):
                    workload.step()
                if round_ == 1:
                    live.daemon.kill()
                if round_ == 2:
                    live.start()
            connection.close()
            server.restart("immediate")
            live.sql("insert into t values (100)")
            live.settle(60)
            live.wait_equal("t")
            for table in COLUMNS:
                wait_until(table, lambda: live.difference(table, COLUMNS[table]) == "")
            live.ids_are_unique()


# -- statements about tables

def test_truncates_renames_and_tables_made_anew(live):
    live.sql("create table t (id int primary key, v int)", "create table u (id int primary key, v int)", "create table gone (id int primary key)",
             "insert into t values (1, 1), (2, 1)", "insert into u values (3, 2)", "insert into gone values (1)")
    live.sql("truncate t", "insert into t values (4, 1)", "truncate table `public`.`t` /* really */", "insert into t values (5, 1)")
    live.settle()
    assert operations(live.records("t")) == [("insert", "t", 1), ("insert", "t", 2), ("truncate", "t"), ("insert", "t", 4), ("truncate", "t"), ("insert", "t", 5)]
    live.wait_equal("t", "u")
    live.sql("rename table t to tmp, u to t, tmp to u", "insert into t values (6, 6)", "insert into u values (7, 7)")
    live.settle()
    live.wait_equal("t", "u")
    live.sql("drop table t", "create table t (id int primary key, w text)", "insert into t values (8, 'anew')")
    live.settle()
    live.wait_equal("t")
    live.sql("create table t2 (id int primary key, w text) partition by range (id) (partition a values less than (10), partition b values less than (100))",
             "insert into t2 values (1, 'a'), (50, 'b')", "create table x (id int primary key, w text)", "insert into x values (2, 'x')")
    live.settle()
    live.sql("alter table t2 exchange partition a with table x", "insert into t2 values (3, 'after')")
    live.settle()
    live.wait_equal("t2", "x")
    live.sql("alter table t2 truncate partition b", "insert into t2 values (51, 'again')", "alter table t2 drop partition a")
    live.settle()
    live.wait_equal("t2")
    if live.server.is_mariadb:
        live.sql("create or replace table u (id int primary key, v int)", "insert into u values (1, 1)")
        live.settle()
        live.wait_equal("u")
    live.sql("drop table gone")
    live.settle()
    live.ids_are_unique()


def test_columns_that_come_and_go_while_nobody_reads(live):
    live.sql("create table t (id int primary key, a int, b varchar(20))", "insert into t values (1, 1, 'one')")
    live.settle()
    live.stop()
    live.sql("insert into t values (2, 2, 'two')", "alter table t add column first_one int default 7 first", "insert into t values (8, 3, 3, 'three')",
             "alter table t add column mid varchar(10) after a", "insert into t values (9, 4, 4, 'mid', 'four')", "alter table t rename column b to c",
             "update t set c = 'renamed' where id = 4", "alter table t drop column mid", "insert into t values (10, 5, 5, 'five')",
             "alter table t modify a bigint", "update t set a = 5000000000 where id = 5", "alter table t add column last_one int, algorithm = instant",
             "update t set last_one = id")
    live.start()
    live.settle()
    after = {r["key"]["id"]: r["after"] for r in live.records("t") if r["op"] == "insert"}
    assert after[2] == {"id": 2, "a": 2, "b": "two"}
    assert after[3] == {"first_one": 8, "id": 3, "a": 3, "b": "three"}
    assert after[4] == {"first_one": 9, "id": 4, "a": 4, "mid": "mid", "b": "four"}
    assert after[5] == {"first_one": 10, "id": 5, "a": 5, "c": "five"}
    rows = {row[0]: row[1:] for row in live.pipeline.copy("select id, a, c, last_one from t")}
    assert rows[5] == (5000000000, "five", 5) and rows[4] == (4, "renamed", 4)


class Writer(threading.Thread):
    """Inserts, updates and deletes in table `t` until told otherwise; `each` sees every key that it wrote, in the same turn."""

    def __init__(self, server, each=None):
        super().__init__(daemon=True)
        self.connection, self.each = server.connect(), each
        self.stopping, self.error, self.turns = threading.Event(), None, 0

    def run(self):
        try:
            cursor = self.connection.cursor()
            while not self.stopping.is_set():
                key = 1_000 + self.turns
                try:
                    cursor.execute("insert into t (id, v) values (%s, 'new')", (key,))
                    cursor.execute("update t set v = concat(v, '+') where id in (%s, %s)", (key - 3, key % 500))
                    cursor.execute("delete from t where id = %s", (key - 7,))
                except pymysql.err.OperationalError as error:
                    if error.args[0] != 1213:  # a deadlock with who copies rows: the server chose us
                        raise
                if self.each:
                    for touched in (key, key - 3, key % 500, key - 7):
                        self.each(touched)
                self.turns += 1
                time.sleep(0.002)  # paces the load; nothing waits for it
        except Exception as error:
            self.error = error

    def go_on(self, turns):
        goal = self.turns + turns
        wait_until("the writer to go on", lambda: self.error or self.turns > goal)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.join()
        self.connection.close()
        if self.error:
            raise self.error


@pytest.fixture(params=["public.*", "public.t"], ids=["all_tables", "one_table"])
def live_of_500(mysql, tmp_path, request):
    """A copy of table `t`; of the tables that tools make beside it, too, or not."""
    mysql.sql("create table t (id int primary key, v varchar(200))")
    connection = mysql.connect()
    connection.cursor().executemany("insert into t values (%s, %s)", [(n, f"row {n}") for n in range(500)])
    connection.close()
    with LiveCopy(tmp_path, mysql, [request.param]) as running:
        yield running


def assert_swapped(live, writer):
    writer.go_on(20)
    live.settle(60)
    writer.__exit__()
    live.settle(60)
    live.wait_equal("t", timeout=60)
    assert "extra" in live.columns("t")
    live.ids_are_unique()


def test_a_schema_change_by_triggers_under_load(live_of_500):
    """As pt-online-schema-change does it."""
    live = live_of_500
    writer = Writer(live.server)
    writer.start()
    writer.go_on(10)
    live.sql("create table _t_new like t", "alter table _t_new add column extra int default 3",
             "create trigger pt_del after delete on t for each row delete ignore from _t_new where _t_new.id <=> old.id",
             "create trigger pt_upd after update on t for each row begin delete ignore from _t_new where not (old.id <=> new.id) and _t_new.id <=> old.id; "
             "replace into _t_new (id, v) values (new.id, new.v); end",
             "create trigger pt_ins after insert on t for each row replace into _t_new (id, v) values (new.id, new.v)")
    for low in range(0, 2000, 250):
        live.sql(f"insert ignore into _t_new (id, v) select id, v from t where id between {low} and {low + 249} lock in share mode")
    writer.go_on(10)
    live.sql("rename table t to _t_old, _t_new to t")
    live.sql("drop trigger pt_del", "drop trigger pt_upd", "drop trigger pt_ins", "drop table _t_old")
    assert_swapped(live, writer)


def test_a_schema_change_by_the_log_under_load(live_of_500):
    """As gh-ost does it: rows written meanwhile are applied to the new table from the log, and the tables are swapped under a lock."""
    live = live_of_500
    cursor = live.server.connect().cursor()

    def apply(key):
        cursor.execute("delete from _t_gho where id = %s", (key,))
        cursor.execute("insert into _t_gho (id, v) select id, v from t where id = %s", (key,))

    live.sql("create table _t_gho like t", "alter table _t_gho add column extra int default 3", "create table _t_ghc (id int primary key, note varchar(99))",
             "insert into _t_ghc values (1, 'heartbeat')")
    touched, lock = [], threading.Lock()

    def touch(key):
        with lock:
            touched.append(key)
    writer = Writer(live.server, each=touch)
    writer.start()
    writer.go_on(10)
    for low in range(0, 2000, 250):
        live.sql(f"insert ignore into _t_gho (id, v) select id, v from t where id between {low} and {low + 249} lock in share mode")

    for _ in range(3):  # the writer goes on meanwhile: the rest is for the lock
        with lock:
            keys = set(touched)
            touched.clear()
        for key in keys:
            apply(key)
    live.sql("create table _t_del (id int primary key)")
    cursor.execute("lock tables t write, _t_del write, _t_gho write")
    turns = writer.turns  # of the turn at hand nobody knows yet how far it got
    for key in {*touched, *range(990 + turns, 1_002 + turns), (1_000 + turns) % 500, (1_001 + turns) % 500}:
        apply(key)
    swapped = threading.Thread(target=lambda: live.server.sql("rename table t to _t_del, _t_gho to t"))
    swapped.start()
    wait_until("the swap to wait for the lock", lambda: live.server.sql(
        "select 1 from information_schema.processlist where info like 'rename table t to%%' and state like 'Waiting%%'"))
    cursor.execute("drop table _t_del")
    cursor.execute("unlock tables")
    swapped.join()
    live.sql("drop table _t_ghc", "drop table _t_del")
    assert_swapped(live, writer)


# -- how it is logged

def compressed(server, on):
    if server.is_mariadb:
        server.sql([f"set global log_bin_compress = {on}", "set global log_bin_compress_min_len = 10"])


def test_compressed_logs_say_the_same(mysql, tmp_path):
    create_tables(mysql)
    compressed(mysql, "ON")
    try:
        with LiveCopy(tmp_path, mysql, TABLES) as live:
            connection = mysql.connect()
            if not mysql.is_mariadb:
                connection.cursor().execute("set session binlog_transaction_compression = ON")
            workload = Workload(connection, 3, large=500)
            for _ in range(200):
                workload.step()
            if not mysql.is_mariadb:  # XA in a payload
                for statement in ("xa start 'x'", "insert into events (id, kind) values (900000, 'xa')", "xa end 'x'", "xa prepare 'x'"):
                    workload.cursor.execute(statement)
            connection.close()
            if not mysql.is_mariadb:
                mysql.sql("xa commit 'x'")
            mysql.sql("insert into settings values ('repeats', repeat('0123456789', 500))")
            live.settle()
            for table in COLUMNS:
                wait_until(table, lambda: live.difference(table, COLUMNS[table]) == "")
            live.ids_are_unique()
    finally:
        compressed(mysql, "OFF")


@ON_MYSQL
def test_partial_documents_are_made_whole(mysql, tmp_path):
    with LiveCopy(tmp_path, mysql) as live:
        live.sql("create table docs (id int primary key, doc json, other json, n int)",
                 "insert into docs values (1, '{\"a\": 1, \"b\": [1, 2, 3], \"pad\": \"0123456789012345678901234567890123456789\"}', '[1]', 0)")
        live.sql("set session binlog_row_value_options = PARTIAL_JSON", "update docs set doc = json_set(doc, '$.a', 2)",
                 "update docs set doc = json_remove(doc, '$.b[1]')", "update docs set doc = json_set(doc, '$.a', 'x', '$.b[0]', 7)", "update docs set n = 1",
                 "update docs set doc = json_replace(doc, '$.a', 'y'), other = json_set(other, '$[0]', 5)",
                 "set session binlog_row_image = MINIMAL", "update docs set n = 2", "update docs set doc = json_array(1) where id = 1",
                 "set session binlog_row_value_options = ''", "update docs set doc = json_set(doc, '$[0]', 3)")
        live.settle()
        live.wait_equal("docs")
        documents = [r["after"]["doc"] for r in live.records("docs") if "doc" in (r["after"] or {})]
        assert [d["a"] for d in documents[:4]] == [1, 2, 2, "x"] and documents[3]["b"] == [7, 3]


@ON_MYSQL
def test_a_part_of_a_document_without_the_document_is_a_gap(mysql, tmp_path):
    with LiveCopy(tmp_path, mysql, source_options={"on_gap": "resnapshot"}) as live:
        live.sql("create table docs (id int primary key, doc json)", "insert into docs values (1, '{\"a\": 1, \"pad\": \"0123456789012345678901234567890123456789\"}')")
        live.settle()
        live.sql("set session binlog_row_image = MINIMAL", "set session binlog_row_value_options = PARTIAL_JSON",
                 "begin", "insert into docs values (2, '[]')", "update docs set doc = json_set(doc, '$.a', 2) where id = 1", "commit")
        live.wait_equal("docs")
        live.ids_are_unique()
        assert "mysql_partial_json" in live.daemon.log() and "binlog_row_image = FULL" in live.daemon.log()


class Load(threading.Thread):
    """A history that survives restarts of its server."""

    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.server, self.stopping, self.error = server, threading.Event(), None
        self.workload = Workload(server.connect(), seed, large=300)

    def run(self):
        try:
            while not self.stopping.is_set():
                try:
                    self.workload.step()
                except (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.InternalError):
                    self.reconnect()
                time.sleep(0.002)  # paces the load; nothing waits for it
        except Exception as error:
            self.error = error

    def reconnect(self):
        while not self.stopping.is_set():
            try:
                self.workload.connection = self.server.connect()
                self.workload.cursor = self.workload.connection.cursor()
                self.workload.next_event += 10_000  # whether the last ones are there is not known
                return
            except Exception:
                time.sleep(0.05)

    def wait_for(self, transactions):
        goal = self.workload.transactions + transactions
        wait_until(f"{transactions} transactions", lambda: self.error or self.workload.transactions >= goal, 60)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.join()
        if self.error:
            raise self.error


def test_rotations_checksums_cuts_and_crashes_under_load(mysql, tmp_path):
    create_tables(mysql)
    with LiveCopy(tmp_path, mysql, TABLES) as live, Load(mysql, 17) as load:
        for _ in range(3):
            mysql.sql("flush binary logs")
            load.wait_for(20)
        for checksum in ("NONE", "CRC32"):
            mysql.sql(f"set global binlog_checksum = {checksum}")
            load.wait_for(20)
        assert mysql.kill_dumps() >= 1  # a look at the file may still end
        load.wait_for(20)
        mysql.restart()
        load.wait_for(20)
        mysql.restart("immediate")
        load.wait_for(20)
        live.daemon.kill()
        load.wait_for(20)
        live.start()
        load.__exit__()
        live.settle(60)
        for table in COLUMNS:
            wait_until(table, lambda: live.difference(table, COLUMNS[table]) == "", 30)
        live.ids_are_unique()
        live.stop()


def test_packets_of_more_than_sixteen_megabytes(mysql, tmp_path):
    allowed = mysql.value("select @@global.max_allowed_packet")
    mysql.sql(f"set global max_allowed_packet = {1 << 27}")
    try:
        with LiveCopy(tmp_path, mysql) as live:
            live.sql("create table docs (id int primary key, body longtext)")
            live.sql("insert into docs values (1, repeat('x', 20 * 1024 * 1024))")
            # Full to the last byte, which an empty packet continues; one byte less, one more. A packet is a byte and the event.
            full = 0xFFFFFF - (43 if mysql.is_mariadb else 45)
            for body in range(full - 1, full + 2):
                live.sql(f"insert into docs values ({body}, repeat('y', {body}))")
            events = mysql.sql("show binlog events in %s", (mysql.place()[0],))
            assert 0xFFFFFF in [event[4] - event[1] + 1 for event in events]
            live.settle(60)
            lengths = mysql.sql("select id, length(body) from docs order by id")
            wait_until("the documents", lambda: tuple(live.pipeline.copy("select id, length(body) from docs order by id")) == lengths, 60)
    finally:
        mysql.sql(f"set global max_allowed_packet = {allowed}")


def test_a_huge_transaction_in_little_memory_killed_on_its_way(mysql, tmp_path):
    """Rows by TW_HUGE_MYSQL_ROWS: 400,000."""
    rows = int(os.environ.get("TW_HUGE_MYSQL_ROWS", "400000"))
    mysql.sql("create table big (id bigint primary key, price decimal(12,2), name varchar(100))")
    pipeline = Pipeline(tmp_path, mysql, ["public.big"], sinks={"nowhere": {"type": "blackhole"}})
    pipeline.catch_up()
    limit = "max_recursive_iterations" if mysql.is_mariadb else "cte_max_recursion_depth"
    compress = [] if mysql.is_mariadb else ["set session binlog_transaction_compression = ON"]
    mysql.sql([*compress, f"set session {limit} = 1000000000",
               f"insert into big with recursive g (n) as (select 1 union all select n + 1 from g where n < {rows}) select n, n / 100, concat('row ', n) from g"])
    peaks = []

    def peak(daemon):
        with open(f"/proc/{daemon.process.pid}/status") as status:
            return max(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
    with pipeline.start() as daemon:
        wait_until("a part of it", lambda: daemon.answers() and
                   (daemon.source().get("in_progress") or {"published_events": 0})["published_events"] > rows * 0.3, 100)
        peaks.append(peak(daemon))
    with pipeline.start() as daemon:
        wait_until("all of it", lambda: daemon.answers() and daemon.source()["state"] == "streaming" and daemon.sink("nowhere").get("lag_records") == 0 and
                   f"tailwater_topic_records{{" in daemon.get("/metrics") and stored(daemon) >= rows, 200)
        peaks.append(peak(daemon))
        assert rows <= stored(daemon) < rows * 1.01  # each once, and control records
    print(f"{rows} rows, peaks {peaks} MB")
    assert max(peaks) < 128


def stored(daemon):
    return next(float(line.split()[-1]) for line in daemon.get("/metrics").splitlines() if line.startswith("tailwater_topic_records{"))
