"""Endpoints that lie, stall and flood: nothing is lost, memory stays flat, nobody else waits, and an honest endpoint gets everything."""
import pathlib
import re
import subprocess

import pytest

from tests.receivers import hostile
from tests.receivers.libraries import python_libraries
from tests.receivers.receiver import SECRET, Receiver, server_context
from tests.support.daemon import NoServer, Pipeline, wait_until

TABLE = "create table orders (id int primary key, note text)"
SHORT = {"connect": "500ms", "first_byte": "700ms", "total": "1s"}


@pytest.fixture(autouse=True)
def libraries():
    try:
        python_libraries()
    except Exception as error:
        pytest.skip(f"the libraries that receivers verify with cannot be had: {error}")


def hook(url, **more):
    return {"type": "webhook", "url": url, "secret": SECRET, "allow_addresses": ["127.0.0.1"], "timeouts": SHORT, "in_flight": 8,
            "retry": {"initial": "50ms", "max": "200ms"}, "breaker": {"failures": 5, "pause": "100ms"}, **more}


def resident_kilobytes(daemon):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


@pytest.mark.parametrize("behaviour,code", [
    (hostile.slow_loris, "http_timeout"),
    (hostile.endless_body, "webhook_"),
    (hostile.endless_headers, "http_"),
    (hostile.garbage, "http_reply_malformed"),
    (hostile.reset_before_the_reply, "http_reset"),
    (hostile.reset_in_mid_body, ""),
    (hostile.flood_of_1xx, "http_"),
    (hostile.redirect_to_metadata, "webhook_"),
    (hostile.closes_at_once, "http_reset"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_harm_is_named_survived_and_nothing_is_lost(server, tmp_path, behaviour, code):
    server.sql(TABLE)
    with hostile.HostileServer(behaviour) as bad:
        pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={
            "hook": hook(bad.url), "copy": {"type": "sqlite", "path": str(tmp_path / "copy.db")}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            memory = resident_kilobytes(daemon)
            server.sql("insert into orders select g, 'x' from generate_series(1, 50) g")
            if behaviour is hostile.reset_in_mid_body:  # the status line said 200: either answer is right, losing it is not
                wait_until("a request", lambda: bad.requests >= 1)
            else:
                sink = wait_until("the failure", lambda: daemon.sink("hook")["state"] in ("retrying", "waiting_operator") and daemon.sink("hook"))
                assert code in sink["code"], sink
            wait_until("the other sink", lambda: daemon.sink("copy").get("lag_records") == 0)
            wait_until("the slot", lambda: pipeline.slot_lag() < 100_000)
            assert resident_kilobytes(daemon) < memory + 24 * 1024
            requests = bad.requests
            wait_until("more tries", lambda: behaviour in (hostile.reset_in_mid_body, hostile.redirect_to_metadata) or bad.requests > requests)
            bad.stop()
            daemon.kill()
        with Receiver(port=bad.port) as receiver, pipeline.start() as daemon:  # a restart: no need to sit out the slow probes
            wait_until("everything", lambda: behaviour is hostile.reset_in_mid_body and daemon.answers()
                       and daemon.sink("hook").get("lag_records") == 0 or len(set(receiver.ids())) == 50, 60)
            assert receiver.refused == []
            assert daemon.sink("hook")["dead_stored"] == 0


def test_a_connect_that_hangs_is_given_up_and_named(server, tmp_path):
    server.sql(TABLE)
    hole = hostile.BlackHole()
    try:
        pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={"hook": hook(hole.url)})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into orders values (1, 'x')")
            sink = wait_until("the failure", lambda: daemon.sink("hook")["state"] == "retrying" and daemon.sink("hook"))
            assert sink["code"] in ("http_timeout", "http_connect_failed"), sink
    finally:
        hole.stop()


# ---------------------------------------------------------------------------------------------------------------------- TLS

def authority(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=test authority",
                    "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
                   check=True, capture_output=True)


def certificate(folder, name, subject="127.0.0.1", expired=False):
    """Signed by the folder's authority."""
    host = f"IP:{subject}" if re.fullmatch(r"[\d.]+", subject) else f"DNS:{subject}"
    (folder / "index.txt").write_text("")
    (folder / "index.txt.attr").write_text("unique_subject = no\n")
    (folder / "serial").write_text("%02X\n" % (abs(hash(name)) % 200 + 16))
    (folder / "ca.cnf").write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index.txt\nserial = {folder}/serial\nnew_certs_dir = {folder}\n"
                                   f"default_md = sha256\npolicy = p\nx509_extensions = e\n[p]\ncommonName = supplied\n[e]\nsubjectAltName = {host}\n")
    subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / f"{name}.key",
                    "-out", folder / f"{name}.csr", "-subj", f"/CN={subject}"], check=True, capture_output=True)
    dates = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"] if expired else ["-days", "2"]
    subprocess.run(["openssl", "ca", "-batch", "-config", folder / "ca.cnf", "-cert", folder / "ca.crt", "-keyfile", folder / "ca.key",
                    "-in", folder / f"{name}.csr", "-out", folder / f"{name}.crt", "-notext", *dates], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority(folder)
    certificate(folder, "good")
    certificate(folder, "expired", expired=True)
    certificate(folder, "stranger", subject="other.example")
    certificate(folder, "client", subject="tailwater")
    other = folder / "other"
    other.mkdir()
    authority(other)
    certificate(other, "foreign")
    return folder


@pytest.mark.parametrize("name,words", [("expired", "expired"), ("stranger", "127.0.0.1"), ("other/foreign", "issuer|authority|self"), ("good", None)])
def test_tls_is_verified_fully(server, tmp_path, certificates, name, words):
    server.sql(TABLE)
    context = server_context(certificates / f"{name}.crt", certificates / f"{name}.key")
    with Receiver(tls=context) as receiver:
        pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={"hook": hook(receiver.url, ca_file=str(certificates / "ca.crt"))})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into orders values (1, 'secret note')")
            if words:
                sink = wait_until("the refusal", lambda: daemon.sink("hook")["state"] == "waiting_operator" and daemon.sink("hook"))
                assert sink["code"] == "http_tls_failed" and re.search(words, sink["message"], re.I), sink
                assert receiver.tries == [] and receiver.refused == []
            else:
                wait_until("the call", lambda: len(receiver.taken) == 1)


