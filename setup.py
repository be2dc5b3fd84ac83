"""What pyproject.toml cannot say: the wheel carries models/, as HiDiffRefineLib/models."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithModels(build_py):
    """Copies the bundles into the library that is built; an editable install finds them beside it."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "HiDiffRefineLib" / "models"
            shutil.copytree(Path(__file__).parent / "models", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": WithModels})
