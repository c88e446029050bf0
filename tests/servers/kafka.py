#!/usr/bin/python3
"""Throwaway Apache Kafka clusters for tests: one or more nodes on free ports of 127.0.0.1.

    with KafkaServer() as kafka:                       # or KafkaServer(nodes=3)
        kafka.brokers                                  # "127.0.0.1:PORT"
        kafka.create_topic("t", partitions=3)
        kafka.records("t")                             # what a committed reader sees (kcat)

Downloaded by Maven on first use, kept in $TW_CACHE (default ~/.cache/tailwater). Needs: a JDK 17 or later,
maven, kcat. Nodes are children of this process, end with it, and are stopped by pid.

`secure=True` adds a listener with TLS (`tls_brokers`, `ca`), one with SASL PLAIN, SCRAM and OAUTHBEARER over
TLS (`sasl_brokers`; users in USERS), and ACLs that the plain listener's user (ANONYMOUS) is exempt from.

As a program:
    kafka.py fetch
    kafka.py run [--nodes 3] [--secure] [--set NAME=VALUE]
        prints one JSON line per state; obeys stop [I], start [I], crash [I], freeze [I], thaw [I] (node I from 1, default 1)
        and quit on stdin; ends when it closes
"""
import argparse
import fcntl
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.servers.child import in_child  # noqa: E402
from tests.servers.postgres import cache_dir, free_port  # noqa: E402

VERSION = "4.4.0"
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
USERS = {"tailwater": "tailwater-secret", "nobody": "nobody-secret"}
STORE_PASSWORD = "changeit"

# kafka-tools-api is named by the POM and not published; without a binding the broker logs nothing.
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version><exclusions>
<exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion></exclusions></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>
</dependencies></project>
"""
LOGGING = """status=error
appender.c.type=Console
appender.c.name=E
appender.c.target=SYSTEM_ERR
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.c.ref=E
"""
# One node that is ready within a second, small, and notices a dead neighbour fast.
SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.heartbeat.interval.ms": "250",
    "broker.session.timeout.ms": "1000",
    "controlled.shutdown.enable": "true",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
}


def home():
    return pathlib.Path(cache_dir()) / f"kafka-{VERSION}"


def fetch():
    """The folder with the broker's jars; downloaded, and its class archive trained, if need be."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "ready").exists():
            return folder
        for program in ("mvn", "java", "kcat"):
            if not shutil.which(program):
                raise RuntimeError(f"{program} is not installed")
        (folder / "pom.xml").write_text(POM)
        result = subprocess.run(["mvn", "-q", "-B", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies",
                                 "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'libs'}"],
                                capture_output=True, text=True, cwd="/")
        if result.returncode != 0:
            raise RuntimeError(f"maven: {(result.stdout + result.stderr).strip()[-500:]}")
        (folder / "log4j2.properties").write_text(LOGGING)
        # A broker that did some work leaves the archive of its classes when it ends: later ones start in half the time.
        archive = folder / "classes.jsa"
        archive.unlink(missing_ok=True)
        with KafkaServer(settings={"auto.create.topics.enable": "true"}, _libraries=folder, _java=[f"-XX:ArchiveClassesAtExit={archive}"]) as trained:
            subprocess.run(["kcat", "-b", trained.brokers, "-t", "training", "-P", "-X", "transactional.id=training"],
                           input=b"x\n", capture_output=True, timeout=60)
            trained.stop()
        (folder / "ready").touch()
    return folder


