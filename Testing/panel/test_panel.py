"""The panel on the harness: real scene, real .ui file, PySide6 in the place of Slicer's qt."""

import sys
from functools import cache
from pathlib import Path

import pytest

from Testing.slicer_checks import names_of

SCRIPTS = sorted(Path(__file__).parent.glob("*_in_slicer.py"))
CHECKS = [(script, name) for script in SCRIPTS for name in names_of(script)]


@pytest.fixture(scope="module")
def wrong(in_slicer):
    return cache(in_slicer)


@pytest.mark.parametrize("script, check", CHECKS, ids=[name for _, name in CHECKS])
def test_in_slicer(wrong, script, check):
    if wrong(script)[check]:
        pytest.fail(wrong(script)[check], pytrace=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_killed_program_loses_no_hint(in_slicer, tmp_path):
    script = Path(__file__).with_name("crash.py")
    with pytest.raises(AssertionError, match="ended with -9"):
        in_slicer(script, "work", str(tmp_path))
    told = in_slicer(script, "go on", str(tmp_path))
    assert told == {"hints": "Hints held: 3 of 3", "met": True, "agree": True}
