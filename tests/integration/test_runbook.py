"""Every code that a source can say has its heading in the runbook, and no heading is stale."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Where a code stands: behind a disposition or a severity that asks for a person, in a gap, in what is wrong with a table.
CODES = [
    r'\bk(?:Retry|Operator|NeedsOperator|Gap|Fatal|Reject)\s*,\s*"([a-z_]+)"',
    r'\bGap\(\s*"([a-z_]+)"',
    r'Severity::k(?:Error|Warning)\s*,\s*"([a-z_]+)"',
    r'\bcode = "([a-z_]+)"',
    r'problems\.push_back\(\s*\{\s*"([a-z_]+)"',
]


def spoken():
    codes = {}
    for path in sorted(path for source in ("postgres", "mysql") for path in (ROOT / "connectors" / source).glob("*.cc")):
        text = path.read_text()
        for pattern in CODES:
            for code in re.findall(pattern, text):
                codes.setdefault(code, path.name)
    return codes


def test_every_code_has_its_heading_and_no_heading_is_stale():
    codes = spoken()
    assert len(codes) > 50, "the patterns above find nothing any more"
    headings = re.findall(r"^## ([a-z_]+)$", (ROOT / "deploy/runbook.md").read_text(), re.MULTILINE)
    assert sorted(set(headings)) == sorted(headings), "a heading stands twice"
    missing = {code: where for code, where in codes.items() if code not in headings}
    assert missing == {}, "no heading in deploy/runbook.md"
    assert [heading for heading in headings if heading not in codes] == [], "nothing says this code any more"
