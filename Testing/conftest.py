"""Fixtures that tests of several folders share."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import settings

from Testing.slicer_checks import SLICER_SOURCES

# The same examples in every run, and no time limit on each: the cores may be shared.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parents[1]
# All checks of a script take half a minute on a core of their own; cores may be shared.
HANGS_S = 400


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets, named by HIDIFF_DATA; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("HIDIFF_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HIDIFF_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def small_refiner() -> dict:
    """Arguments of a refiner that runs in a moment."""
    return {
        "channels": [8, 8, 16, 16],
        "light": [8, 8, 8, 16],
        "blocks": [1, 1, 1, 1],
        "embedding": 16,
        "heads": 2,
    }


@pytest.fixture(scope="session")
def copy_bundle():
    """(name of a shipped bundle, folder) → a copy there, without weights and figures, to be changed."""

    def copy(name: str, folder: Path) -> None:
        ignored = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(REPOSITORY / "models" / name, folder, ignore=ignored)
        file = folder / "configs" / "metadata.json"
        metadata = json.loads(file.read_text(encoding="utf-8"))
        settings = metadata["hidiffrefine"]
        settings["weights"] = {}
        if "validation" in settings:
            settings["validation"] = None
        for field in ("dssm", "field_of_view_mm", "voxels_mm"):
            settings.pop(field, None)
        file.write_text(json.dumps(metadata), encoding="utf-8")

    return copy


@pytest.fixture(scope="session")
def slicer_sources() -> Path:
    """The folder of pieces of Slicer's own source; tests that need it skip where it is absent."""
    if not SLICER_SOURCES.is_dir():
        pytest.skip(f"no sources of Slicer at {SLICER_SOURCES}; Testing/tools/fetch_slicer.sh gets them")
    return SLICER_SOURCES


@pytest.fixture(scope="session")
def in_slicer(request):
    """(script, arguments) → what its `main` returns in slicer-core; skips where that is not installed.

    With `real_layer`, on Slicer's own Python layer instead of the stand-ins for it. `module` is the file of
    an installed module, which is used instead of the checkout's.
    """

    def run(script: Path, *arguments: str, real_layer: bool = False, module: Path | None = None):
        command = [sys.executable, str(REPOSITORY / "Testing/run_in_slicer.py"), str(script), *arguments]
        environment = dict(os.environ)
        if real_layer:
            series = "5.12" if version("slicer-core").startswith("5.12.") else "main"
            folder = request.getfixturevalue("slicer_sources") / series
            environment["HIDIFF_SLICER_PYTHON"] = str(folder / "Base" / "Python")
        if module is not None:
            environment["HIDIFF_MODULE"] = str(module)
        how = {"capture_output": True, "encoding": "utf-8", "timeout": HANGS_S}
        done = subprocess.run(command, env=environment, **how)
        assert done.stdout, f"slicer-core ended with {done.returncode}: {done.stderr[-2000:]}"
        answer = json.loads(done.stdout)
        if "missing" in answer:
            pytest.skip(f"slicer-core cannot be imported here: {answer['missing']}")
        return answer

    return run


@pytest.fixture(scope="session")
def by_thresholds():
    """(low, high) → a segmentor without training: background below low, label 2 from high, else label 1."""
    import torch

    def make(low: float, high: float) -> torch.nn.Conv3d:
        network = torch.nn.Conv3d(1, 3, 1).requires_grad_(False).eval()
        network.weight.copy_(torch.tensor([0.0, 40, 80]).view(3, 1, 1, 1, 1))
        network.bias.copy_(torch.tensor([0.0, -40 * low, -40 * (low + high)]))
        return network

    return make


@pytest.fixture(scope="session")
def randomise():
    """Gives every weight of a network a random value, those that training finds at zero too."""
    import torch

    def fill(network, seed=0):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in network.parameters():
                noise = torch.randn(weight.shape, generator=generator)
                if weight.dim() > 1:
                    weight.copy_(noise / weight[0].numel() ** 0.5)
                else:
                    weight.add_(0.2 * noise)
        return network

    return fill
