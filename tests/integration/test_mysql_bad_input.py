"""What can be wrong with a MariaDB or MySQL: each gives a named state or exit code, a message with the remedy, and loses nothing."""
import json
import os
import re
import socket
import struct
import threading
import time

import pytest

from tests.conftest import start_mysql
from tests.servers.mysql import FLAVOURS
from tests.support.daemon import Pipeline, wait_until
from tests.support.live_copy import LiveCopy

HALTED = ("needs_operator", "failed", "gap")


@pytest.fixture
def table(mysql):
    mysql.sql(["create table t (id int primary key, v varchar(20))"])
    return mysql


def until_caught_up(pipeline, timeout=60, **environment):
    with pipeline.start("--until-caught-up", **environment) as daemon:
        return daemon.wait_exit(timeout), daemon.log()


def frontier(pipeline):
    result = pipeline.command("status", pipeline.files[0], "-o", "json")
    return json.loads(result.stdout)["pipelines"][0]["sources"][0].get("frontier")


def halted(live, code):
    """The source has stopped with this code; what it had stands still."""
    def state():
        source = live.daemon.answers() and live.daemon.source()
        return source if source and source["state"] in HALTED and source.get("code") == code else None
    try:
        return wait_until(code, state)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {live.daemon.source()}\n{live.daemon.log()[-2000:]}") from None


# -- settings of the server

@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_server_without_a_log(flavour, tmp_path):
    with start_mysql(flavour, settings={"log_bin": None, **({"skip_log_bin": ""} if flavour == "mysql" else {"gtid_strict_mode": None}),
                                        **({"gtid_mode": None, "enforce_gtid_consistency": None} if flavour == "mysql" else {})}) as server:
        server.sql("create table t (id int primary key)")
        pipeline = Pipeline(tmp_path, server, ["public.t"])
        code, log = until_caught_up(pipeline)
        assert code == 3, log
        assert "mysql_log_off" in log and "log_bin" in log and "restart" in log
        checked = pipeline.command("check", pipeline.files[0])
        assert checked.returncode == 3 and "log_bin" in checked.stdout


@pytest.mark.parametrize("setting, value, code", [("binlog_format", "STATEMENT", "mysql_statement_format"), ("binlog_format", "MIXED", "mysql_statement_format"),
                                                  ("binlog_row_metadata", "MINIMAL", "mysql_metadata_missing")])
def test_settings_of_the_log(table, tmp_path, setting, value, code):
    before = table.value(f"select @@global.{setting}")
    table.sql(f"set global {setting} = {value}")
    try:
        pipeline = Pipeline(tmp_path, table, ["public.t"])
        exit_code, log = until_caught_up(pipeline)
        assert exit_code == 3, log
        assert code in log and re.search(rf"SET (GLOBAL|PERSIST) {setting} = '?{before}", log), log
        checked = pipeline.command("check", pipeline.files[0])
        assert checked.returncode == 3 and re.search(rf"SET (GLOBAL|PERSIST) {setting} = '?{before}", checked.stdout), checked.stdout
    finally:
        table.sql(f"set global {setting} = {before}")
    pipeline.catch_up()  # and nothing else stood in the way


def test_a_statement_in_the_log_in_place_of_its_rows(table, tmp_path):
    """A session that switched the format for itself."""
    with LiveCopy(tmp_path, table) as live:
        table.sql("insert into t values (1, 'row')")
        live.settle()
        table.sql(["set session binlog_format = STATEMENT", "update t set v = 'secret words' where id = 1"])
        table.sql("insert into t values (2, 'behind')")
        status = halted(live, "mysql_statement_format")
        assert "public.t" in status["message"] and "ROW" in status["message"] and "secret words" not in live.daemon.log()
        place = live.daemon.source()["frontier"]
        live.daemon.kill()
        live.daemon = live.pipeline.start()
        halted(live, "mysql_statement_format")
        assert live.daemon.source()["frontier"] == place
        assert [r["key"]["id"] for r in live.records("t")] == [1]


def test_a_statement_that_touches_other_tables_passes(table, tmp_path):
    table.sql("create table other (id int primary key)")
    with LiveCopy(tmp_path, table, ["public.t"]) as live:
        table.sql(["set session binlog_format = STATEMENT", "insert into other values (1)", "delete from other"])
        table.sql("insert into t values (1, 'x')")
        live.settle()
        live.wait_equal("t")


