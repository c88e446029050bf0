"""Runs the tailwater binary as a user does: a pipeline file, processes, the HTTP API, and the results on disk."""
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

from tests.servers.postgres import free_port

BINARY = os.environ.get("TAILWATER", str(pathlib.Path(__file__).resolve().parents[2] / "build/dev/tailwater"))


PATIENCE = 3  # times the timeout that a machine of its own would need: tests run beside others on two cores


def wait_until(what, condition, timeout=30.0):
    """Waits for a true answer and returns it; fails naming what it waited for."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.02)


class Daemon:
    """One tailwater process."""

    def __init__(self, pipeline, arguments, environment):
        self.pipeline = pipeline
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = pipeline.home / f"daemon-{self.port}.log"
        self.out_path = pipeline.home / f"daemon-{self.port}.out"
        with open(self.out_path, "ab") as out, open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "run", *map(str, pipeline.files), "--listen", f"127.0.0.1:{self.port}", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, env={**os.environ, **environment})

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def source(self, name="shop"):
        return next(s for s in self.status()["pipelines"][0]["sources"] if s["name"] == name)

    def sink(self, name):
        return next(s for s in self.status()["pipelines"][0]["sinks"] if s["name"] == name)

    def answers(self, path="/livez"):
        if self.process.poll() is not None:
            raise AssertionError(f"tailwater ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        try:
            return self.get(path) is not None
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ready(self):
        return self.answers("/readyz")

    def wait_ready(self, timeout=30):
        wait_until("tailwater to be ready", self.ready, timeout)
        return self

    def wait_state(self, state, source="shop", timeout=30):
        def reached():
            if self.process.poll() is not None:
                raise AssertionError(f"tailwater ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            try:
                current = self.source(source)
            except (urllib.error.URLError, ConnectionError, StopIteration):
                return None
            return current if current["state"] == state else None
        return wait_until(f"source {source} to be {state}", reached, timeout)

    def wait_exit(self, timeout=60):
        return self.process.wait(timeout)

    def stop(self, timeout=30):
        """SIGTERM and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class NoServer:
    """For configurations that are judged before any server is asked."""
    TYPE, DATABASE, USER = "postgres", "postgres", "postgres"

    def url(self, database, user):
        return f"postgres://{user}@127.0.0.1:1/{database}"


class Pipeline:
    """A pipeline file and what belongs to it, in a folder of the test's own."""

    def __init__(self, home, server, tables, sinks=None, database=None, user=None, source_options=None,
                 topic_options=None):
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.server = server
        self.copy_path = self.home / "copy.db"
        self.topic_path = self.home / "topic"
        self.database = database or server.DATABASE
        source = {"type": server.TYPE, "url": server.url(self.database, user or server.USER), "tables": list(tables), **(source_options or {})}
        if sinks is None:
            sinks = {"copy": {"type": "sqlite", "path": str(self.copy_path)}}
        topic = topic_options or {}
        if topic.get("type") != "kafka":
            topic = {"type": "local", "path": str(self.topic_path), **topic}
        document = {"version": 1, "pipeline": "shop", "sources": {"shop": source}, "topic": topic, "sinks": sinks}
        self.files = [self.home / "pipeline.yaml"]
        self.files[0].write_text(json.dumps(document, indent=2))  # JSON is YAML

    def start(self, *arguments, **environment):
        return Daemon(self, arguments, environment)

    def command(self, *arguments, timeout=60, **environment):
        """Runs another command of the binary; never raises on its exit code."""
        return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, **environment})

    def catch_up(self, timeout=120, **environment):
        """tailwater run --until-caught-up; raises unless it ends well."""
        with self.start("--until-caught-up", **environment) as daemon:
            code = daemon.wait_exit(timeout)
            assert code == 0, f"exit code {code}:\n{daemon.log()[-4000:]}"
            return daemon

    def topic(self):
        """All records of the topic, as `tailwater tail -o json` prints them."""
        result = self.command("tail", self.files[0], "--from", "beginning", "--no-follow", "-o", "json", timeout=300)
        assert result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    def copy(self, query):
        with sqlite3.connect(f"file:{self.copy_path}?mode=ro", uri=True, timeout=10) as connection:
            try:
                return connection.execute(query).fetchall()
            finally:
                connection.commit()

    def slot_lag(self):
        return self.server.value("select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint "
                                 "from pg_replication_slots where slot_name = 'tailwater_shop__shop'")
