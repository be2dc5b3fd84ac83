"""Installs what is missing into Slicer's Python, and leaves everything else there as it is.

monai's newest release wants the newest torch. pip would fetch that from the package index, over the one that
was chosen for this computer's GPU: hence the versions that are there bind it, and it takes a monai that fits.
"""

import importlib
import importlib.metadata
import re
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
OLDEST_TORCH = (2, 2)
# What others chose, and Slicer or its extensions stand on. The GPU's torchvision is bound to its torch.
KEPT = ("torch", "torchvision", "numpy", "SimpleITK")


def install() -> None:
    """Installs torch if there is none, and the rest.

    Raises:
        WorkerError: the torch that is there is too old, or something could not be installed.
    """
    from HiDiffRefineLib.errors import WorkerError

    torch = installed("torch")
    if torch is not None:
        refuse_old_torch(torch)
    try:
        if torch is None:
            _install_torch()
        _install_rest()
    except Exception as error:  # pip and network have many ways to fail
        raise WorkerError(
            _("The installation failed: {error}.").format(error=error),
            _("Check the network connection, and try again."),
        ) from error


def refuse_old_torch(version: str) -> None:
    """Raises WorkerError where a version of torch, as it names itself, is too old."""
    from HiDiffRefineLib.errors import WorkerError

    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_TORCH:
        oldest = ".".join(str(number) for number in OLDEST_TORCH)
        raise WorkerError(
            _("PyTorch {version} is too old: {oldest} or newer is needed.").format(
                version=version, oldest=oldest
            ),
            _(
                "Open the module 'PyTorch Util', press 'Uninstall PyTorch', restart 3D Slicer, and press"
                " 'Set up' here."
            ),
        )


def installed(package: str) -> str | None:
    """The version of a package in Slicer's Python; None if it is not there."""
    importlib.invalidate_caches()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ImportError as error:
        raise RuntimeError(
            _("the extension 'PyTorch' is missing: install it in the Extensions Manager, restart 3D Slicer")
        ) from error
    oldest = ".".join(str(number) for number in OLDEST_TORCH)
    logic = PyTorchUtils.PyTorchUtilsLogic()
    logic.installTorch(askConfirmation=False, torchVersionRequirement=f">={oldest}")


def _install_rest() -> None:
    versions = {package: installed(package) for package in KEPT}
    kept = "".join(f"{package}=={version}\n" for package, version in versions.items() if version)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(kept, encoding="utf-8")
        slicer.util.pip_install(["-c", str(constraints), "-r", str(REQUIREMENTS)])
