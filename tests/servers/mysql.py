#!/usr/bin/python3
"""Throwaway MariaDB and MySQL servers for tests, each on a free port of 127.0.0.1.

    with MysqlServer("mariadb", settings={"binlog_format": "MIXED"}) as server:
        server.sql("create table t (id int primary key)")
        server.sql("select count(*) from t")      # ((0,),)
        server.url()                              # mysql://root@127.0.0.1:PORT/public

Flavour `mariadb` is Debian's (mariadb-server-core, mariadb-client-core); `mysql` is that of Debian
sid, put into a folder of its own by debootstrap on first use ($TW_CACHE, default
~/.cache/tailwater) and run from there. Needs: python3-pymysql, python3-cryptography, openssl and,
for the first use of mysql, debootstrap and root. Servers run as a user other than root, as children
of this process, and end with it; they are stopped by pid.

As a program:
    mysql.py fetch mysql           downloads and unpacks
    mysql.py run --flavour mysql   prints one JSON line per state, obeys stop, start, restart, crash,
                                   set NAME=VALUE, unset NAME and quit on stdin, ends when it closes
"""
import argparse
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

if __name__ == "__main__":  # as a program: the folder of `tests` is not among the places of modules
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from tests.servers.child import in_child, serve, text_of
from tests.servers.postgres import cache_dir, free_port, reachable_by_others, server_user

FLAVOURS = ("mariadb", "mysql")

# A killed server loses nothing that it committed; a machine that loses power may.
DEFAULT_SETTINGS = {
    "server_id": "1",
    "log_bin": "binlog",
    "binlog_row_metadata": "FULL",
    "binlog_row_image": "FULL",
    "binlog_format": "ROW",
    "sync_binlog": "0",
    "innodb_flush_log_at_trx_commit": "2",
    "innodb_buffer_pool_size": "32M",
    "innodb_doublewrite": "0",
    "performance_schema": "OFF",
    "max_connections": "100",
}
FLAVOUR_SETTINGS = {
    "mariadb": {"innodb_log_file_size": "16M", "gtid_strict_mode": "ON", "plugin_maturity": "gamma",
                "character_set_server": "utf8mb4"},
    "mysql": {"innodb_redo_log_capacity": "16M", "gtid_mode": "ON", "enforce_gtid_consistency": "ON",
              "mysqlx": "OFF", "secure_file_priv": ""},
}


def sid():
    """The folder with a Debian sid that holds MySQL."""
    target = os.path.join(cache_dir(), "sid")
    # What lies below a private home cannot be executed by the server's user.
    if server_user() is not None and not reachable_by_others(cache_dir()):
        target = "/var/tmp/tailwater-sid"
    done = os.path.join(target, ".complete")
    if os.path.exists(done):
        return target
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(done):
            return target
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            raise RuntimeError("MySQL comes from Debian sid: run 'tests/servers/mysql.py fetch mysql' once as root, with debootstrap installed")
        targets = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
        mirrors = sorted({line for line in targets.split() if "security" not in line})
        if not mirrors:
            raise RuntimeError("apt knows no mirror: apt-get update first")
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", "--include=mysql-server-core,mysql-client-core", "sid", target,
                        mirrors[0]], check=True, stdout=sys.stderr)
        os.chmod(target, 0o755)
        open(done, "w").close()
    known_as = os.path.join(cache_dir(), "sid")
    if known_as != target:
        os.makedirs(cache_dir(), exist_ok=True)
        if os.path.islink(known_as):
            os.unlink(known_as)
        os.symlink(target, known_as)
    return target


def program(flavour, name="server"):
    """The start of a command line: `server`, or a program of MySQL such as `mysqlbinlog`."""
    if flavour == "mariadb":
        return ["/usr/sbin/mariadbd" if name == "server" else "/usr/bin/" + name, "--no-defaults"]
    root = sid()
    libraries = root + "/usr/lib/x86_64-linux-gnu"
    binary = root + ("/usr/sbin/mysqld" if name == "server" else "/usr/bin/" + name)
    return [libraries + "/ld-linux-x86-64.so.2", "--library-path", libraries, binary, "--no-defaults"]


