#!/usr/bin/python3
"""Throwaway search servers for tests: one node of OpenSearch 2.19 or Elasticsearch 7.10, on a free port of 127.0.0.1.

    with OpenSearchServer() as search:
        search.request("PUT", "/orders", {"settings": {"number_of_replicas": 0}})     # (200, {...})
        search.url                                                                     # http://127.0.0.1:PORT

The libraries come from Maven on first use and stay in $TW_CACHE (default ~/.cache/tailwater). Needs: java and javac 17, maven.
A node starts in about 6 s and takes 440 MB. It is a child of this process, ends with it, and is stopped by pid.

As a program:
    opensearch.py fetch [opensearch] [elasticsearch]
    opensearch.py run [--flavour elasticsearch]    prints one JSON line per state, obeys stop, start, restart, kill, pause, resume
                                                   and quit on stdin, ends when it closes
"""
import argparse
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.servers.child import ChildServer, in_child, serve, text_of  # noqa: E402
from tests.servers.postgres import cache_dir, free_port  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "opensearch"
# Main class, what its libraries are, and the folder in the cache.
FLAVOURS = {
    "opensearch": ("OpenSearchMain", "pom.xml", "opensearch-2.19.1"),
    "elasticsearch": ("ElasticsearchMain", "elasticsearch-pom.xml", "elasticsearch-7.10.2"),
}


def fetch(flavour="opensearch"):
    """The folder with the libraries in lib/ and the compiled main class, downloaded if need be."""
    main, pom, folder = FLAVOURS[flavour]
    home = os.path.join(cache_dir(), folder)
    source = (HERE / f"{main}.java").read_bytes()
    compiled = os.path.join(home, f"{main}.java")

    def is_ready():
        try:
            return pathlib.Path(compiled).read_bytes() == source
        except OSError:
            return False

    if is_ready():
        return home
    os.makedirs(cache_dir(), exist_ok=True)
    with open(home + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_ready():
            return home
        libraries = os.path.join(home, "lib")
        if not os.path.exists(libraries):
            partial = libraries + ".partial"
            shutil.rmtree(partial, ignore_errors=True)
            subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / pom), "dependency:copy-dependencies", "-DincludeScope=runtime",
                            f"-DoutputDirectory={partial}"], check=True, cwd="/", stdout=sys.stderr)
            os.rename(partial, libraries)
        subprocess.run(["javac", "-proc:none", "-nowarn", "-cp", libraries + "/*", "-d", os.path.join(home, "classes"), str(HERE / f"{main}.java")],
                       check=True, stdout=sys.stderr)
        pathlib.Path(compiled).write_bytes(source)
    return home


class OpenSearchServer(ChildServer):
    def __init__(self, flavour="opensearch", settings=None):
        """`settings`: of the node, for example {"action.auto_create_index": "false"}."""
        self.flavour = flavour
        self.settings = dict(settings or {})
        self.home = fetch(flavour)
        self.root = tempfile.mkdtemp(prefix=f"tailwater-{flavour}-")
        self.log_path = os.path.join(self.root, "log")
        self.port = free_port()
        self.process = None

    # -- life cycle

    def start(self, timeout=120):
        arguments = ["java", "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + self.root]
        arguments += [f"-Dtw.set.{name}={value}" for name, value in self.settings.items()]
        arguments += ["-cp", f"{self.home}/classes:{self.home}/lib/*", FLAVOURS[self.flavour][0], os.path.join(self.root, "data"),
                      str(self.port), str(free_port())]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.root, preexec_fn=in_child())
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                status, health = self.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
                if status == 200 and not health["timed_out"]:
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{self.flavour} did not start:\n{self.log()[-4000:]}")

    # -- talking to it

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, timeout=60):
        """(status, what the JSON says)."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def call(self, method, path, body=None):
        status, answer = self.request(method, path, body)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def documents(self, index):
        """{_id: _source} of all that a search finds; nothing if there is no such index."""
        status, _ = self.request("POST", f"/{index}/_refresh")
        if status == 404:
            return {}
        found = {}
        answer = self.call("POST", f"/{index}/_search?scroll=1m", {"size": 5000, "sort": ["_doc"]})
        while answer["hits"]["hits"]:
            for hit in answer["hits"]["hits"]:
                found[hit["_id"]] = hit["_source"]
            answer = self.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": answer["_scroll_id"]})
        self.call("DELETE", "/_search/scroll", {"scroll_id": answer["_scroll_id"]})
        return found

    def log(self):
        return text_of(self.log_path)


def run(arguments):
    server = OpenSearchServer(arguments.flavour, dict(pair.split("=", 1) for pair in arguments.set))

    def pause(_):
        server.pause()
        return "paused"

    serve(server, lambda: {"flavour": server.flavour, "port": server.port, "url": server.url, "log": server.log_path},
          kill=lambda _: server.kill(), pause=pause, resume=lambda _: server.resume())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch")
    fetching.add_argument("flavours", nargs="*")
    running = commands.add_parser("run")
    running.add_argument("--flavour", choices=FLAVOURS, default="opensearch")
    running.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        for flavour in arguments.flavours or FLAVOURS:
            print(flavour, fetch(flavour))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
