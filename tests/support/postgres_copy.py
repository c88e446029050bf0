"""A Postgres that a sink writes to, and what it holds beside what its source holds."""
from tests.support.workload import COLUMNS, as_multiset, differences, source_rows

DATABASE = "target"


class PostgresCopy:
    def __init__(self, server, database=DATABASE, create=True):
        self.server, self.database = server, database
        if create:
            server.sql(f"create database {database}")

    def sink(self, **more):
        return {"type": "postgres", "url": self.server.url(self.database), **more}

    def sql(self, statement, parameters=None):
        return self.server.sql(statement, parameters, database=self.database)

    def value(self, statement, parameters=None):
        return self.sql(statement, parameters)[0][0]

    def has(self, table):
        return self.value("select to_regclass(%s) is not null", (f"public.{table}",))

    def rows(self, table, columns=None):
        if not self.has(table):
            return {}
        names = ", ".join(f'"{column}"::text' for column in columns or COLUMNS[table])
        return as_multiset(self.sql(f"select {names} from public.{table}"))

    def difference(self, source, table, columns=None):
        """Of one of the workload's tables, or of any other by its columns."""
        if columns is None:
            expected = source_rows(source, table)
        else:
            names = ", ".join(source.as_text(column) for column in columns)
            expected = as_multiset(source.sql(f"select {names} from {table}"))
        return differences(expected, self.rows(table, columns))
