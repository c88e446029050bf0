"""A server that speaks TLS: verified by its own authority, refused with a wrong one, never quietly unverified."""
import os
import shutil
import subprocess

import pytest

from tests.conftest import start_server
from tests.servers.postgres import server_user
from tests.support.daemon import Pipeline, wait_until
from tests.support.postgres_copy import PostgresCopy


def make_certificate(folder, name):
    """A self-signed certificate for 127.0.0.1; its own authority."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


@pytest.fixture
def tls_server(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed: no certificate can be made")
    folder = tmp_path / "tls"
    folder.mkdir(mode=0o755)
    make_certificate(folder, "server")
    make_certificate(folder, "other")
    for parent in [folder, *folder.parents]:
        if str(parent) != "/" and parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    os.chmod(folder / "server.key", 0o600)
    user = server_user()
    if user:
        os.chown(folder / "server.key", user.pw_uid, user.pw_gid)
    with start_server(settings={"ssl": "on", "ssl_cert_file": str(folder / "server.crt"), "ssl_key_file": str(folder / "server.key")},
                      hba=["local all all trust", "host all postgres 127.0.0.1/32 trust", "hostssl all all 127.0.0.1/32 trust"]) as server:
        server.sql("create role reader login replication; create table t (id int primary key); alter table t owner to reader; "
                   "grant create on database postgres to reader")
        server.folder = folder
        yield server


def test_a_verified_session_streams(tls_server, tmp_path):
    pipeline = Pipeline(tmp_path / "p", tls_server, ["public.t"], user="reader",
                        source_options={"tls": {"mode": "verify-full", "ca": str(tls_server.folder / "server.crt")}})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        used = tls_server.sql("select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'reader'")
        assert used == [(True,)]
        tls_server.sql("insert into t select generate_series(1, 20000)")
        assert daemon.stop() == 0
    pipeline.catch_up()
    assert pipeline.copy("select count(*) from t") == [(20000,)]


def test_a_certificate_of_somebody_else_is_refused(tls_server, tmp_path):
    pipeline = Pipeline(tmp_path / "p", tls_server, ["public.t"], user="reader",
                        source_options={"tls": {"mode": "verify-full", "ca": str(tls_server.folder / "other.crt")}})
    with pipeline.start("--until-caught-up") as daemon:
        assert daemon.wait_exit(30) == 3
        assert "certificate" in daemon.log()
    assert tls_server.value("select count(*) from pg_replication_slots") == 0


def test_a_target_is_verified_too(server, tls_server, tmp_path):
    server.sql("create table t (id int primary key); insert into t select generate_series(1, 20000)")
    target, wrong = PostgresCopy(tls_server), PostgresCopy(tls_server, "wrong")
    pipeline = Pipeline(tmp_path / "p", server, ["public.t"], sinks={
        "copy": target.sink(tls={"mode": "verify-full", "ca": str(tls_server.folder / "server.crt")}),
        "wrong": wrong.sink(tls={"mode": "verify-full", "ca": str(tls_server.folder / "other.crt")})})
    with pipeline.start() as daemon:
        daemon.wait_state("streaming")
        wait_until("all rows", lambda: target.difference(server, "t", ["id"]) == "")
        assert tls_server.sql("select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name like 'tailwater %/copy'") == [(True,)]
        refused = wait_until("it to be refused", lambda: daemon.sink("wrong").get("code") == "pg_tls_failed" and daemon.sink("wrong"))
        assert refused["state"] == "waiting_operator" and "certificate" in refused["message"]
        assert not wrong.has("t")
        assert daemon.stop() == 0
