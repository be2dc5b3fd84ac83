"""Editing sessions on nodes of a real scene (slicer-core): editing, geometries, saving."""

import os
from functools import cache
from pathlib import Path

import pytest

from Testing.slicer_checks import names_of

SCRIPTS = sorted(Path(__file__).parent.glob("*_in_slicer.py"))
REAL = "anatomy_in_slicer.py"
CHECKS = [(script, name) for script in SCRIPTS for name in names_of(script)]


@pytest.fixture(scope="module")
def wrong(in_slicer):
    return cache(in_slicer)


@pytest.mark.parametrize("script, check", CHECKS, ids=[name for _, name in CHECKS])
def test_in_slicer(wrong, script, check, request):
    if script.name == REAL:
        os.environ["HIDIFF_DATA"] = str(request.getfixturevalue("data_dir"))
    if wrong(script)[check]:
        pytest.fail(wrong(script)[check], pytrace=False)
