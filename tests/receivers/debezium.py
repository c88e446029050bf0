"""Debezium's own code as the judge of what the kafka sink writes, from Maven Central: its JDBC sink connector reads it
(DebeziumReader.java), and its connectors for Postgres and MariaDB say what they would have written (DebeziumSource.java).

A version whose classes run on Java 17. Libraries are kept in $TW_CACHE.
"""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import time

from tests.receivers.libraries import fetched

DEBEZIUM = "3.2.0.Final"
KAFKA = "3.9.1"
FOLDER = pathlib.Path(__file__).parent
JAVA = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


def dependency(group, artifact, version, *exclusions):
    excluded = "".join("<exclusion><groupId>{}</groupId><artifactId>{}</artifactId></exclusion>".format(*name.split(":")) for name in exclusions)
    return (f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
            f"<exclusions>{excluded}</exclusions></dependency>")


DEPENDENCIES = {
    "DebeziumReader": [
        # Without the drivers of other databases.
        dependency("io.debezium", "debezium-connector-jdbc", DEBEZIUM, "com.oracle.database.jdbc:ojdbc11", "com.mysql:mysql-connector-j",
                   "org.mariadb.jdbc:mariadb-java-client", "com.microsoft.sqlserver:mssql-jdbc"),
        dependency("org.apache.kafka", "connect-json", KAFKA),
        dependency("org.apache.kafka", "connect-transforms", KAFKA),
        dependency("org.apache.kafka", "connect-runtime", KAFKA, "*:*"),
        dependency("org.slf4j", "slf4j-simple", "1.7.36"),
    ],
    "DebeziumSource": [
        dependency("io.debezium", "debezium-embedded", DEBEZIUM),
        dependency("io.debezium", "debezium-connector-postgres", DEBEZIUM),
        dependency("io.debezium", "debezium-connector-mariadb", DEBEZIUM),
        dependency("org.slf4j", "slf4j-simple", "1.7.36"),
    ],
}


def libraries(program):
    for needed in ("mvn", "java", "javac"):
        if not shutil.which(needed):
            raise RuntimeError(f"{needed} is not installed")

    def fetch(target):
        (target / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>tailwater</groupId>'
            f"<artifactId>receivers</artifactId><version>1</version><dependencies>{''.join(DEPENDENCIES[program])}</dependencies></project>")
        return subprocess.run(["mvn", "-q", "-B", "-f", str(target / "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime",
                               f"-DoutputDirectory={target / 'libs'}"], capture_output=True, text=True, cwd="/")
    connectors = re.findall(r"debezium-connector-(\w+)<", "".join(DEPENDENCIES[program]))
    return fetched(program, [f"debezium-{DEBEZIUM}", f"kafka-{KAFKA}", *connectors], fetch)


def command(program, folder, *arguments):
    """`folder` takes the classes."""
    jars = f"{libraries(program) / 'libs'}/*"
    subprocess.run(["javac", "-cp", jars, "-d", str(folder), str(FOLDER / f"{program}.java")], check=True, capture_output=True, text=True, timeout=180)
    return [*JAVA, "-cp", f"{folder}:{jars}", program, *map(str, arguments)]


def run(program, folder, *arguments, timeout=180):
    """Its standard output, as lines."""
    result = subprocess.run(command(program, folder, *arguments), capture_output=True, text=True, timeout=timeout)
    if result.returncode != 0:
        raise AssertionError(f"{program} failed:\n{result.stderr[-6000:]}")
    return result.stdout.splitlines()


def rebuild(brokers, jdbc_url, user, topics, folder):
    """Rebuilds the tables of the topics in another database; the counts of what was read."""
    return json.loads(run("DebeziumReader", folder, brokers, jdbc_url, user, ",".join(topics))[-1])


def by_topic(lines):
    topics = {}
    for record in map(json.loads, lines):
        topics.setdefault(record["topic"], []).append({"key": record["key"], "value": record["value"]})
    return topics


def options_of(options):
    return [f"{name}={value}" for name, value in options.items()]


def records_of_slot(server, prefix, slot, publication, count, options, folder):
    """What the connector makes of a slot: per topic its records, in order."""
    return by_topic(run("DebeziumSource", folder, count, "-", *options_of({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "127.0.0.1", "database.port": server.port,
        "database.dbname": "postgres", "database.user": "postgres", "database.password": "unused", "topic.prefix": prefix, "slot.name": slot,
        "publication.name": publication, "publication.autocreate.mode": "disabled", "plugin.name": "pgoutput", "snapshot.mode": "no_data", **options})))


@contextlib.contextmanager
def beside_log(server, prefix, count, options, folder):
    """What MariaDB's connector makes of what is written to the tables of `public` inside of the block: a dict, filled at its end, of
    each topic's records in order. They are `count`. Makes a table `fence`, which shows when it reads."""
    server.sql("create table if not exists fence (id int auto_increment primary key)")
    line = command("DebeziumSource", folder, count, f"{prefix}.public.fence", *options_of({
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector", "database.hostname": "127.0.0.1", "database.port": server.port,
        "database.user": "root", "database.password": "", "database.ssl.mode": "disable", "database.server.id": "4711", "topic.prefix": prefix,
        "database.include.list": "public", "snapshot.mode": "no_data", "snapshot.locking.mode": "none", "include.schema.changes": "false",
        "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory", **options}))
    records = {}
    with open(folder / "out", "w+") as out, open(folder / "errors", "w+") as errors:
        process = subprocess.Popen(line, stdout=out, stderr=errors)
        try:
            deadline = time.monotonic() + 120
            while (folder / "out").stat().st_size == 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"it does not read the log:\n{(folder / 'errors').read_text()[-6000:]}")
                server.sql("insert into fence values ()")
                time.sleep(0.3)  # it asks again; nothing waits for this
            yield records
            if process.wait(120) != 0:
                raise AssertionError(f"not so many records:\n{(folder / 'errors').read_text()[-6000:]}\n{(folder / 'out').read_text()[-3000:]}")
        finally:
            process.kill()
            process.wait()
        records.update(by_topic((folder / "out").read_text().splitlines()))
        del records[f"{prefix}.public.fence"]
