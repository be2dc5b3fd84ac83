"""The panel on the harness: real scene, real .ui file, PySide6 in the place of Slicer's qt."""

import sys
from functools import cache
from pathlib import Path

import pytest

from Testing.slicer_checks import SLICER_SOURCES, names_of

SCRIPTS = sorted(Path(__file__).parent.glob("*_in_slicer.py"))
# On the stand-ins for Slicer's Python layer, and on the layer itself. What takes long, or comes near to
# nothing of that layer, runs once: on the layer, where it is there.
ONCE = (SLICER_SOURCES.is_dir(),)
LAYERS = {f"{name}_in_slicer.py": ONCE for name in ("users", "views", "hover", "export", "setup", "looks")}
CHECKS = [
    pytest.param(
        script,
        real_layer,
        name,
        id=f"{name}-{'real' if real_layer else 'stand-ins'}",
        marks=[pytest.mark.alone] if script.name == "waits_in_slicer.py" else [],
    )
    for script in SCRIPTS
    for real_layer in LAYERS.get(script.name, (False, True))
    for name in names_of(script)
]


@pytest.fixture(scope="module")
def wrong(in_slicer):
    return cache(in_slicer)


@pytest.mark.parametrize("script, real_layer, check", CHECKS)
def test_in_slicer(wrong, script, real_layer, check):
    if told := wrong(script, real_layer=real_layer)[check]:
        pytest.fail(told, pytrace=False)


def test_a_checkout_finds_its_library_from_the_modules_folder_alone(in_slicer):
    library = Path(__file__).resolve().parents[2] / "HiDiffRefineLib"
    assert in_slicer(Path(__file__).with_name("alone.py")) == str(library / "__init__.py")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_killed_program_loses_no_hint(in_slicer, tmp_path):
    script = Path(__file__).with_name("crash.py")
    with pytest.raises(AssertionError, match="ended with -9"):
        in_slicer(script, "work", str(tmp_path))
    told = in_slicer(script, "go on", str(tmp_path))
    assert told == {"hints": "Hints held: 3 of 3", "met": True, "agree": True}
