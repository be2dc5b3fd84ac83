"""Runs a script of the tests in slicer-core: run_in_slicer.py SCRIPT ARGUMENTS…

The script's `main` takes the arguments and returns what is printed as JSON. A program of its own:
slicer-core may crash when its process ends, which must not take pytest along.
"""

import json
import os
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path

# The tree that the tests are of, whatever is installed; and before it that of an installed module.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
if "HIDIFF_MODULE" in os.environ:
    sys.path.insert(0, str(Path(os.environ["HIDIFF_MODULE"]).parent))
os.environ.pop("DISPLAY", None)
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

if __name__ == "__main__":
    try:
        import slicer  # noqa: F401

        with redirect_stdout(sys.stderr):  # Slicer prints as it reads a module again
            answer = runpy.run_path(sys.argv[1])["main"](*sys.argv[2:])
    except ImportError as error:
        # Of what is installed for tests only; a fault of our own must not look like it.
        if (error.name or "").partition(".")[0] not in ("slicer", "slicer_core", "PySide6", "vtk"):
            raise
        answer = {"missing": str(error)}
    print(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)
