"""The extension as Slicer's own CMake macros build and install it, on a stub of a built Slicer."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
MODULES = "lib/Slicer-5.12/qt-scripted-modules"


@pytest.fixture(scope="module")
def installed(slicer_sources, tmp_path_factory) -> Path:
    """The folder of scripted modules after configuring, building and installing."""
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake here, with which Slicer builds extensions")
    folder = tmp_path_factory.mktemp("extension")
    build = folder / "build"
    settings = {
        "CMAKE_MODULE_PATH": HERE,
        "CMAKE_INSTALL_PREFIX": folder / "installed",
        "SLICER_SOURCES": slicer_sources,
        "PYTHON_EXECUTABLE": sys.executable,
        "BUILD_TESTING": "ON",
    }
    run("cmake", "-S", REPOSITORY, "-B", build, *(f"-D{name}={value}" for name, value in settings.items()))
    run("cmake", "--build", build)
    run("cmake", "--install", build)
    return folder / "installed" / MODULES


def run(*command) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("folder, within", [("HiDiffRefine", "."), ("HiDiffRefineLib", "HiDiffRefineLib")])
def test_all_that_the_module_needs_is_installed_and_compiled(installed, folder, within):
    kinds = (".py", ".json", ".ui", ".png", ".txt")
    files = [file for file in (REPOSITORY / folder).rglob("*") if file.suffix in kinds]
    files = [file for file in files if file.name != "CMakeLists.txt"]
    assert len(files) > 15
    for file in files:
        there = installed / within / file.relative_to(REPOSITORY / folder)
        assert there.read_bytes() == file.read_bytes(), file
        assert file.suffix != ".py" or there.with_suffix(".pyc").is_file(), file
    assert (installed / "models" / "refiner" / "configs" / "metadata.json").is_file()


def test_the_modules_own_test_is_among_those_that_slicer_runs(installed):
    listed = run("ctest", "--test-dir", installed.parents[3] / "build", "-N", "-V")
    assert "runUnitTest" in listed and "py_HiDiffRefine" in listed


def test_the_module_passes_its_own_test(in_slicer):
    in_slicer(HERE / "own_test.py")


def test_the_installed_module_passes_its_own_test(installed, in_slicer):
    """On Slicer's own Python layer, with the library and the models of the installed tree."""
    module = installed / "HiDiffRefine.py"
    told = in_slicer(HERE / "own_test.py", real_layer=True, module=module)
    assert told == {"module": str(module), "library": str(installed / "HiDiffRefineLib" / "__init__.py")}
