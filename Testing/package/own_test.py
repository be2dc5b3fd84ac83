"""The module's own test, and where the module and its library lie; run by `run_in_slicer`."""

import HiDiffRefineLib
from Testing.harness.application import running_module


def main() -> dict[str, str]:
    with running_module() as running:
        running.module.HiDiffRefineTest().runTest()
        running.wait()
        return {"module": running.module.__file__, "library": HiDiffRefineLib.__file__}
