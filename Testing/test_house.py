"""The house rules that no other tool checks."""

import runpy
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_cmake_lists_every_library_file():
    tool = runpy.run_path(str(REPOSITORY / "Testing" / "tools" / "list_files.py"))
    listed = (REPOSITORY / "HiDiffRefineLib" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert listed == tool["cmake_text"](), "run `make cmake-list`"
