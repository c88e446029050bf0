"""A pipeline that runs beside a test's statements, and what came of them: in the topic and in the copy."""
from tests.support.daemon import Pipeline, wait_until
from tests.support.kills import transaction_of
from tests.support.table_copy import has_table
from tests.support.workload import as_multiset, differences


class LiveCopy:
    """All tables of the server's database unless told otherwise. `fence`, a table of its own, shows that what was done before has arrived."""

    def __init__(self, home, server, tables=("public.*",), **more):
        self.server = server
        server.sql("create table fence (id int primary key)")
        self.fences = 0
        self.pipeline = Pipeline(home, server, [*tables, *([] if "public.*" in tables else ["public.fence"])], **more)
        self.daemon = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.daemon.kill()

    def start(self, **environment):
        self.daemon = self.pipeline.start(**environment)
        self.daemon.wait_state("streaming")
        self.copied()

    def copied(self):
        def done():
            snapshots = self.daemon.source()["snapshots"]
            return snapshots["tables_copied"] and not snapshots["tables_waiting"]  # none waits before they are looked for, too
        wait_until("first copies", done, 60)

    def stop(self):
        assert self.daemon.stop() == 0, self.daemon.log()[-3000:]

    def sql(self, *statements):
        """On one connection."""
        return self.server.sql(list(statements))

    def settle(self, timeout=30):
        """Everything that is committed has reached the copy."""
        self.fences += 1
        self.server.sql("insert into fence values (%s)", (self.fences,))
        wait_until("the copy to catch up", lambda: self._passed(self.fences), timeout)

    def _passed(self, fence):
        if self.daemon.process.poll() is not None:
            raise AssertionError(f"tailwater ended with {self.daemon.process.returncode}:\n{self.daemon.log()[-3000:]}")
        source = self.daemon.source()
        if source["state"] not in ("streaming", "retrying", "starting", "connecting"):
            raise AssertionError(f"the source is {source['state']}: {source.get('message')}")
        return has_table(self.pipeline, "fence") and self.pipeline.copy(f"select 1 from fence where id = {fence}")

    def records(self, table=None, ops=("insert", "update", "delete", "truncate")):
        """What came by the stream, in order."""
        return [record for record in self.pipeline.topic() if record["op"] in ops and record.get("table") != "public.fence" and
                (table is None or record["table"] == f"public.{table}")]

    def transactions(self, table=None):
        """The records of each transaction, in order of the topic."""
        groups = {}
        for record in self.records(table):
            groups.setdefault(transaction_of(record)[0], []).append(record)
        return list(groups.values())

    def columns(self, table):
        return [row[0] for row in self.server.sql("select column_name from information_schema.columns where table_schema = 'public' and "
                                                  "table_name = %s order by ordinal_position", (table,))]

    def difference(self, table, columns=None):
        """Text is compared as text, bytes as hexadecimal digits."""
        names = columns or self.columns(table)
        binary = {row[0] for row in self.server.sql("select column_name from information_schema.columns where table_schema = 'public' and table_name = %s "
                                                    "and (data_type like '%%blob' or data_type like '%%binary')", (table,))}
        quote = lambda name: "`" + name.replace("`", "``") + "`"
        texts = (f"lower(hex({quote(n)}))" if n in binary else self.server.as_text(quote(n)) for n in names)
        source = as_multiset(self.server.sql(f"select {', '.join(texts)} from {quote(table)}"))
        if not has_table(self.pipeline, table):
            return differences(source, {})
        present = {row[1] for row in self.pipeline.copy(f'pragma table_info("{table}")')}
        if set(names) - present:
            return f"no column {sorted(set(names) - present)}"
        quoted = ", ".join(f'"{name}"' for name in names)
        copied = self.pipeline.copy(f'select {quoted} from "{table}"')
        return differences(source, as_multiset([[value.hex() if isinstance(value, bytes) else value for value in row] for row in copied]))

    def wait_equal(self, *tables, timeout=30):
        """What is in the source is in the copy, now or soon."""
        for table in tables:
            last = [""]

            def equal():
                last[0] = self.difference(table)
                return not last[0]
            try:
                wait_until(f"{table} to be equal", equal, timeout)
            except AssertionError as error:
                raise AssertionError(f"{error}: {last[0]}\n{self.daemon.log()[-2000:]}") from None

    def ids_are_unique(self):
        ids = [record["id"] for record in self.pipeline.topic()]
        assert len(ids) == len(set(ids)), "published twice"