@pytest.mark.parametrize("after", ["idle", "rotated"])
def test_a_log_that_is_reset_while_it_is_read(table, tmp_path, after):
    """The server tells the dump nothing. What is written then bears names that were read already, and comes by no dump, or from the second file on."""
    with LiveCopy(tmp_path, table) as live:
        table.sql("insert into t values (1, 'x')")
        live.settle()
        time.sleep(1.1)  # files of one name are told apart by the second in which they were begun
        table.sql("reset master" if table.is_mariadb else "reset binary logs and gtids")
        table.sql("insert into t values (2, 'y')")
        if after == "rotated":
            table.sql([*(f"insert into t values ({number}, 'y')" for number in range(3, 20)), "flush binary logs", "insert into t values (20, 'y')"])
        halted(live, "mysql_log_reset")
        assert [r["key"]["id"] for r in live.records("t")] == [1]
        live.daemon.kill()
        table.sql([f"insert into t values ({number}, 'z')" for number in range(30, 50)])  # by now it has every number that was read
        live.daemon = live.pipeline.start()
        halted(live, "mysql_log_reset")


# -- who may do what

def reader(server, *privileges, password="right"):
    server.sql(["drop user if exists reader@'%'", f"create user reader@'%' identified by '{password}'"])
    for privilege in privileges:
        server.sql(f"grant {privilege} to reader@'%'")


def as_reader(home, server, password="right", **options):
    return Pipeline(home, server, ["public.t"], user="reader", source_options={"password": password, **options})


def test_each_missing_privilege_is_named_with_its_grant(table, tmp_path):
    client = "binlog monitor" if table.is_mariadb else "replication client"
    all_of = ["replication slave on *.*", f"{client} on *.*", "select on public.*"]
    for missing, words in [(0, "REPLICATION SLAVE"), (1, "BINLOG MONITOR|REPLICATION CLIENT"), (2, "SELECT")]:
        reader(table, *[grant for number, grant in enumerate(all_of) if number != missing])
        pipeline = as_reader(tmp_path / str(missing), table)
        code, log = until_caught_up(pipeline)
        assert code == 3, (all_of[missing], log)
        checked = pipeline.command("check", pipeline.files[0])
        assert checked.returncode == 3
        assert re.search(rf"GRANT .*({words}).* TO .*reader", checked.stdout + log, re.I), (checked.stdout, log)
    reader(table, *all_of)
    pipeline = as_reader(tmp_path / "all", table)
    pipeline.catch_up()
    assert pipeline.command("check", pipeline.files[0]).returncode == 0


def test_wrong_password_needs_an_operator_and_heals(table, tmp_path):
    reader(table, "replication slave on *.*", "replication client on *.*", "select on public.*")
    secret = tmp_path / "secret"
    secret.write_text("n0tTheOne\n")
    pipeline = as_reader(tmp_path / "p", table, "${file:%s}" % secret)
    code, log = until_caught_up(pipeline)
    assert code == 3, log
    assert "mysql_login_failed" in log and "n0tTheOne" not in log
    secret.write_text("right\n")
    code, log = until_caught_up(pipeline)
    assert code == 0, log


@pytest.mark.parametrize("mysql_of_module", ["mysql"], indirect=True)
def test_no_password_goes_to_whoever_answers(table, tmp_path):
    """A full caching_sha2 login without TLS would hand it over; TLS, or the server's key in a file, does not."""
    reader(table, "replication slave on *.*", "replication client on *.*", "select on public.*")
    plain = as_reader(tmp_path / "plain", table, tls={"mode": "disable"})
    code, log = until_caught_up(plain)
    assert code == 3 and "mysql_insecure_login" in log and "tls.mode" in log, log
    public_key = tmp_path / "server.pem"
    with open(os.path.join(table.data, "public_key.pem")) as key:
        public_key.write_text(key.read())
    pinned = as_reader(tmp_path / "pinned", table, tls={"mode": "disable"}, server_public_key=str(public_key))
    pinned.catch_up()
    table.sql("flush privileges")  # empties the cache of logins
    secure = as_reader(tmp_path / "secure", table, tls={"mode": "require"})
    secure.catch_up()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_certificates(flavour, tmp_path):
    with start_mysql(flavour, tls=True) as server:
        server.sql("create table t (id int primary key)")
        reader(server, "replication slave on *.*", "replication client on *.*", "select on public.*")
        server.sql("alter user reader@'%' require ssl")
        ca = tmp_path / "ca.pem"
        ca.write_text(open(server.certificates.ca).read())
        as_reader(tmp_path / "right", server, tls={"mode": "verify-full", "ca": str(ca)}).catch_up()
        own = tmp_path / "own.pem"
        server.certificates._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key"), "-out", str(own), "-subj", "/CN=another")
        code, log = until_caught_up(as_reader(tmp_path / "wrong", server, tls={"mode": "verify-full", "ca": str(own)}))
        assert code == 3 and "mysql_tls_failed" in log, log