def fetch(flavour):
    if flavour not in FLAVOURS:
        raise RuntimeError(f"no flavour {flavour}: have {FLAVOURS}")
    server = program(flavour)
    if not os.path.exists(server[-2]):
        raise RuntimeError("apt-get install mariadb-server-core mariadb-client-core")
    return subprocess.run(server[:-1] + ["--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Certificates:
    """A CA, and a certificate of 127.0.0.1 and localhost that it signed."""

    def __init__(self, folder):
        self.ca, self.ca_key = folder + "/ca.pem", folder + "/ca-key.pem"
        self.cert, self.key = folder + "/server-cert.pem", folder + "/server-key.pem"
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.ca_key, "-out", self.ca,
                  "-days", "3650", "-subj", "/CN=tailwater test CA")
        self.sign("127.0.0.1", self.cert, self.key, "IP:127.0.0.1,DNS:localhost")

    def sign(self, common_name, cert, key, names=None):
        request = key + ".csr"
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={common_name}")
        extensions = key + ".ext"
        with open(extensions, "w") as f:
            f.write(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        self._run("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days", "3650",
                  "-extfile", extensions, "-out", cert)

    @staticmethod
    def _run(*arguments):
        subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class MysqlServer:
    TYPE = "mysql"  # of a source
    DATABASE = "public"  # as Postgres calls its schema: tests name tables alike on both
    USER = "root"

    def __init__(self, flavour="mariadb", settings=None, tls=False, data=None):
        """`tls`: with a certificate that `certificates.ca` signed. MySQL makes some of its own without.
        A setting of None is not given to the server."""
        self.flavour = flavour
        self.version = fetch(flavour)
        self.settings = {**DEFAULT_SETTINGS, **FLAVOUR_SETTINGS[flavour], **(settings or {})}
        # Short: the socket's path has to fit into 107 bytes.
        self.root = tempfile.mkdtemp(prefix=f"tw-{flavour}-", dir="/tmp")
        self.data = data or os.path.join(self.root, "data")
        self.log_path = os.path.join(self.root, "log")
        self.socket = os.path.join(self.root, "s")
        self.port = free_port()
        self.process = None
        self.certificates = None
        self._user = server_user()
        if tls:
            self.certificates = Certificates(self.root)
            self.settings.update(ssl_ca=self.certificates.ca, ssl_cert=self.certificates.cert, ssl_key=self.certificates.key)
        if not os.path.exists(self.data):
            self._initialize()
        self._own(self.root)

    def _own(self, path):
        if self._user:
            subprocess.run(["chown", "-R", f"{self._user.pw_uid}:{self._user.pw_gid}", path], check=True)

    def _initialize(self):
        """Copies a data folder that was made once: making one takes seconds."""
        name = re.sub(r"[^\w.]+", "-", self.version.rsplit("/", 1)[-1]).strip("-")
        made = os.path.join(cache_dir(), "data-folders", name)
        if not os.path.exists(made):
            self._make_data_folder()
            os.makedirs(os.path.dirname(made), exist_ok=True)
            scratch = tempfile.mkdtemp(dir=os.path.dirname(made))
            subprocess.run(["cp", "-a", self.data, scratch + "/data"], check=True)
            if os.path.exists(scratch + "/data/auto.cnf"):  # the server's identity
                os.unlink(scratch + "/data/auto.cnf")
            try:
                os.rename(scratch + "/data", made)
            except OSError:  # another process was first
                pass
            shutil.rmtree(scratch)
        else:
            subprocess.run(["cp", "-a", "--sparse=always", made, self.data], check=True)
        with open(os.path.join(self.data, "first.sql"), "w") as f:
            f.write("set sql_log_bin = 0;\n"
                    "create user if not exists root@'127.0.0.1';\n"
                    "grant all on *.* to root@'127.0.0.1' with grant option;\n"
                    f"create database if not exists {self.DATABASE};\n")

    def _make_data_folder(self):
        self._own(self.root)
        if self.flavour == "mariadb":
            command = ["mariadb-install-db", "--no-defaults", *self._paths(), "--auth-root-authentication-method=normal",
                       "--skip-test-db", "--innodb-log-file-size=16M"]
        else:
            command = program("mysql") + self._paths() + ["--initialize-insecure", "--innodb-redo-log-capacity=16M"]
        with open(self.log_path, "ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.root,
                                  preexec_fn=in_child(self._user, None))
        if done.returncode:
            raise RuntimeError(f"no data folder for {self.flavour}:\n{self.log()[-4000:]}")

    def _paths(self):
        paths = [f"--datadir={self.data}", f"--tmpdir={self.root}"]  # TMPDIR may be closed to the server's user
        if self.flavour == "mysql":
            root = sid()
            paths += [f"--basedir={root}/usr", f"--lc-messages-dir={root}/usr/share/mysql",
                      f"--character-sets-dir={root}/usr/share/mysql/charsets", f"--plugin-dir={root}/usr/lib/mysql/plugin"]
        return paths

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

    def start(self, timeout=90):
        for attempt in range(5):
            begins = len(self.log())
            if self._start_once(begins, timeout):
                return self
            self.stop("immediate")
            if attempt < 4 and "Address already in use" in self.log()[begins:]:
                self.port = free_port()
                continue
            raise RuntimeError(f"{self.flavour} did not start:\n{self.log()[-4000:]}")

    def _start_once(self, begins, timeout):
        for left in (self.socket, self.socket + ".lock"):
            if os.path.exists(left):
                os.unlink(left)
        arguments = program(self.flavour) + self._paths() + [
            f"--socket={self.socket}", f"--pid-file={self.root}/pid", f"--port={self.port}", "--bind-address=127.0.0.1",
            "--skip-name-resolve", "--log-error-verbosity=2" if self.flavour == "mysql" else "--log-warnings=2"]
        first = os.path.join(self.data, "first.sql")
        if os.path.exists(first):
            arguments.append(f"--init-file={first}")
        arguments += [f"--{name}={value}" for name, value in self.settings.items() if value is not None]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.root, preexec_fn=in_child(self._user))
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.process = None
                return False
            if "ready for connections" in self.log()[begins:] and self._answers():
                if os.path.exists(first):
                    os.unlink(first)
                return True
            time.sleep(0.02)
        return False

    def _answers(self):
        try:
            self.connect(None).close()
            return True
        except OSError:
            return False
        except Exception as error:  # pymysql's
            if getattr(error, "args", (0,))[0] in (2002, 2003, 2013):
                return False
            raise

    def stop(self, mode="fast", timeout=60):
        """mode: fast, immediate (kill -9). Safe twice."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal({"fast": signal.SIGTERM, "immediate": signal.SIGKILL}[mode])
        self.process.wait(timeout)
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    # -- talking to it

    @property
    def is_mariadb(self):
        return self.flavour == "mariadb"

    def url(self, database=DATABASE, user="root"):
        return f"mysql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database=DATABASE, user="root", autocommit=True, **more):
        import pymysql

        options = {"charset": "utf8mb4", **more}
        return pymysql.connect(host="127.0.0.1", port=self.port, database=database, user=user, autocommit=autocommit, **options)

    def sql(self, statement, parameters=None, database=DATABASE, user="root", **more):
        """Runs it on a connection of its own; rows as tuples, or None. Several statements by a list: on one connection."""
        connection = self.connect(database, user, **more)
        try:
            with connection.cursor() as cursor:
                for each in statement if isinstance(statement, (list, tuple)) else [statement]:
                    cursor.execute(each, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def value(self, statement, parameters=None, database=DATABASE):
        return self.sql(statement, parameters, database)[0][0]

    @staticmethod
    def as_text(column):
        return f"cast({column} as char)"

    def empty(self):
        """The database without what tests put into it, the sessions and prepared transactions that failed ones left included."""
        connection = self.connect(None)
        with connection.cursor() as cursor:
            cursor.execute("show processlist")
            for session in cursor.fetchall():
                if session[0] != connection.thread_id() and session[1] not in ("system user", "event_scheduler"):
                    self._kill(cursor, session[0])
            cursor.execute("xa recover convert xid" if not self.is_mariadb else "xa recover format = 'SQL'")
            for prepared in cursor.fetchall():
                cursor.execute(f"xa rollback {self._xid(prepared)}")
            cursor.execute(f"drop database if exists {self.DATABASE}")
            cursor.execute(f"create database {self.DATABASE}")
        connection.close()

    @staticmethod
    def _kill(cursor, session):
        try:
            cursor.execute("kill %s", (session,))
        except Exception as error:  # pymysql's
            if getattr(error, "args", (0,))[0] != 1094:  # it ended meanwhile
                raise

    def _xid(self, row):
        if self.is_mariadb:
            return row[3]
        length, rest = row[1], row[3][2:]
        return f"0x{rest[:2 * length]}, 0x{rest[2 * length:]}, {row[0]}" if len(rest) > 2 * length else f"0x{rest}, '', {row[0]}"

    def binlogs(self):
        """(file, size), oldest first."""
        return [(row[0], row[1]) for row in self.sql("show binary logs")]

    def place(self):
        """file, offset: the end of its log."""
        statement = "show master status" if self.is_mariadb else "show binary log status"
        return self.sql(statement)[0][:2]

    def executed(self):
        """The GTIDs of what it has done."""
        return self.value("select @@gtid_current_pos" if self.is_mariadb else "select @@gtid_executed").replace("\n", "")

    def purge(self, timeout=30):
        """Only the newest file stays. A file that a dump still reads, or MariaDB may need to recover, goes later."""
        self.sql("flush binary logs")
        deadline = time.monotonic() + timeout
        while len(files := self.binlogs()) > 1:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server keeps {files}; its sessions: {self.sql('show processlist')}")
            self.sql("purge binary logs to %s", (files[-1][0],))
            time.sleep(0.02)

    def kill_dumps(self):
        """Ends every dump of its log from the server's side; how many there were."""
        connection = self.connect(None)
        with connection.cursor() as cursor:
            cursor.execute("show processlist")
            sessions = [row[0] for row in cursor.fetchall() if str(row[4]).startswith("Binlog Dump")]
            for session in sessions:
                self._kill(cursor, session)
        connection.close()
        return len(sessions)

    def log(self):
        return text_of(self.log_path)


def run(arguments):
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    for name in arguments.unset:
        settings[name] = None
    server = MysqlServer(arguments.flavour, settings, arguments.tls)

    def facts():
        certificates = server.certificates
        return {"flavour": server.flavour, "version": server.version, "port": server.port, "socket": server.socket, "data": server.data,
                "log": server.log_path, "ca": certificates.ca if certificates else "", "ca_key": certificates.ca_key if certificates else ""}

    serve(server, facts, crash=lambda _: server.stop("immediate"),
          set=lambda pair: server.settings.update([pair.split("=", 1)]),  # takes effect at the next start
          unset=lambda name: server.settings.update({name: None}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch")
    fetching.add_argument("flavours", nargs="*")
    running = commands.add_parser("run")
    running.add_argument("--flavour", choices=FLAVOURS, default="mariadb")
    running.add_argument("--tls", action="store_true")
    running.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    running.add_argument("--unset", action="append", default=[], metavar="NAME")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        for flavour in arguments.flavours or FLAVOURS:
            print(flavour, fetch(flavour))
    else:
        run(arguments)


if __name__ == "__main__":
    main()
