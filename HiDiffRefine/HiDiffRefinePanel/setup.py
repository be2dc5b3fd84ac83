"""What the worker needs: proven before anything is called ready, installed only when the user asks for it."""

import importlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import qt
import slicer
from slicer.i18n import tr as _

from HiDiffRefinePanel.editor import python_path
from HiDiffRefinePanel.install import install, refuse_old_torch

MARK = "HIDIFFREFINE "
# Imported for real, in a process of its own: an installation that only looks complete is found out here.
# Warnings of what is imported go to the same stream, hence the mark.
_PROOF = f"""
import importlib, json, os
found = {{"wrong": [], "torch": "", "gpu": "", "free": 0, "total": 0}}
for name in ("torch", "monai", "safetensors.torch", "scipy.ndimage", "jsonschema"):
    try:
        importlib.import_module(name)
    except Exception as error:
        found["wrong"].append(name.partition(".")[0] + ": " + str(error))
try:
    import torch
    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
        found["free"], found["total"] = torch.cuda.mem_get_info()
    else:
        found["gpu"] = "Apple GPU" if torch.backends.mps.is_available() else ""
        there = getattr(os, "sysconf_names", ())  # Windows has none, macOS does not say what is free
        pages = [os.sysconf(n) if n in there else 0 for n in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES")]
        found["free"], found["total"] = (n and n * os.sysconf("SC_PAGE_SIZE") for n in pages)
except ImportError:
    pass  # among what is wrong already
print("\\n{MARK}" + json.dumps(found))
"""
_LIBRARY = ("bundles", "inference.messages", "session.session", "scene.scene_session", "runtime.worker")


class Setup:
    """Whether the worker can run, on which devices, and what to do if it cannot."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.proven = False
        self.wanted = False  # whether an installation would help
        self.installing = False
        self.device = _("Not checked yet")
        self.gpu = ""  # its name, if torch can use one
        self.say: Callable[[str], None] = lambda text: None
        self.ready: Callable[[], None] = lambda: None
        self.changed: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Has the interpreter of the worker import everything, which takes some seconds."""
        self.device = _("Checking the installation…")
        self.jobs.start(self._checking())

    def install(self) -> None:
        """Asks in plain words, installs, and checks again.

        Raises:
            WorkerError: torch is too old, or something could not be installed.
        """
        text = _(
            "HiDiffRefine needs PyTorch (up to some gigabytes) and four small Python packages. They are"
            " downloaded from the Python package index and installed into this 3D Slicer. What is installed"
            " already stays as it is. Install them now?"
        )
        if not slicer.util.confirmOkCancelDisplay(text):
            return
        self.installing = True
        self.changed()
        self.say(_("Downloading and installing: this takes minutes, in which 3D Slicer may not answer."))
        slicer.app.processEvents()
        qt.QApplication.setOverrideCursor(qt.QCursor(qt.Qt.WaitCursor))
        try:
            install()
        finally:
            qt.QApplication.restoreOverrideCursor()
            self.installing = False
            self.changed()
        self.say("")
        self.check()

    def _checking(self) -> Iterator[None]:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                [python_path(), "-c", _PROOF],
                stdout=output,
                stderr=subprocess.STDOUT,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            try:
                while process.poll() is None:
                    yield None
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            lines = output.read().splitlines()
        marked = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
        if marked:
            found = json.loads(marked[-1])
        else:
            found = {"wrong": [" ".join(lines[-1:]) or _("Python ended without an answer")], "torch": ""}
        self.proven, self.wanted, self.device = False, True, _("PyTorch or a package is missing")
        self.gpu = found.get("gpu", "")
        if found["torch"]:
            refuse_old_torch(found["torch"])
        if found["wrong"]:
            self.say(
                _("Press 'Set up' once: it installs what the models need. Now missing: {what}.").format(
                    what="; ".join(found["wrong"])
                )
            )
            return
        self.proven, self.wanted, self.device = True, False, _describe(**found)
        for module in _LIBRARY:  # now, one at a time: a click would have to wait for all of them
            importlib.import_module(f"HiDiffRefineLib.{module}")
            yield None
        self.ready()


def _describe(torch: str, gpu: str, free: int, total: int, wrong: list) -> str:
    """Device and memory (bytes; 0: not known) in one line."""
    parts = [gpu or _("CPU")]
    if free:
        parts.append(_("{free:.1f} of {total:.1f} GB free").format(free=free / 2**30, total=total / 2**30))
    elif total:
        parts.append(_("{total:.1f} GB").format(total=total / 2**30))
    return ", ".join([*parts, f"PyTorch {torch}"])
