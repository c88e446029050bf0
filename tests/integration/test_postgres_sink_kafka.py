"""Postgres as a target whose topic lies in Kafka: one process of several writes, and one that died or stood still changes nothing any more."""
import os
import signal
import time

from tests.conftest import start_server
from tests.support.daemon import wait_until
from tests.support.kafka_pipeline import KafkaPipeline
from tests.support.postgres_copy import PostgresCopy

WRITES = "application_name like 'tailwater %/copy' and datname = 'target'"


def writes(process):
    """It has the partitions, of which one process takes all."""
    return process.answers() and process.sink("copy")["state"] == "running"


def has_session(process, port):
    """Of its sockets one has this port on its side."""
    with open("/proc/net/tcp") as table:
        inodes = {line.split()[9] for line in table.readlines()[1:] if int(line.split()[1].split(":")[1], 16) == port}
    folder = f"/proc/{process.process.pid}/fd"
    return any(os.readlink(f"{folder}/{name}") in {f"socket:[{inode}]" for inode in inodes} for name in os.listdir(folder))


def test_a_writer_that_dies_or_stands_still_is_replaced_and_writes_no_more(server, kafka, tmp_path):
    server.sql("create table t (id int primary key, n int); insert into t select g, 0 from generate_series(1, 500) g")
    server.sql("create table log (line int, note text); alter table log replica identity full")  # no key: what came twice would show

    def write(first, last):
        server.sql(f"insert into log select g, 'a' from generate_series({first}, {last}) g; update t set n = n + 1; "
                   f"delete from t where id % 50 = {first % 50}; update log set note = 'b' where line % 7 = 0 and line >= {first}")
    with start_server() as target_server:
        target = PostgresCopy(target_server)
        pipeline = KafkaPipeline(tmp_path, server, kafka, ["public.t", "public.log"], sinks={"copy": target.sink(lock_timeout="3s")})
        with pipeline.start("--only", "capture") as capture, pipeline.start("--only", "deliver", "--instance", "two") as two, \
                pipeline.start("--only", "deliver", "--instance", "three") as three:
            capture.wait_state("streaming")
            wait_until("one of them to write", lambda: writes(two) or writes(three))
            dying, other = (two, three) if writes(two) else (three, two)
            write(1, 2000)
            wait_until("its first rows", lambda: target.has("log") and target.value("select count(*) from log") > 0)
            dying.kill()
            write(2001, 4000)
            wait_until("the other to take over", lambda: target.value("select count(*) from log") == 4000)
            with pipeline.start("--only", "deliver", "--instance", "four") as four:
                wait_until("it to have joined", lambda: four.answers() and four.sink("copy")["state"] in ("running", "standby"))
                # Frozen in the middle of its transaction, which a lock of ours makes sure of.
                person = target.server.connect(target.database, autocommit=False)
                with person.cursor() as cursor:
                    cursor.execute("lock table log in access exclusive mode")
                    write(4001, 5000)
                    waiting = f"select client_port from pg_stat_activity where wait_event_type = 'Lock' and {WRITES}"
                    port, = wait_until("a writer to wait", lambda: target.sql(waiting))[0]
                    frozen, last = (other, four) if has_session(other, port) else (four, other)
                    frozen.process.send_signal(signal.SIGSTOP)
                person.rollback()
                person.close()
                try:
                    stood = time.monotonic()
                    wait_until("the last to write", lambda: target.value("select count(*) from log") == 5000, 60)
                    print(f"taken over from one that stands still after {time.monotonic() - stood:.1f} s")
                    assert "ended the session of a process that wrote for this sink and stood still" in last.log()
                finally:
                    frozen.process.send_signal(signal.SIGCONT)
                server.sql("delete from log where line % 2 = 0; insert into log values (-1, 'd')")
                write(5001, 5100)
                wait_until("both tables to be equal", lambda: target.difference(server, "log", ["line", "note"]) == "" and
                           target.difference(server, "t", ["id", "n"]) == "")
                # The one that stood still has found out, and neither takes the other's work.
                wait_until("one writer", lambda: [writes(frozen), writes(last)].count(True) == 1)
                assert target.value(f"select count(*) from pg_stat_activity where {WRITES}") <= 2
                assert last.sink("copy")["dead_letters"]["total"] == 0
                assert last.stop() == 0
