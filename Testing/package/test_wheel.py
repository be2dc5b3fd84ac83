"""A wheel, installed where there is nothing of this repository, segments a real image.

Its dependencies are those of this environment, seen through a .pth file: to download torch takes minutes.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("HiDiffRefineLib", "models", "pyproject.toml", "setup.py", "README.md", "LICENSE.txt")


def run(*command, **how) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, encoding="utf-8", **how)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools leaves its traces beside the source."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        copy = shutil.copytree if (REPOSITORY / part).is_dir() else shutil.copyfile
        copy(REPOSITORY / part, source / part)
    how = ["--no-deps", "--no-build-isolation", "--quiet"]
    run(sys.executable, "-m", "pip", "wheel", *how, "--wheel-dir", source / "dist", source)
    (file,) = (source / "dist").glob("*.whl")
    return file


def test_the_wheel_holds_the_library_the_models_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top.partition("-")[0] for top in tops} == {"HiDiffRefineLib", "hidiffrefine"}
    for name in ("abdomen-ct", "brain-mr", "hippocampus-mr", "refiner"):
        for file in ("LICENSE", "configs/metadata.json", "docs/README.md"):
            assert f"HiDiffRefineLib/models/{name}/{file}" in names
    assert "HiDiffRefineLib/bundles/schema.json" in names


def test_it_segments_from_an_environment_of_its_own(wheel, data_dir, tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name == "posix")
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    places = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    site = Path(sysconfig.get_path("purelib", "venv", places))
    site.joinpath("dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = scripts / Path(sys.executable).name
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel)
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HIDIFF_MODELS")}
    here = {"cwd": tmp_path, "env": kept}
    found = run(python, "-c", "import HiDiffRefineLib; print(HiDiffRefineLib.__file__)", **here)
    assert Path(found.strip()).is_relative_to(site)
    image = sorted((data_dir / "mr_hippocampus" / "images").iterdir())[0]
    output = tmp_path / "mask.seg.nrrd"
    command = ["segment", image, "--bundle", "hippocampus-mr", "--output", output, "--prior-only"]
    assert "anterior hippocampus" in run(scripts / "hidiffrefine", *command, **here)
    assert output.stat().st_size > 500
