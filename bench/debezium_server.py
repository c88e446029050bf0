"""Debezium Server 3.6.0, tuned, as a contender of bench/run.sh --debezium. 781 MB by Maven, once, into $TW_CACHE; needs Java 21 or later."""
import glob
import os
import pathlib
import subprocess

from tests.servers.postgres import cache_dir, free_port

VERSION = "3.6.0.Final"
CONFIG = """debezium.sink.type=kafka
debezium.sink.kafka.producer.bootstrap.servers={brokers}
debezium.sink.kafka.producer.key.serializer=org.apache.kafka.common.serialization.StringSerializer
debezium.sink.kafka.producer.value.serializer=org.apache.kafka.common.serialization.StringSerializer
debezium.sink.kafka.producer.batch.size=262144
debezium.sink.kafka.producer.linger.ms=5
debezium.sink.kafka.producer.compression.type=lz4
debezium.source.connector.class=io.debezium.connector.postgresql.PostgresConnector
debezium.source.database.hostname=127.0.0.1
debezium.source.database.port={port}
debezium.source.database.user=postgres
debezium.source.database.password=unused
debezium.source.database.dbname=postgres
debezium.source.topic.prefix={topic}
debezium.source.table.include.list=public.small
debezium.source.snapshot.mode=no_data
debezium.source.plugin.name=pgoutput
debezium.source.slot.name={slot}
debezium.source.publication.name=bench
debezium.source.publication.autocreate.mode=disabled
debezium.source.offset.storage.file.filename={home}/offsets.dat
debezium.source.offset.flush.interval.ms=1000
debezium.source.max.batch.size=20480
debezium.source.max.queue.size=81920
debezium.source.poll.interval.ms=10
debezium.format.key=json
debezium.format.value=json
debezium.format.key.schemas.enable=false
debezium.format.value.schemas.enable=false
quarkus.http.port={http_port}
quarkus.log.level=WARN
"""


def java_home():
    """A JDK of 21 or later: $JAVA21_HOME, or what lies where Debian and Temurin put theirs."""
    for folder in [os.environ.get("JAVA21_HOME", ""), *sorted(glob.glob("/usr/lib/jvm/*"), reverse=True)]:
        java = pathlib.Path(folder) / "bin" / "java"
        if folder and java.exists():
            told = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
            if int(told.split('"')[1].split(".")[0]) >= 21:
                return folder
    raise RuntimeError("needs Java 21 or later: set JAVA21_HOME")


def fetch():
    folder = pathlib.Path(cache_dir()) / f"debezium-server-{VERSION}"
    if (folder / "run.sh").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact=io.debezium:debezium-server-dist:{VERSION}:tar.gz",
                    f"-DoutputDirectory={folder}"], check=True, cwd="/")
    archive = folder / f"debezium-server-dist-{VERSION}.tar.gz"
    subprocess.run(["tar", "xzf", archive, "-C", folder, "--strip-components=1"], check=True)
    archive.unlink()
    return folder


def start(home, server, brokers, topic, slot):
    """The process (a shell that became the JVM, in a group of its own). Its changes go to <topic>.public.small."""
    folder = fetch()
    home.mkdir(parents=True)
    (home / "config").mkdir()
    (home / "config" / "application.properties").write_text(
        CONFIG.format(brokers=brokers, port=server.port, topic=topic, slot=slot, home=home, http_port=free_port()))
    # As its run.sh does it, from a folder of this run's own.
    jars = [*glob.glob(f"{folder}/*-runner.jar"), f"{home}/config", f"{folder}/lib/*"]
    command = [f"{java_home()}/bin/java", "-Xmx1g", "-cp", ":".join(jars), "io.debezium.server.Main"]
    log = open(home / "log", "wb")
    return subprocess.Popen(command, cwd=home, stdout=log, stderr=log, start_new_session=True)
