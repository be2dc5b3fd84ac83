"""python -m HiDiffRefineLib.training CONFIG [FIELD=VALUE …]: `train` for machines that only train.

Needs torch, lightning, MONAI and jsonschema, and nothing that reads images. Lightning starts its further
processes by this module's name.
"""

import sys
from pathlib import Path

from HiDiffRefineLib.training.config import read_config
from HiDiffRefineLib.training.tasks import train

if __name__ == "__main__":
    train(read_config(Path(sys.argv[1]), sys.argv[2:]))
