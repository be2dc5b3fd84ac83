"""Slicer's own Python layer in the place of the stand-ins of `scripted`: read from a folder, never copied.

The folder is Slicer's Base/Python. What the layer wants of Qt, CTK and Slicer's widgets at import are
stand-ins where the panel has such a widget, and classes without anything where it has none.
"""

import importlib
import sys
from functools import cache

import slicer
from PySide6.QtWidgets import QWidget

from Testing.harness.segment_widgets import STAND_INS

_STAND_INS = {kind.__name__: kind for kind in STAND_INS}


def install(folder: str) -> None:
    """Puts the layer where modules import it from."""
    sys.modules["ctk"].__getattr__ = _class
    slicer.__getattr__ = _class
    # After slicer-core's own, whose slicer.util is compiled from the same source.
    slicer.__path__.append(f"{folder}/slicer")
    for name in ("i18n", "packaging", "parameterNodeWrapper", "ScriptedLoadableModule"):
        importlib.import_module(f"slicer.{name}")


@cache
def _class(name: str) -> type:
    if not name.startswith(("ctk", "qMRML", "qSlicer")):
        raise AttributeError(name)
    return _STAND_INS.get(name) or type(name, (QWidget,), {})
