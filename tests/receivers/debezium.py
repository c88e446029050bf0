"""Debezium's own code as the judge of what the kafka sink writes, from Maven Central: its JDBC sink connector reads it
(DebeziumReader.java), and its Postgres connector says what it would have written (DebeziumSource.java).

A version whose classes run on Java 17. Libraries are kept in $TW_CACHE.
"""
import json
import pathlib
import shutil
import subprocess

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
    return fetched(program, [f"debezium-{DEBEZIUM}", f"kafka-{KAFKA}"], fetch)


def run(program, folder, *arguments, timeout=180):
    """Its standard output, as lines; `folder` takes the classes."""
    jars = f"{libraries(program) / 'libs'}/*"
    subprocess.run(["javac", "-cp", jars, "-d", str(folder), str(FOLDER / f"{program}.java")], check=True, capture_output=True, text=True,
                   timeout=timeout)
    result = subprocess.run([*JAVA, "-cp", f"{folder}:{jars}", program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    if result.returncode != 0:
        raise AssertionError(f"{program} failed:\n{result.stderr[-6000:]}")
    return result.stdout.splitlines()


def rebuild(brokers, jdbc_url, user, topics, folder):
    """Rebuilds the tables of the topics in another database; the counts of what was read."""
    return json.loads(run("DebeziumReader", folder, brokers, jdbc_url, user, ",".join(topics))[-1])


def records_of_slot(server, prefix, slot, publication, count, options, folder):
    """What the connector makes of a slot: per topic its records, in order."""
    lines = run("DebeziumSource", folder, "127.0.0.1", server.port, "postgres", "postgres", prefix, slot, publication, count,
                *(f"{name}={value}" for name, value in options.items()))
    topics = {}
    for record in map(json.loads, lines):
        topics.setdefault(record["topic"], []).append({"key": record["key"], "value": record["value"]})
    return topics
