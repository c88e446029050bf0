"""Every code that a source, a sink or a topic can say has its heading in the runbook, and no heading is stale."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where a code stands: behind a disposition or a severity that asks for a person, in a gap, in what is wrong with a table.
CODES = [
    r'\bk(?:Retry|Operator|NeedsOperator|Gap|Fatal|Reject)\s*,\s*"([a-z0-9_]+)"',
    r'\bGap\(\s*"([a-z_]+)"',
    r'Severity::k(?:Error|Warning)\s*,\s*"([a-z_]+)"',
    r'\bcode = "([a-z0-9_]+)"',
    r'problems\.push_back\(\s*\{\s*"([a-z_]+)"',
]
# Sinks sort answers of other systems by tables of their own: there a code is told by its first word.
SINK_CODES = CODES + [
    r'"((?:sqlite|opensearch|clickhouse|pg|webhook|kafka|http|stdout|topic|schema)_[a-z0-9_]+)"',
    r'std::string_view k\w+ = "([a-z]+_[a-z0-9_]+)"',
    r'(?:Verdict::\w+|Refuse)\(\s*"([a-z_]+)"',
    r'Severity::kInfo\s*,\s*"([a-z_]+)"',
]
ENGINE = ["src/support", "src/support/kafka", "src/topic", "src/topic/local", "src/topic/kafka", "src/pipeline", "src/codec",
          "src/expression", "src/sdk", "src/checkpoint", "src/snapshot"]
SOURCES = ["connectors/postgres", "connectors/mysql"]
# What looks like a code and is none: words of the code itself, and answers to a command, which say to whoever typed it what is wrong.
NO_CODES = {
    "capture", "http_client", "max_partitions_per_insert_block", "output_format_binary_write_json_as_string", "tailwater_part", "topic_head", "topic_lease",
    "topic_will_be_made", "topic_not_ours", "schema_changes", "rewind_keyless", "rewind_refused", "rows_replaced",
    "sink_unknown", "sink_takes_no_snapshot", "sink_takes_no_table", "source_unknown", "source_elsewhere", "snapshot_exists",
    "snapshot_keyless_where", "snapshot_not_stored", "snapshot_unknown", "table_not_captured"}


def said(folders, patterns):
    codes = {}
    for path in sorted(path for folder in folders for path in (ROOT / folder).glob("*.cc")):
        text = path.read_text()
        crash_points = set(re.findall(r'TW_CRASH_POINT\("([a-z_]+)"\)', text))
        for pattern in patterns:
            for code in re.findall(pattern, text):
                if code not in crash_points | NO_CODES:
                    codes.setdefault(code, path.name)
    return codes


def spoken():
    """Any folder below connectors/ that is no source's is a sink's: a new one is asked for its headings without an edit here."""
    sinks = sorted({str(path.parent.relative_to(ROOT)) for path in (ROOT / "connectors").rglob("*.cc")} - {"connectors", *SOURCES})
    assert "connectors/postgres/sink" in sinks
    codes = said(SOURCES, CODES)
    from_sinks = said(sinks, SINK_CODES)
    from_engine = said(ENGINE, SINK_CODES)
    assert len(codes) > 50 and len(from_sinks) > 50 and len(from_engine) > 50, "the patterns above find nothing any more"
    return {"base_missing": "sink.h", **from_engine, **from_sinks, **codes}


def headings():
    return re.findall(r"^## ([a-z0-9_]+)$", (ROOT / "deploy/runbook.md").read_text(), re.MULTILINE)


def test_every_code_has_its_heading_and_no_heading_is_stale():
    codes, found = spoken(), headings()
    assert sorted(set(found)) == sorted(found), "a heading stands twice"
    missing = {code: where for code, where in codes.items() if code not in found}
    assert missing == {}, "no heading in deploy/runbook.md"
    assert [heading for heading in found if heading not in codes] == [], "nothing says this code any more"


def test_links_inside_the_runbook_lead_somewhere():
    text = (ROOT / "deploy/runbook.md").read_text()
    anchors = {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in anchors] == []
