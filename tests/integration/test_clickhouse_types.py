"""Every type of Postgres, by every way that a row can come, into ClickHouse: the same value, or one that was asked for."""
import json

import pytest

from tests.integration.test_types import FORMATS, World, database, same, servers, shown  # noqa: F401 (servers is a fixture)
from tests.servers import clickhouse as clickhouse_servers
from tests.support.clickhouse_copy import new_database, query, sink
from tests.support.daemon import wait_until

# Types and literals that no ClickHouse type of theirs holds: these columns are created as text, as an operator would.
FAR = ("infinity", "BC", "294276", "5874897", "0001-01-01", "NaN", "Infinity")


def needs_text(case):
    base = case.type.removesuffix("[]").split("(")[0]
    if case.type.endswith("[]") and ("{{" in case.literal or case.literal.startswith("[")):
        return True
    dated = base in ("date", "timestamp", "timestamptz")
    return (dated or (base == "numeric" and "(" in case.type)) and any(part in case.literal for part in FAR)


def expected_of(world, case, type_):
    """What ClickHouse prints of the value in a column of the type, as text; arrays as lists."""
    text = world.texts[case.column]
    plain = type_.removeprefix("LowCardinality(").removeprefix("Nullable(")
    if case.type == "bytea":
        return bytes.fromhex(text[2:]).decode("utf-8", "surrogateescape")
    if plain.startswith("Array("):
        return world.expected(case)
    if case.type.endswith("[]") or case.type in ("tags", "moods"):
        return world.expected(case)
    if plain.startswith("Bool"):
        return "true" if text == "t" else "false"
    if plain.startswith("UInt8"):
        return "1" if text == "t" else "0"
    if case.type == "bool":
        return "true" if text == "t" else "false"
    if plain.startswith("Float64"):
        return float(text.replace("Infinity", "inf"))
    if plain.startswith("DateTime64"):
        whole, _, fraction = text.removesuffix("+00").partition(".")
        return f"{whole}.{fraction:0<6}"
    return text


def element(value, type_):
    if isinstance(value, list):
        return [element(one, type_) for one in value]
    if isinstance(value, float):
        return value
    if isinstance(value, str) and "DateTime64" in type_:
        return value.replace("T", " ").removesuffix("Z") + ("" if "." in value else ".000000")
    if isinstance(value, (int, bool)) or value is None:
        return value
    if "Float64" in type_:
        return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(value, value)
    return value if isinstance(value, str) else json.dumps(value)


def read(value, type_):
    """Of ClickHouse's toJSONString of an array: numbers of more than 53 bits and what JSON lacks come as text."""
    if isinstance(value, list):
        return [read(one, type_) for one in value]
    if "Int64" in type_ and isinstance(value, str):
        return int(value)
    if "Float64" in type_ and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if "Decimal" in type_ and value is not None:
        return format(float(value), ".2f")
    return value


@FORMATS
@pytest.mark.parametrize("flavour", clickhouse_servers.FLAVOURS)
def test_every_type(servers, tmp_path, binary, flavour):  # noqa: F811
    try:
        clickhouse_servers.fetch(flavour)
    except Exception as error:
        pytest.skip(f"ClickHouse ({flavour}) cannot be had: {error}")
    with database(servers()) as name, clickhouse_servers.ClickHouseServer(flavour) as clickhouse:
        world = World(servers(), binary, name)
        types = {case.column: "Nullable(String)" for case in world.cases if needs_text(case)}
        target = new_database(clickhouse)
        tables = [{"match": f"public.{table}", "columns": {"types": types}} for table in ("full_rows", "default_rows")]
        pipeline = world.pipeline(tmp_path, sinks={"warehouse": sink(clickhouse, target, tables)})

        def marks():
            if not {"full_rows", "default_rows"} <= clickhouse.tables(target):
                return []
            return [clickhouse.rows(f"select mark from {target}.{table} final where id = 3") for table in ("full_rows", "default_rows")]

        with pipeline.start() as daemon:
            daemon.wait_state("streaming")
            wait_until("the copied rows", lambda: world.copied(pipeline))
            world.write()
            wait_until("the rows", lambda: daemon.sink("warehouse")["dead_stored"] > 0 or marks() == [[("1",)], [("1",)]], 60)
            assert daemon.sink("warehouse")["dead_stored"] == 0, pipeline.command("dead-letters", "list", "--server", daemon.url).stdout
            assert daemon.stop() == 0
        check(world, clickhouse, target)


def shown_as(case, type_, flavour):
    if not type_.startswith("Array(") or flavour == "server_18_16":
        return case.column
    if case.type == "bytea[]":
        return f"toJSONString(arrayMap(x -> concat('\\\\x', lower(hex(x))), {case.column}))"
    return f"toJSONString({case.column})"


def check(world, clickhouse, target):
    wrong = []
    for table in ("full_rows", "default_rows"):
        types = dict(clickhouse.rows(f"select name, type from system.columns where database = '{target}' and table = '{table}'"))
        columns = [shown_as(case, types[case.column], clickhouse.flavour) for case in world.cases]
        rows = query(clickhouse, f"select id, {', '.join(columns)} from {target}.{table} final where _deleted = 0 order by id")
        assert [row[0] for row in rows] == ["1", "2", "3"]
        for row in rows:
            for case, value in zip(world.cases, row[1:]):
                type_ = types[case.column]
                expected = expected_of(world, case, type_)
                if type_.startswith("Array("):
                    if clickhouse.flavour == "server_18_16":
                        continue  # prints no JSON; the sink writes the same bytes as to the other
                    value, expected = read(json.loads(value), type_), element(expected, type_)
                    if "Decimal" in type_:
                        expected = [None if one is None else format(float(one), ".2f") for one in expected]
                elif isinstance(expected, (list, dict)):
                    value = json.loads(value)
                elif isinstance(expected, float):
                    value = float(value)
                if not same(value, expected):
                    wrong.append(f"{table} {row[0]}: {case} in {type_}: {shown(value)} instead of {shown(expected)}")
    assert wrong == [], "\n".join(wrong[:20])
