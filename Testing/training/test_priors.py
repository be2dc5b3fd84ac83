"""Priors of held-out cases, packed for stage 1."""

import numpy as np
import torch

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.inference.segmentor import Prior
from HiDiffRefineLib.training.priors import load_priors, save_priors


def test_priors_survive_the_archive(tmp_path):
    rng = np.random.default_rng(0)
    priors = {}
    for n, name in enumerate("ab"):
        shares = torch.from_numpy(rng.dirichlet([1, 1, 1], (4, 5, 6 + n))).movedim(-1, 0).half()
        priors[name] = Prior(shares, centered_grid((1, 2, 3), shares.shape[1:], (3, 1.5, 1.5)))
    save_priors(tmp_path / "priors.npy.xz", priors)
    found = load_priors(tmp_path / "priors.npy.xz")
    assert list(found) == ["a", "b"]
    for name, prior in priors.items():
        assert found[name].grid.shape_kji == prior.grid.shape_kji
        assert np.array_equal(found[name].grid.ijk_to_ras, prior.grid.ijk_to_ras)
        difference = (found[name].probabilities.float() - prior.probabilities.float()).abs()
        # Background is what two rounded labels leave.
        assert difference[1:].max() < 0.5 / 255 + 5e-4
        assert difference[0].max() < 1 / 255 + 2e-3
