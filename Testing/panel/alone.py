"""The module where nothing but its own folder is on Python's path, as in Slicer; run by `run_in_slicer`."""

import importlib.util
import sys

import slicer

from Testing.harness import application, modules


def main() -> str:
    """Where the library is then found."""
    application.start()
    slicer.modules = type(sys)("modules")
    slicer.app = application.App(None, "")
    root = str(modules.REPOSITORY)
    sys.path[:] = [place for place in sys.path if place not in ("", root)]
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "HiDiffRefineLib"]:
        del sys.modules[name]
    assert importlib.util.find_spec("HiDiffRefineLib") is None
    modules.Module(None)
    return importlib.util.find_spec("HiDiffRefineLib").origin
