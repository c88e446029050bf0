#!/usr/bin/python3
"""Throwaway ClickHouse servers for tests, each on a free port of 127.0.0.1. There are two, and neither is a whole ClickHouse of today:

    engine_behind_http   the engine of ClickHouse 26 (chdb) behind our own HTTP interface: clickhouse_engine.py says what of it is real
    server_18_16         a real server of other people's making, Debian's, of 2018: no deleted flag in ReplacingMergeTree, no DateTime64,
                         no Bool, no deduplication tokens

    with ClickHouseServer("engine_behind_http") as clickhouse:
        clickhouse.rows("select 1, null")                       # [("1", None)]
        clickhouse.url                                          # http://127.0.0.1:PORT

Fetched by pip or apt-get on first use and kept in $TW_CACHE (default ~/.cache/tailwater). They are children of this process, end with
it, and are stopped by pid. `users` ({name: password}) and `tls` ((certificate, key) of files; url is https:// then) are for
server_18_16.

As a program:
    clickhouse.py fetch [FLAVOUR ...]
    clickhouse.py run [--flavour FLAVOUR]    prints one JSON line per state, obeys stop, start, restart, kill, pause, resume and quit on
                                             stdin, ends when it closes
"""
import argparse
import fcntl
import glob
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.servers.child import ChildServer, in_child, serve, text_of  # noqa: E402
from tests.servers.postgres import cache_dir, free_port  # noqa: E402

ENGINE_VERSION = "26.9.0"
FLAVOURS = ("engine_behind_http", "server_18_16")
DEFAULT_FLAVOUR = FLAVOURS[0]
ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "0": "\0"}


def fetch(flavour=DEFAULT_FLAVOUR):
    """The folder with the flavour's files, fetched if need be."""
    home = os.path.join(cache_dir(), {"engine_behind_http": f"chdb-core-{ENGINE_VERSION}", "server_18_16": "clickhouse-18.16"}[flavour])
    done = os.path.join(home, ".complete")
    if os.path.exists(done):
        return home
    os.makedirs(cache_dir(), exist_ok=True)
    with open(home + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(done):
            return home
        shutil.rmtree(home, ignore_errors=True)
        if flavour == "engine_behind_http":
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", home,
                            f"chdb-core=={ENGINE_VERSION}"], check=True, stdout=sys.stderr)
        else:
            fetch_packages(home)
        open(done, "w").close()
    return home


