"""The Slicer application as the panel's tests need it: a window, the module in it, and the real scene."""

import os
import runpy
import sys
import tempfile
import time
import traceback
import types
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6.QtCore import QBuffer, QByteArray
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QScrollArea, QWidget

from Testing.harness import scripted
from Testing.harness.views import Layout
from Testing.harness.widgets import STAND_INS
from Testing.scene.application import application_scene

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "HiDiffRefine" / "HiDiffRefine.py"
_application = None
_device = None


class Loader(QUiLoader):
    """Loads .ui files with stand-ins, and makes the connections that Qt cannot make between them."""

    def __init__(self):
        super().__init__()
        for kind in STAND_INS:
            self.registerCustomWidget(kind)

    def load(self, file, parent=None):
        tree = ElementTree.fromstring(Path(file.fileName()).read_text(encoding="utf-8"))
        connections = tree.find("connections")
        tree.remove(connections)
        buffer = QBuffer()
        buffer.setData(QByteArray(ElementTree.tostring(tree)))
        widget = super().load(buffer, parent)
        for connection in connections:
            ends = {part.tag: part.text for part in connection}
            named = {child.name: child for child in [widget, *widget.findChildren(QWidget)]}
            slot = getattr(named[ends["receiver"]], ends["slot"].partition("(")[0])
            named[ends["sender"]].connect(ends["signal"], slot)
        return widget


class _App:
    """slicer.app"""

    def __init__(self, scene, folder):
        self.slicerHome, self.temporaryPath = str(folder), str(folder)
        self.slicerUserSettingsFilePath = str(Path(folder) / "Slicer.ini")
        self._scene = scene
        self.layout = Layout()

    def applicationLogic(self):
        return self._scene.application

    def processEvents(self):  # noqa: N802
        _application.processEvents()

    def layoutManager(self):  # noqa: N802
        return self.layout

    def connect(self, signal, slot):
        pass


class DICOMDatabase:
    """slicer.dicomDatabase, of files in a dictionary."""

    def __init__(self):
        self.files: dict[str, str] = {}

    def fileForInstance(self, uid):  # noqa: N802
        return self.files.get(uid, "")

    def insert(self, path):
        import pydicom

        self.files[pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID] = path


class Harness:
    """A running module.

    Args:
        module: the namespace of HiDiffRefine.py.
        widget: its HiDiffRefineWidget.
        errors: tracebacks of slots and observers.
    """

    def __init__(self, module, widget, window, errors):
        self.module, self.widget, self.window, self.errors = module, widget, window, errors
        self.panel, self.ui, self.jobs = widget.panel, widget.panel.ui, widget.logic.jobs
        self.editor = widget.logic.editor
        self.longest_s = 0.0  # that the application did not look at the user

    def picture(self):
        """The window as it is, a QPixmap."""
        for _ in range(5):  # word-wrapped texts settle the layout in several rounds
            _application.processEvents()
        return self.window.grab()

    def press(self, button) -> None:
        """Clicks a button, and lets the application run until nothing is left to do."""
        self.timed(button.click)
        self.wait()

    def timed(self, act) -> None:
        """Does something that the application looks at nobody else for."""
        start, stolen_s = time.perf_counter(), _stolen_s()
        act()
        took_s = time.perf_counter() - start - (_stolen_s() - stolen_s)
        self.longest_s = max(self.longest_s, took_s)

    def wait(self, until=None, timeout_s: float = 60.0) -> None:
        """Lets the application run until something holds: as a rule, that nothing is left to do."""
        until = until or (lambda: not self.widget.logic.busy)
        end = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < end, f"still waiting; the panel says: {self.ui.messageLabel.text!r}"
            self.timed(_application.processEvents)
            time.sleep(0.001)
        assert not self.errors, "\n".join(self.errors)


def _stolen_s() -> float:
    """How long this thread has been ready to run while others had its core; 0 where nobody tells."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


@contextmanager
def running_module(size=(420, 760)):
    """The module, entered, in a window, on a new scene. Only the first one proves the installation."""
    global _application, _device
    if _application is None:
        scripted.install()
        sys.modules["qt"].QUiLoader = Loader
        sys.path.insert(0, str(MODULE.parent))
        _application = QApplication([])
    errors: list[str] = []

    def remember(*error) -> None:
        errors.append("".join(traceback.format_exception(*error)))
        sys.__excepthook__(*error)

    sys.excepthook = remember
    with application_scene() as scene, tempfile.TemporaryDirectory() as folder:
        slicer.mrmlScene, slicer.app = scene, _App(scene, folder)
        tables = types.SimpleNamespace(logic=slicer.vtkSlicerTablesLogic)
        slicer.modules = types.SimpleNamespace(tables=tables)
        slicer.dicomDatabase = DICOMDatabase()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetSingletonTag("default")
        scene.AddNode(crosshair)
        window = QMainWindow()
        slicer.util.mainWindow = lambda: window
        module = types.ModuleType("HiDiffRefine")
        vars(module).update(runpy.run_path(str(MODULE), run_name="HiDiffRefine"))
        parent = scripted.ModuleWidgetParent(window)
        sys.modules["HiDiffRefine"] = module
        module.__file__ = str(MODULE)
        central = QWidget()
        row = QHBoxLayout(central)
        row.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()  # as in Slicer: a long panel is not squeezed
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.NoFrame)
        scroll.setWidget(parent)
        row.addWidget(scroll)
        row.addStretch()
        window.setCentralWidget(central)
        window.resize(*size)
        scroll.setFixedWidth(min(440, size[0]))
        widget = module.HiDiffRefineWidget(parent)
        widget.setup()
        slicer.modules.HiDiffRefineWidget = widget
        slicer.util.selectModule = lambda name: None
        window.show()
        harness = Harness(module, widget, window, errors)
        if _device:
            widget.panel.setup.proven, widget.panel.setup.device = True, _device
        widget.enter()
        parent.isEntered = True
        harness.wait()
        _device = widget.panel.setup.device
        yield harness
        widget.cleanup()
        slicer.app.layout.close()
        window.close()
        window.deleteLater()
        _application.processEvents()
        assert not errors, "\n".join(errors)
