"""The Slicer application as the panel's tests need it: a window, the module in it, and the real scene."""

import json
import logging
import os
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

from Testing.harness import modules, real_layer, scripted
from Testing.harness.modules import NAME
from Testing.harness.segment_widgets import STAND_INS
from Testing.harness.views import Layout
from Testing.scene.application import application_scene

# Slicer's Base/Python, in the place of the stand-ins for it; empty: the stand-ins.
REAL_LAYER = os.environ.get("HIDIFF_SLICER_PYTHON", "")
PROOF = {"wrong": [], "torch": "2.5.1", "gpu": "", "free": 0, "total": 0}
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


class App:
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

    def moduleManager(self):  # noqa: N802
        return self

    def currentLogFile(self):  # noqa: N802
        return f"{self.temporaryPath}/slicer.log"

    def translate(self, context, text):
        return text

    def connect(self, signal, slot):
        pass

    def disconnect(self, signal, slot):
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


class _Log(logging.Handler):
    """Slicer's log, of which faults go to a list."""

    def __init__(self, errors):
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record):
        self._errors.append(self.format(record))


class Harness:
    """A running module.

    Args:
        errors: tracebacks of slots and observers, and what was logged as an error.
    """

    def __init__(self, window, errors):
        self.window, self.errors = window, errors
        self.longest_s = 0.0  # that the application did not look at the user

    @property
    def module(self):
        """The Python module; another one after a reload."""
        return sys.modules[NAME]

    @property
    def widget(self):
        """Its HiDiffRefineWidget."""
        return getattr(slicer.modules, f"{NAME}Widget")

    panel = property(lambda self: self.widget.panel)
    ui = property(lambda self: self.widget.panel.ui)
    editor = property(lambda self: self.widget.logic.editor)
    jobs = property(lambda self: self.widget.logic.jobs)

    def enter(self) -> None:
        """The user chooses the module."""
        slicer.modules.hidiffrefine.widgetRepresentation().enter()

    def leave(self) -> None:
        """The user chooses another module."""
        slicer.modules.hidiffrefine.widgetRepresentation().exit()

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


def start() -> None:
    """The application and Slicer's Python layer, once in a process."""
    global _application
    if _application is None:
        if REAL_LAYER:
            real_layer.install(REAL_LAYER)
        else:
            scripted.install()
        sys.modules["qt"].QUiLoader = Loader
        sys.path.insert(0, str(modules.FILE.parent))
        _application = QApplication([])


def answer_proof(lines: str) -> None:
    """Puts in PythonSlicer's place what answers the proof of the installation at once."""
    folder = Path(slicer.app.slicerHome) / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "answer.txt").write_text(lines, encoding="utf-8")
    python = folder / "PythonSlicer"
    python.write_text(f'#!/bin/sh\ncat "{folder}/answer.txt"\n', encoding="utf-8")
    python.chmod(0o755)


@contextmanager
def running_module(size=(420, 760)):
    """As `proven_module`, with a worker: the first one proves the installation."""
    with _running(size, "") as harness:
        yield harness


@contextmanager
def proven_module():
    """The module, entered, in a window, on a new scene; it has no worker, and takes the proof as given."""
    with _running((420, 760), f"HIDIFFREFINE {json.dumps(PROOF)}\n") as harness:
        yield harness


@contextmanager
def _running(size, proof):
    global _device
    start()
    errors: list[str] = []

    def remember(*error) -> None:
        errors.append("".join(traceback.format_exception(*error)))
        sys.__excepthook__(*error)

    sys.excepthook = remember
    log = _Log(errors)
    logging.getLogger().addHandler(log)
    with application_scene() as scene, tempfile.TemporaryDirectory() as folder:
        slicer.mrmlScene, slicer.app = scene, App(scene, folder)
        tables = types.SimpleNamespace(logic=slicer.vtkSlicerTablesLogic)
        slicer.modules = types.SimpleNamespace(tables=tables)
        slicer.dicomDatabase = DICOMDatabase()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetSingletonTag("default")
        scene.AddNode(crosshair)
        if proof:
            answer_proof(proof)
        window = QMainWindow()
        slicer.util.mainWindow = lambda: window
        slicer.util.selectModule = lambda name: None
        panel = modules.Module(window).widgetRepresentation()
        central = QWidget()
        row = QHBoxLayout(central)
        row.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()  # as in Slicer: a long panel is not squeezed
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.NoFrame)
        scroll.setWidget(panel)
        row.addWidget(scroll)
        row.addStretch()
        window.setCentralWidget(central)
        window.resize(*size)
        scroll.setFixedWidth(min(440, size[0]))
        window.show()
        harness = Harness(window, errors)
        if _device and not proof:
            harness.panel.setup.proven, harness.panel.setup.device = True, _device
        harness.enter()
        harness.wait()
        _device = _device if proof else harness.panel.setup.device
        try:
            yield harness
        finally:
            harness.widget.cleanup()
            slicer.app.layout.close()
            window.close()
            window.deleteLater()
            _application.processEvents()
            logging.getLogger().removeHandler(log)
        assert not errors, "\n".join(errors)