def test_a_client_certificate_is_shown(server, tmp_path, certificates):
    server.sql(TABLE)
    context = server_context(certificates / "good.crt", certificates / "good.key", client_ca=certificates / "ca.crt")
    with Receiver(tls=context) as receiver:
        own = {"ca_file": str(certificates / "ca.crt"), "certificate_file": str(certificates / "client.crt"),
               "key_file": str(certificates / "client.key")}
        pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={
            "with": hook(receiver.url, **own), "without": hook(receiver.url, ca_file=own["ca_file"])})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sinks", lambda: all(daemon.sink(name)["state"] == "running" for name in ("with", "without")))
            server.sql("insert into orders values (1, 'x')")
            wait_until("the call", lambda: len(receiver.taken) == 1)
            wait_until("the other", lambda: daemon.sink("without")["state"] in ("retrying", "waiting_operator"))
        assert len(receiver.tries) == 1


# ---------------------------------------------------------------------------------------------------------------------- addresses

@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://10.1.2.3/", "http://169.254.169.254/latest/", "http://[::1]/", "http://0x7f.1/",
                                 "http://2130706433/", "http://[::ffff:10.0.0.1]/", "http://192.168.0.1/"])
def test_a_private_address_is_refused_when_the_file_is_read(tmp_path, url):
    pipeline = Pipeline(tmp_path, NoServer(), ["public.orders"], sinks={"hook": {"type": "webhook", "url": url, "secret": SECRET}})
    result = pipeline.command("validate", pipeline.files[0])
    assert result.returncode == 2 and "allow_addresses" in result.stderr, result.stdout + result.stderr


def test_a_name_that_leads_to_a_private_address_is_refused_at_connect(server, tmp_path):
    server.sql(TABLE)
    with Receiver() as receiver:
        pipeline = Pipeline(tmp_path, server, ["public.orders"], sinks={
            "hook": {"type": "webhook", "url": f"http://localhost:{receiver.port}/", "secret": SECRET}})
        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the sink", lambda: daemon.sink("hook")["state"] == "running")
            server.sql("insert into orders values (1, 'x')")
            sink = wait_until("the refusal", lambda: daemon.sink("hook")["state"] == "waiting_operator" and daemon.sink("hook"))
            assert sink["code"] == "http_address_refused" and "allow_addresses" in sink["message"]
        assert receiver.connections == 0
