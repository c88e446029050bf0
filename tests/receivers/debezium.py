"""Debezium's own reading side (DebeziumReader.java): its JDBC sink connector and transforms, from Maven Central.

The newest version of which Maven has the connector's jar and whose classes run on Java 17. Compiled and kept in $TW_CACHE.
"""
import json
import pathlib
import shutil
import subprocess

from tests.receivers.libraries import fetched

DEBEZIUM = "3.2.0.Final"
KAFKA = "3.9.1"
SOURCE = pathlib.Path(__file__).with_name("DebeziumReader.java")
# Drivers of other databases.
NOT_NEEDED = ["com.oracle.database.jdbc:ojdbc11", "com.mysql:mysql-connector-j", "org.mariadb.jdbc:mariadb-java-client",
              "com.microsoft.sqlserver:mssql-jdbc"]


def pom():
    exclusions = "".join("<exclusion><groupId>{}</groupId><artifactId>{}</artifactId></exclusion>".format(*name.split(":")) for name in NOT_NEEDED)
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tailwater</groupId><artifactId>receivers</artifactId><version>1</version><dependencies>
<dependency><groupId>io.debezium</groupId><artifactId>debezium-connector-jdbc</artifactId><version>{DEBEZIUM}</version><exclusions>{exclusions}</exclusions></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>connect-json</artifactId><version>{KAFKA}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>connect-transforms</artifactId><version>{KAFKA}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId><version>{KAFKA}</version><exclusions>
<exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>"""


def libraries():
    for program in ("mvn", "java", "javac"):
        if not shutil.which(program):
            raise RuntimeError(f"{program} is not installed")

    def fetch(target):
        (target / "pom.xml").write_text(pom())
        return subprocess.run(["mvn", "-q", "-B", "-f", str(target / "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime",
                               f"-DoutputDirectory={target / 'libs'}"], capture_output=True, text=True, cwd="/")
    return fetched("debezium", [f"debezium-{DEBEZIUM}", f"kafka-{KAFKA}"], fetch)


def rebuild(brokers, jdbc_url, user, topics, folder, timeout=180):
    """Rebuilds the tables of the topics in another database; the counts of what was read."""
    jars = f"{libraries() / 'libs'}/*"
    subprocess.run(["javac", "-cp", jars, "-d", str(folder), str(SOURCE)], check=True, capture_output=True, text=True, timeout=timeout)
    result = subprocess.run(["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{folder}:{jars}",
                             "DebeziumReader", brokers, jdbc_url, user, ",".join(topics)], capture_output=True, text=True, timeout=timeout)
    if result.returncode != 0:
        raise AssertionError(f"Debezium failed:\n{result.stderr[-6000:]}")
    return json.loads(result.stdout.splitlines()[-1])
