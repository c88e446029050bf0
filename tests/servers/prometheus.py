"""A throwaway Prometheus for tests: Debian's binary (package prometheus) on a free port of 127.0.0.1.

    with PrometheusServer(targets=["127.0.0.1:4680"], rules=["deploy/prometheus/alerts.yaml"]) as prometheus:
        prometheus.query("up")                        # [{"metric": {...}, "value": [time, "1"]}]
        prometheus.query_range("up", since=60)        # what a panel draws

It runs as a child of this process, ends with it, and is stopped by pid; the package's service is not needed."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from tests.servers.child import in_child
from tests.servers.postgres import free_port


def fetch():
    """The binary; who has none is told how to get it."""
    found = shutil.which("prometheus")
    if not found:
        raise RuntimeError("no prometheus: deploy/install-deps.sh --tests installs it, and starts nothing")
    return found


class PrometheusServer:
    def __init__(self, targets, rules=(), interval="1s", job="tailwater"):
        self.binary = fetch()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="tailwater-prometheus-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = self.root / "log"
        self.process = None
        configuration = {"global": {"scrape_interval": interval, "evaluation_interval": interval},
                         "rule_files": [str(pathlib.Path(rule).resolve()) for rule in rules],
                         "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}]}
        (self.root / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML

    def __enter__(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, f"--config.file={self.root / 'prometheus.yml'}", f"--storage.tsdb.path={self.root / 'data'}",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=in_child())
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.url + "/-/ready", timeout=5):
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = self.log_path.read_text(errors="replace")[-3000:]
                    self.__exit__()
                    raise RuntimeError(f"Prometheus did not start:\n{log}") from None
            time.sleep(0.05)

    def __exit__(self, *unused):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def get(self, path, **parameters):
        """The `data` of an answer; raises with Prometheus's own words."""
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode(errors='replace')}") from None

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def query_range(self, expression, since, step=1):
        """Over the last `since` seconds, every `step` seconds."""
        now = time.time()
        return self.get("query_range", query=expression, start=now - since, end=now, step=step)["result"]

    def metric_names(self):
        return set(self.get("label/__name__/values"))
