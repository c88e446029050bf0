"""What a copy holds beside what its source holds, for tables of any columns that read the same as text in both."""
from tests.support.workload import as_multiset, differences


def has_table(pipeline, table):
    return pipeline.copy_path.exists() and bool(pipeline.copy(f"select 1 from sqlite_master where name = '{table}'"))


def assert_equal(pipeline, table, columns, source_table=None):
    names = ", ".join(map(pipeline.server.as_text, columns))
    source = as_multiset(pipeline.server.sql(f"select {names} from {source_table or table}"))
    copied = as_multiset(pipeline.copy(f"select {', '.join(columns)} from {table}"))
    assert differences(source, copied) == "", table


def reads(records, table):
    """The snapshot rows among a topic's records."""
    return [record for record in records if record["op"] == "read" and record.get("table") == table]
