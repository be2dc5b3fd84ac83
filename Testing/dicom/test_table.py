"""The table of odd input names tests that are there."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "ways-in-and-out-dicom.md"


def test_each_line_names_a_test_that_is_there():
    rows = [
        line.split("|")[-2] for line in TABLE.read_text(encoding="utf-8").splitlines() if "`test_" in line
    ]
    assert len(rows) > 30
    for row in rows:
        for file, names in re.findall(r"`([\w/]*test_\w+)`(?:: )?((?:(?:, )?`(?!test_)[^`]+`)*)", row):
            path = (HERE.parents[1] if "/" in file else HERE) / f"{file}.py"
            tests = re.findall(r"def test_(\w+)", path.read_text(encoding="utf-8"))
            for name in re.findall(r"`([^`]+)`", names):
                assert any(test.startswith(name.rstrip("…")) for test in tests), (file, name)
