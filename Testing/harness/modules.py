"""A scripted module and its panel as Slicer's C++ keeps them: read from its file, entered, left, read again.

Names as in qSlicerScriptedLoadableModule and qSlicerScriptedLoadableModuleWidget. Never shipped.
"""

import importlib.util
import os
import sys
from pathlib import Path

import slicer
from PySide6.QtWidgets import QVBoxLayout, QWidget

REPOSITORY = Path(__file__).resolve().parents[2]
# The installed module instead of the checkout's, where a test says so.
FILE = Path(os.environ.get("HIDIFF_MODULE") or REPOSITORY / "HiDiffRefine" / "HiDiffRefine.py")
NAME = FILE.stem


class Module:
    """The module, read from its file.

    Args:
        window: what its panel lives in.
    """

    def __init__(self, window):
        self.name, self.path = NAME, str(FILE)
        self._window, self._panel = window, None
        spec = importlib.util.spec_from_file_location(NAME, FILE)
        sys.modules[NAME] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        setattr(slicer.modules, f"{NAME}Instance", getattr(module, NAME)(self))
        setattr(slicer.modules, NAME.lower(), self)

    def widgetRepresentation(self):
        """The panel, made when it is first asked for."""
        if self._panel is None:
            self._panel = Panel(self._window)
            self._panel.reload()
        return self._panel


class Panel(QWidget):
    """Where the widget that Python made lives. An error in Python is printed, and C++ goes on."""

    def __init__(self, window):
        super().__init__(window)
        self.isEntered = False
        QVBoxLayout(self).setContentsMargins(0, 0, 0, 0)

    def reload(self):
        """Makes the widget anew, from the module as it is now; does not enter it."""
        widget = getattr(sys.modules[NAME], f"{NAME}Widget")(self)
        setattr(slicer.modules, f"{NAME}Widget", widget)
        self._call("setup")

    def enter(self):
        """The module comes to the front."""
        self.isEntered = True
        self._call("enter")

    def exit(self):
        """Another module comes to the front."""
        self.isEntered = False
        self._call("exit")

    def _call(self, name):
        try:
            getattr(getattr(slicer.modules, f"{NAME}Widget"), name)()
        except Exception:
            sys.excepthook(*sys.exc_info())
