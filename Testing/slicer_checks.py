"""Tests that run inside slicer-core: functions `check_…` of a script, each with a scene of its own.

pytest sees each by its name, but all of a file run in one process, as slicer-core takes seconds to start.
"""

import ast
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

# Pieces of Slicer's own source; Testing/tools/fetch_slicer.sh gets them where they are not at hand.
SLICER_SOURCES = Path(
    os.environ.get("HIDIFF_SLICER", Path(__file__).resolve().parents[2] / "shared" / "slicer")
)


def names_of(script: Path) -> list[str]:
    """The checks of a script, which pytest itself cannot import: it needs slicer."""
    functions = [node for node in ast.parse(script.read_text(encoding="utf-8")).body]
    return [f.name for f in functions if isinstance(f, ast.FunctionDef) and f.name.startswith("check_")]


def outcomes(functions: dict, make_scene: Callable) -> dict[str, str]:
    """Runs the checks among a script's globals: what went wrong, by name; empty if nothing did.

    Args:
        make_scene: gives a context manager of a scene; each check gets one, and a folder of its own.
    """
    wrong = {}
    for name, check in functions.items():
        if name.startswith("check_"):
            try:
                with make_scene() as scene, tempfile.TemporaryDirectory() as folder:
                    check(scene, Path(folder))
                wrong[name] = ""
            except Exception:
                wrong[name] = traceback.format_exc()
    return wrong