def fetch_packages(home):
    """Debian's packages, unpacked beside each other and not installed."""
    packages = os.path.join(home, "packages")
    os.makedirs(packages)
    plan = subprocess.run(["apt-get", "install", "-s", "--no-install-recommends", "clickhouse-server", "clickhouse-common"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    if not names:
        raise RuntimeError("apt knows no clickhouse-server: apt-get update first")
    subprocess.run(["apt-get", "download", *names], check=True, cwd=packages, stdout=sys.stderr)
    for package in glob.glob(packages + "/*.deb"):
        subprocess.run(["dpkg", "-x", package, os.path.join(home, "root")], check=True)
    shutil.rmtree(packages)


def unescape(text):
    """A field of TabSeparated."""
    if text == "\\N":
        return None
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL) if "\\" in text else text


class ClickHouseServer(ChildServer):
    def __init__(self, flavour=DEFAULT_FLAVOUR, users=None, tls=None, settings=""):
        """`settings`: XML for the profile of server_18_16."""
        self.flavour = flavour
        self.home = fetch(flavour)
        self.root = tempfile.mkdtemp(prefix="tailwater-clickhouse-")
        self.log_path = os.path.join(self.root, "log")
        self.port = free_port()
        self.users = users
        self.tls = tls
        self.settings = settings
        self.process = None
        self.user = next(iter((users or {"": ""}).items()))

    # -- life cycle

    def start(self, timeout=60):
        environment = dict(os.environ)
        if self.flavour == "engine_behind_http":
            environment["PYTHONPATH"] = self.home
            arguments = [sys.executable, str(pathlib.Path(__file__).resolve().with_name("clickhouse_engine.py")), str(self.port), self.root]
        else:
            base = os.path.join(self.home, "root")
            environment["LD_LIBRARY_PATH"] = f"{base}/usr/lib/x86_64-linux-gnu:{base}/lib/x86_64-linux-gnu"
            arguments = [f"{base}/usr/sbin/clickhouse-server", "--config-file=" + self.configure()]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.root, env=environment,
                                            preexec_fn=in_child())
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self._open("/ping").read() == b"Ok.\n":
                    return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.flavour} did not start:\n{self.log()[-4000:]}")

    def configure(self):
        """The files of server_18_16."""
        root, users = self.root, self.users or {"default": ""}
        os.makedirs(os.path.join(root, "data"), exist_ok=True)
        ports = f"<http_port>{self.port}</http_port>"
        if self.tls:
            ports = (f"<https_port>{self.port}</https_port><openSSL><server><certificateFile>{self.tls[0]}</certificateFile>"
                     f"<privateKeyFile>{self.tls[1]}</privateKeyFile><verificationMode>none</verificationMode>"
                     "<cacheSessions>true</cacheSessions><disableProtocols>sslv2,sslv3</disableProtocols></server></openSSL>")
        path = os.path.join(root, "config.xml")
        with open(path, "w") as file:
            file.write(f"<yandex><logger><level>warning</level><log>{root}/server.log</log><errorlog>{root}/server.err.log</errorlog></logger>"
                       f"<listen_host>127.0.0.1</listen_host>{ports}<tcp_port>{free_port()}</tcp_port>"
                       f"<interserver_http_port>{free_port()}</interserver_http_port><path>{root}/data/</path><tmp_path>{root}/tmp/</tmp_path>"
                       f"<mark_cache_size>67108864</mark_cache_size><users_config>{root}/users.xml</users_config>"
                       "<default_profile>default</default_profile><default_database>default</default_database>"
                       "<timezone>UTC</timezone></yandex>")
        entries = "".join(f"<{name}><password>{password}</password><networks><ip>::/0</ip></networks><profile>default</profile>"
                          f"<quota>default</quota></{name}>" for name, password in users.items())
        with open(os.path.join(root, "users.xml"), "w") as file:
            file.write(f"<yandex><profiles><default>{self.settings}</default></profiles><quotas><default/></quotas><users>{entries}</users></yandex>")
        return path

    # -- talking to it

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _open(self, path, data=None, timeout=300):
        context = ssl._create_unverified_context() if self.tls else None
        headers = {"X-ClickHouse-User": self.user[0], "X-ClickHouse-Key": self.user[1]} if self.user[0] else {}
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=timeout, context=context)

    def execute(self, statement, data=None, **settings):
        """The answer's bytes; raises with the server's words. With `data` it stands behind the statement."""
        parameters = urllib.parse.urlencode({"wait_end_of_query": 1, **settings, **({"query": statement} if data is not None else {})})
        try:
            with self._open("/?" + parameters, statement.encode() if data is None else data) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{statement[:200]}: {error.code} {error.read().decode(errors='replace')[:1000]}") from None

    def rows(self, query):
        """Tuples of texts, and None for NULL."""
        text = self.execute(query + " FORMAT TabSeparated").decode("utf-8", "surrogateescape")
        return [tuple(map(unescape, line.split("\t"))) for line in text.split("\n")[:-1]]

    def value(self, query):
        return self.rows(query)[0][0]

    def tables(self, database="default"):
        return {name for name, in self.rows(f"select name from system.tables where database = '{database}'")}

    def log(self):
        return text_of(self.log_path) + text_of(self.root + "/server.err.log")


def run(arguments):
    server = ClickHouseServer(arguments.flavour)

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
    running.add_argument("--flavour", choices=FLAVOURS, default=DEFAULT_FLAVOUR)
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        for flavour in arguments.flavours or FLAVOURS:
            print(flavour, fetch(flavour))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
