"""Adds up the JUnit reports below a folder; names every failure and every skip; ends with 'N passed, N failed, N skipped'."""
import pathlib
import sys
import xml.etree.ElementTree as xml

passed, failed, skipped = 0, [], []
for report in sorted(pathlib.Path(sys.argv[1]).rglob("*.xml")):
    for case in xml.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skip = case.find("skipped")
            reason = skip.get("message") if skip is not None else "not run"
            skipped.append(f"{name}: {reason.strip().splitlines()[-1]}")  # gtest puts file and line in front
        else:
            passed += 1

for name in failed:
    print(f"failed   {name}")
for name in skipped:
    print(f"skipped  {name}")
print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(1 if failed or passed == 0 else 0)
