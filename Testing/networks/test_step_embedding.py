"""The step embedding, against the one that the shipped weights were trained with."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.networks.nets.diffusion_model_unet import get_timestep_embedding

from HiDiffRefineLib.networks.step_embedding import step_embedding

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("width", [2, 7, 16, 128])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_bit_is_as_from_monai(width, dtype):
    steps = torch.tensor([0, 1e-3, 0.5, 1, 333.3, 1000], dtype=dtype)
    assert torch.equal(step_embedding(steps, width), get_timestep_embedding(steps, width))


def test_an_engine_starts_without_monai():
    """It takes longer to import than torch, and edits need none of it."""
    program = "import sys, HiDiffRefineLib.inference.engine; print('monai' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "False", done.stderr