def test_two_readers_under_one_id(table, tmp_path):
    with LiveCopy(tmp_path / "one", table, source_options={"server_id": 4711}) as one:
        two = Pipeline(tmp_path / "two", table, ["public.t"], source_options={"server_id": 4711, "snapshot": {"mode": "never"}})
        with two.start() as second:
            def named():
                sources = [one.daemon.source(), second.source()] if second.answers() else []
                return [s for s in sources if s.get("code") == "mysql_server_id_taken"]
            status = wait_until("the clash to be named", named)[0]
            assert "server_id" in status["message"]


# -- the server comes and goes

def test_unreachable_server_is_retried_and_named(tmp_path):
    with start_mysql("mariadb") as server:
        server.sql("create table t (id int primary key)")
        pipeline = Pipeline(tmp_path, server, ["public.t"])
        server.stop()
        with pipeline.start() as daemon:
            state = wait_until("the error", lambda: daemon.answers() and daemon.source()["state"] == "retrying" and daemon.source())
            assert state["code"] == "mysql_unreachable" and str(server.port) in state["message"]
            server.start()
            daemon.wait_state("streaming", timeout=60)


class Spoiler(threading.Thread):
    """A proxy in front of a server that spoils one byte of what passes from the server, once, in the packet that holds `mark`."""

    def __init__(self, port, mark, cut=False):
        super().__init__(daemon=True)
        self.target, self.mark, self.cut, self.armed = port, mark, cut, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, True), daemon=True).start()

    def pump(self, source, target, spoil):
        try:
            while data := source.recv(1 << 16):
                at = data.find(self.mark) if spoil and self.armed else -1
                if at >= 0:
                    self.armed = False
                    if self.cut:
                        target.sendall(data[:at])
                        break
                    data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.listener.close()


class OnRegistration(Spoiler):
    """Does something in front of each COM_REGISTER_SLAVE, which the dump follows."""

    def __init__(self, port, act):
        super().__init__(port, b"")
        self.act, self.switched = act, 0

    def pump(self, source, target, from_server):
        if not from_server:
            source = Watched(source, self)
        super().pump(source, target, False)

    def sees(self, data):
        if len(data) > 5 and data[3] == 0 and data[4] == 0x15:
            self.switched += 1
            self.act()


class Watched:
    def __init__(self, end, proxy):
        self.end, self.proxy = end, proxy

    def recv(self, size):
        data = self.end.recv(size)
        self.proxy.sees(data)
        return data

    def shutdown(self, how):
        self.end.shutdown(how)


class Through:
    """A server, reached by another port."""

    def __init__(self, server, port):
        self.server, self.through = server, port

    def __getattr__(self, name):
        return getattr(self.server, name)

    def url(self, database, user):
        return f"mysql://{user}@127.0.0.1:{self.through}/{database}"


@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
def test_a_log_that_is_damaged_on_its_way(table, tmp_path, cut):
    """A flipped byte is found by its checksum, a cut connection is opened anew; nothing wrong is published, and it goes on by itself."""
    with Spoiler(table.port, b"spoiled mark", cut) as proxy:
        with LiveCopy(tmp_path, Through(table, proxy.port), source_options={"tls": {"mode": "disable"}}) as live:
            table.sql("insert into t values (1, 'before')")
            live.settle()
            table.sql("insert into t values (2, 'spoiled mark')")
            table.sql("insert into t values (3, 'behind')")
            if not cut:
                wait_until("the checksum to be named", lambda: "mysql_checksum" in live.daemon.log())
                if live.daemon.source()["state"] in HALTED:
                    assert [r["key"]["id"] for r in live.records("t")] == [1]
                    live.daemon.kill()
                    live.start()
            live.settle()
            live.wait_equal("t")
            live.ids_are_unique()