class KafkaServer:
    def __init__(self, nodes=1, settings=None, secure=False, heap="256m", _libraries=None, _java=()):
        self.nodes = nodes
        self.settings = {**SETTINGS, **(settings or {})}
        self.secure = secure
        self.heap = heap
        self.libraries = _libraries or fetch()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="tailwater-kafka-"))
        self.ports = [free_port() for _ in range(nodes)]
        self.tls_ports = [free_port() for _ in range(nodes)]
        self.sasl_ports = [free_port() for _ in range(nodes)]
        self.controller_ports = [free_port() for _ in range(nodes)]
        self.processes = [None] * nodes
        self._java = list(_java)
        replicas = str(min(3, nodes))
        for name in ("offsets.topic.replication.factor", "transaction.state.log.replication.factor",
                     "share.coordinator.state.topic.replication.factor"):
            self.settings.setdefault(name, replicas)
        for name in ("transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"):
            self.settings.setdefault(name, "2" if nodes > 2 else "1")

    # -- life cycle

    def __enter__(self):
        try:
            if self.secure:
                self._make_certificates()
            for node in range(1, self.nodes + 1):
                self._format(node)
            for node in range(1, self.nodes + 1):
                self._launch(node)
            for node in range(1, self.nodes + 1):
                self._wait_ready(node)
            if self.secure:
                self._add_users()
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, *unused):
        for node in range(1, self.nodes + 1):
            self.crash(node)
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self, node=1, timeout=60):
        self._launch(node)
        self._wait_ready(node, timeout)

    def stop(self, node=1, timeout=60):
        """A clean end. Safe twice."""
        self._end(node, signal.SIGTERM, timeout)

    def crash(self, node=1):
        self._end(node, signal.SIGKILL, 60)

    def freeze(self, node=1):
        self.processes[node - 1].send_signal(signal.SIGSTOP)

    def thaw(self, node=1):
        self.processes[node - 1].send_signal(signal.SIGCONT)

    def _end(self, node, how, timeout):
        process = self.processes[node - 1]
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            if how == signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
        process.wait(timeout)
        self.processes[node - 1] = None

    def _folder(self, node):
        return self.root / f"node{node}"

    def _java_command(self, *arguments, options=()):
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *options]
        archive = self.libraries / "classes.jsa"
        if archive.exists():
            command += [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:disable", "-Xlog:all=off"]
        return [*command, f"-Dlog4j2.configurationFile={self.libraries / 'log4j2.properties'}", "-cp",
                f"{self.libraries / 'libs'}/*", *arguments]

    def _properties(self, node):
        index = node - 1
        listeners = {"PLAINTEXT": self.ports[index], "CONTROLLER": self.controller_ports[index]}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        properties = dict(self.settings)
        if self.secure:
            listeners |= {"TLS": self.tls_ports[index], "SASL": self.sasl_ports[index]}
            protocols |= {"TLS": "SSL", "SASL": "SASL_SSL"}
            plain = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
            scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            prefix = "listener.name.sasl."
            properties |= {
                "ssl.keystore.location": str(self.root / "broker.p12"), "ssl.keystore.password": STORE_PASSWORD,
                "ssl.keystore.type": "PKCS12",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                prefix + "plain.sasl.jaas.config":
                    f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};",
                prefix + "scram-sha-256.sasl.jaas.config": scram,
                prefix + "scram-sha-512.sasl.jaas.config": scram,
                prefix + "oauthbearer.sasl.jaas.config":
                    'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            }
        advertised = {name: port for name, port in listeners.items() if name != "CONTROLLER"}
        properties |= {
            "node.id": str(node),
            "log.dirs": str(self._folder(node) / "data"),
            "controller.quorum.voters": ",".join(f"{i + 1}@127.0.0.1:{p}" for i, p in enumerate(self.controller_ports)),
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in advertised.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        }
        return properties

    def _format(self, node):
        folder = self._folder(node)
        folder.mkdir()
        file = folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in self._properties(node).items()))
        # What formatting leaves depends on the node's number alone: done once per number.
        template = self.libraries / f"formatted-{node}"
        if template.exists():
            shutil.copytree(template, folder / "data")
            return
        result = subprocess.run(self._java_command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file)),
                                capture_output=True, text=True)
        if result.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{result.stdout}{result.stderr}")
        if (self.libraries / "ready").exists():
            scratch = pathlib.Path(tempfile.mkdtemp(dir=self.libraries))
            shutil.copytree(folder / "data", scratch / "data")
            try:
                (scratch / "data").rename(template)
            except OSError:
                pass  # somebody else was faster
            shutil.rmtree(scratch, ignore_errors=True)

    def _launch(self, node):
        command = self._java_command("kafka.Kafka", str(self._folder(node) / "server.properties"),
                                     options=[f"-Xms{self.heap}", f"-Xmx{self.heap}", *self._java])
        with open(self.log_path(node), "ab") as log:
            self.processes[node - 1] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                        cwd=self._folder(node), preexec_fn=in_child())

    def _wait_ready(self, node, timeout=60):
        deadline = time.monotonic() + timeout
        broker = f"127.0.0.1:{self.ports[node - 1]}"
        while time.monotonic() < deadline:
            if self.processes[node - 1].poll() is not None:
                raise RuntimeError(f"Kafka node {node} ended:\n{self.log(node)[-3000:]}")
            answer = subprocess.run(["kcat", "-b", broker, "-L", "-m", "1"], capture_output=True, text=True)
            if f"broker {node} at" in answer.stdout:
                return
            time.sleep(0.05)
        raise RuntimeError(f"Kafka node {node} is not ready after {timeout} s:\n{self.log(node)[-3000:]}")

    def _make_certificates(self):
        def keytool(*arguments):
            subprocess.run(["keytool", *arguments, "-storepass", STORE_PASSWORD, "-noprompt"], check=True, cwd=self.root,
                           capture_output=True)

        keytool("-genkeypair", "-alias", "ca", "-dname", "CN=Test CA", "-ext", "bc:c", "-keyalg", "EC", "-keystore", "ca.p12")
        keytool("-exportcert", "-rfc", "-alias", "ca", "-keystore", "ca.p12", "-file", "ca.pem")
        keytool("-genkeypair", "-alias", "broker", "-dname", "CN=127.0.0.1", "-keyalg", "EC", "-keystore", "broker.p12")
        keytool("-certreq", "-alias", "broker", "-keystore", "broker.p12", "-file", "broker.csr")
        keytool("-gencert", "-alias", "ca", "-keystore", "ca.p12", "-infile", "broker.csr", "-outfile", "broker.pem", "-rfc",
                "-ext", "san=ip:127.0.0.1,dns:localhost")
        keytool("-importcert", "-alias", "ca", "-keystore", "broker.p12", "-file", "ca.pem")
        keytool("-importcert", "-alias", "broker", "-keystore", "broker.p12", "-file", "broker.pem")

    def _add_users(self):
        from tests.servers.kafka_client import confluent_kafka
        confluent_kafka()
        from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
        admin = self.admin()
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            changes = [UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, 4096), password.encode())
                       for name, password in USERS.items()]
            for change in admin.alter_user_scram_credentials(changes).values():
                change.result(30)

    # -- talking to it

    @staticmethod
    def _list(ports):
        return ",".join(f"127.0.0.1:{port}" for port in ports)

    @property
    def brokers(self):
        return self._list(self.ports)

    @property
    def tls_brokers(self):
        return self._list(self.tls_ports)

    @property
    def sasl_brokers(self):
        return self._list(self.sasl_ports)

    @property
    def ca(self):
        return str(self.root / "ca.pem")

    def log_path(self, node=1):
        return self._folder(node) / "log"

    def log(self, node=1):
        try:
            return self.log_path(node).read_text(errors="replace")
        except OSError:
            return ""

    def admin(self):
        from tests.servers.kafka_client import confluent_kafka
        confluent_kafka()
        from confluent_kafka.admin import AdminClient
        return AdminClient({"bootstrap.servers": self.brokers})

    def create_topic(self, name, partitions=1, replication=1, **settings):
        """Settings with `_` for `.`: max_message_bytes="2000000"."""
        from tests.servers.kafka_client import confluent_kafka
        confluent_kafka()
        from confluent_kafka.admin import NewTopic
        topic = NewTopic(name, partitions, replication, config={k.replace("_", "."): v for k, v in settings.items()})
        admin = self.admin()  # ends what it was asked when it goes
        admin.create_topics([topic])[name].result(30)

    def delete_topic(self, name):
        admin = self.admin()
        admin.delete_topics([name])[name].result(30)

    def topics(self):
        return {name: len(topic.partitions) for name, topic in self.admin().list_topics(timeout=30).topics.items()}

    def topic_settings(self, name):
        from tests.servers.kafka_client import confluent_kafka
        confluent_kafka()
        from confluent_kafka.admin import ConfigResource
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        admin = self.admin()
        return {key: entry.value for key, entry in admin.describe_configs([resource])[resource].result(30).items()}

    def records(self, topic, committed=True):
        """Everything that can be read now, as dictionaries: partition, offset, key, value (bytes), headers."""
        from tests.servers.kafka_client import read_all
        return read_all(self.brokers, topic, committed)


def serve(arguments):
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    server = KafkaServer(arguments.nodes, settings, arguments.secure)

    def say(state):
        print(json.dumps({"state": state, "brokers": server.brokers, "tls_brokers": server.tls_brokers if server.secure else "",
                          "sasl_brokers": server.sasl_brokers if server.secure else "", "ca": server.ca,
                          "pids": [p.pid if p else 0 for p in server.processes], "log": str(server.log_path())}), flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with server:
        say("ready")
        for line in sys.stdin:
            command, *more = line.split()
            if command == "quit":
                break
            if command not in ("stop", "start", "crash", "freeze", "thaw"):
                say("unknown command")
                continue
            getattr(server, command)(int(more[0]) if more else 1)
            say("done")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch")
    running = commands.add_parser("run")
    running.add_argument("--nodes", type=int, default=1)
    running.add_argument("--secure", action="store_true")
    running.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        print(fetch())
    else:
        serve(arguments)


if __name__ == "__main__":
    main()
