"""Maxwell 1.22.6 as a contender of bench/run.sh --mariadb --maxwell. 90 MB by Maven, once, into $TW_CACHE; needs a JDK.

Its JSON goes into a pipe that only counts lines: no broker, which is in its favour. It keeps its state in a schema
`maxwell` on the source. From Java 15 on it needs a class that Java no longer has; an empty one of that name will do."""
import pathlib
import subprocess
import tempfile

from tests.servers.postgres import cache_dir

VERSION = "1.22.6"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>maxwell</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>com.zendesk</groupId><artifactId>maxwell</artifactId><version>{VERSION}</version></dependency>
</dependencies></project>
"""
EMPTY_CLASS = "package jdk.nashorn.api.scripting; public class ScriptObjectMirror {}\n"


def fetch():
    folder = pathlib.Path(cache_dir()) / f"maxwell-{VERSION}"
    if (folder / "complete").exists():
        return folder
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "pom.xml").write_text(POM)
        subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder}/lib"], check=True, cwd=work)
        (work / "ScriptObjectMirror.java").write_text(EMPTY_CLASS)
        subprocess.run(["javac", "-d", folder / "empty", work / "ScriptObjectMirror.java"], check=True)
    (folder / "complete").touch()
    return folder


def prepare(server):
    """Its account: it cannot log in without a password."""
    server.sql("create user maxwell@'%' identified by 'maxwell'")
    server.sql("grant all on *.* to maxwell@'%'")


def command(port, file, table, home):
    """Prints the changes of `table` from the beginning of a log file on; does not end by itself."""
    folder = fetch()
    home.mkdir()
    (home / "config.properties").write_text("")
    return ["java", "-Xmx1g", "-cp", f"{folder}/empty:{folder}/lib/*", "com.zendesk.maxwell.Maxwell", f"--config={home}/config.properties",
            "--host=127.0.0.1", f"--port={port}", "--user=maxwell", "--password=maxwell", "--producer=stdout", "--log_level=error", "--replica_server_id=6601",
            f"--filter=exclude: *.*, include: {table}", f"--init_position={file}:4:0"]