def test_garbled_events_halt_in_front_of_them(table, tmp_path):
    """Without checksums nobody but the decoder can see it: a length that leads out of its event."""
    table.sql("set global binlog_checksum = NONE")
    try:
        # A varchar's length byte in front of its text: one more than there is.
        with Spoiler(table.port, struct.pack("<B", 12) + b"spoiled mark") as proxy:
            with LiveCopy(tmp_path, Through(table, proxy.port), source_options={"tls": {"mode": "disable"}}) as live:
                table.sql("insert into t values (1, 'before')")
                live.settle()
                place = live.daemon.source()["frontier"]
                table.sql("insert into t values (2, 'spoiled mark')")
                status = wait_until("the halt", lambda: live.daemon.source()["state"] in ("failed", "retrying") and live.daemon.source())
                if status["state"] == "failed":
                    assert status["code"] in ("mysql_value_malformed", "mysql_event_malformed"), status
                assert live.daemon.source()["frontier"] == place or status["state"] == "retrying"
                assert [r["key"]["id"] for r in live.records("t")] in ([1], [1, 2])
                live.daemon.kill()
                live.start()
                live.settle()
                live.wait_equal("t")
    finally:
        table.sql("set global binlog_checksum = CRC32")


# -- odd, and no trouble

def test_what_is_prepared_and_not_decided_is_named(table, tmp_path):
    table.sql("insert into t values (0, 'before')")
    pipeline = Pipeline(tmp_path, table, ["public.t"])
    pipeline.catch_up()
    table.sql(["xa start 'two phases'", "insert into t values (1, 'x')", "xa end 'two phases'", "xa prepare 'two phases'"])
    with pipeline.start("--until-caught-up") if not table.is_mariadb else pipeline.start() as daemon:
        line = wait_until("the transaction to be named", lambda: [line for line in daemon.log().splitlines() if "XA RECOVER" in line])
        assert "X'74776f20706861736573'" in line[0], line  # as XA COMMIT takes it
        assert daemon.process.poll() is None
        table.sql("xa commit 'two phases'")
        if not table.is_mariadb:
            assert daemon.wait_exit(60) == 0, daemon.log()[-3000:]
        wait_until("the row", lambda: pipeline.copy("select id from t order by id") == [(0,), (1,)])
        assert len([line for line in daemon.log().splitlines() if "XA RECOVER" in line]) == 1


def test_checksums_that_are_switched(table, tmp_path):
    """While the log is read, and between the moment when we say what we take and the dump."""
    with LiveCopy(tmp_path / "live", table) as live:
        for number, kind in enumerate(("NONE", "CRC32")):
            table.sql([f"set global binlog_checksum = {kind}", f"insert into t values ({number}, 'x')"])
            live.settle()
            live.wait_equal("t")
        assert " warn " not in live.daemon.log() and " error " not in live.daemon.log(), live.daemon.log()
    for before, after in (("CRC32", "NONE"), ("NONE", "CRC32")):
        table.sql(f"set global binlog_checksum = {before}")
        with OnRegistration(table.port, lambda: table.sql(f"set global binlog_checksum = {after}")) as proxy:
            pipeline = Pipeline(tmp_path / before, Through(table, proxy.port), ["public.t"], source_options={"tls": {"mode": "disable"}})
            table.sql("insert into t select 10 + count(*), 'y' from t")
            pipeline.catch_up()
            assert proxy.switched
            assert len(pipeline.copy("select id from t")) == table.value("select count(*) from t")

def test_a_clock_in_the_past(table, tmp_path):
    """A session may set its time: neither order nor lag depends on it."""
    with LiveCopy(tmp_path, table) as live:
        table.sql("insert into t values (1, 'now')")
        table.sql(["set timestamp = 1000000000", "insert into t values (2, 'in 2001')"])
        table.sql(["set timestamp = 2000000000", "insert into t values (3, 'in 2033')"])
        live.settle()
        live.wait_equal("t")
        assert [r["key"]["id"] for r in live.records("t")] == [1, 2, 3]
        wait_until("no lag", lambda: re.search(r"tailwater_source_lag_seconds\{[^}]*\} 0(\.\d+)?\n", live.daemon.get("/metrics")))


def test_statements_with_secrets_leave_no_trace(table, tmp_path):
    with LiveCopy(tmp_path, table) as live:
        table.sql(["create user if not exists somebody identified by 'hunter2 is secret'", "drop user somebody"])
        live.settle()
        assert "hunter2" not in live.daemon.log() and "hunter2" not in str(live.pipeline.topic())


def test_a_table_that_is_missing(mysql, tmp_path):
    pipeline = Pipeline(tmp_path, mysql, ["public.missing"])
    code, log = until_caught_up(pipeline)
    assert code == 3 and "mysql_table_missing" in log and "public.missing" in log, log
