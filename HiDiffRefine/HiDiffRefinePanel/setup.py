"""What the worker needs: proven before anything is called ready, installed only when the user asks for it."""

import importlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from HiDiffRefinePanel.editor import python_path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
# Imported for real, in a process of its own: an installation that only looks complete is found out here.
_PROOF = """
import json, os, torch, monai, safetensors.torch, scipy.ndimage, jsonschema
if torch.cuda.is_available():
    device, (free, total) = torch.cuda.get_device_name(0), torch.cuda.mem_get_info()
else:
    device = "Apple GPU" if torch.backends.mps.is_available() else "CPU"
    there = getattr(os, "sysconf_names", ())  # Windows has none, macOS does not say what is free
    pages = [os.sysconf(n) if n in there else 0 for n in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES")]
    free, total = (n and n * os.sysconf("SC_PAGE_SIZE") for n in pages)
print(json.dumps({"torch": torch.__version__, "device": device, "free": free, "total": total}))
"""
_LIBRARY = ("bundles", "inference.messages", "session.session", "scene.scene_session", "runtime.worker")


class Setup:
    """Whether the worker can run, on which device, and what to do if it cannot."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.proven = False
        self.wanted = False
        self.device = _("Not checked yet")
        self.say: Callable[[str], None] = lambda text: None
        self.ready: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Has the interpreter of the worker import everything, which takes some seconds."""
        self.device = _("Checking the installation…")
        self.jobs.start(self._checking())

    def install(self) -> None:
        """Asks in plain words, installs, and checks again."""
        text = _(
            "HiDiffRefine needs PyTorch (up to some gigabytes) and four small Python packages. They are"
            " downloaded from the Python package index and installed into this 3D Slicer. Install them now?"
        )
        if not slicer.util.confirmOkCancelDisplay(text):
            return
        try:
            _install_torch()
            _install_rest()
        except Exception as error:  # pip and network have many ways to fail; none may take the panel along
            self.say(
                _("The installation failed: {error}. Check the network connection, and try again.").format(
                    error=error
                )
            )
            return
        self.check()

    def _checking(self) -> Iterator[None]:
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen([python_path(), "-c", _PROOF], stdout=output, stderr=subprocess.STDOUT)
            try:
                while process.poll() is None:
                    yield None
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            text = output.read()
        self.proven = process.returncode == 0
        self.wanted = not self.proven
        if self.proven:
            found = json.loads(text.splitlines()[-1])
            self.device = _describe(**found)
            for module in _LIBRARY:  # now, one at a time: a click would have to wait for all of them
                importlib.import_module(f"HiDiffRefineLib.{module}")
                yield None
            self.ready()
        else:
            self.device = _("PyTorch or a package is missing")
            self.say(_("Press 'Set up' once: it installs what the models need."))


def _describe(torch: str, device: str, free: int, total: int) -> str:
    """Device and memory (bytes; 0: not known) in one line."""
    parts = [device]
    if free:
        parts.append(_("{free:.1f} of {total:.1f} GB free").format(free=free / 2**30, total=total / 2**30))
    elif total:
        parts.append(_("{total:.1f} GB").format(total=total / 2**30))
    return ", ".join([*parts, f"PyTorch {torch}"])


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise RuntimeError(
            _("the extension 'PyTorch' is missing: install it in the Extensions Manager, restart 3D Slicer")
        ) from error
    PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=">=2.2")


def _install_rest() -> None:
    try:
        import slicer.packaging as packaging
    except ImportError:  # before Slicer 5.12
        slicer.util.pip_install(["-r", str(REQUIREMENTS)])
    else:
        packaging.pip_ensure(packaging.load_requirements(str(REQUIREMENTS)), requester="HiDiffRefine")
