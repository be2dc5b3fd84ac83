"""The prior: the same anatomy from any grid, and honest progress."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.geometry.grids import Grid, centered_grid, covering_grid
from HiDiffRefineLib.geometry.sampling import resample
from HiDiffRefineLib.inference.segmentor import Mirrored, Prior, counterparts_of, run_segmentor


def prior_of(network, scanned, native: Grid, spacing=(1, 1, 1)) -> Prior:
    image = torch.from_numpy(scanned(native).astype(np.float32))[None]
    return run_segmentor(
        network, image, native.ijk_to_ras, covering_grid(native.bounds_ras(), spacing), (16, 32, 32), 3
    )


@pytest.mark.parametrize("kind", ["flipped", "reordered", "oblique", "anisotropic"])
def test_every_grid_gives_the_same_anatomy(by_intensity, scanned, grids, dice, kind):
    reference = centered_grid((100, -46, 34), (40, 52, 52), (1, 1, 1))
    straight = prior_of(by_intensity, scanned, grids["straight"])
    other = prior_of(by_intensity, scanned, grids[kind])
    image = scanned(reference)
    # Not label 1 alone: the white ball's blurred border is grey, a thin shell of it.
    # The small ball has 1400 voxels; a second interpolation rounds it off by a tenth of a millimetre.
    for labels, truth, least in (((1, 2), image > 0.2, 0.98), ((2,), image > 0.5, 0.96)):
        a, b = (
            sum(prior.resampled(label, reference)[0] for label in labels).numpy() > 0.5
            for prior in (straight, other)
        )
        assert dice(a, b) > least
        assert dice(b, truth) > least
        assert np.argwhere(a).mean(0) == pytest.approx(np.argwhere(b).mean(0), abs=0.2)


def test_probabilities_sum_to_one_on_the_working_grid(by_intensity, scanned, grids):
    prior = prior_of(by_intensity, scanned, grids["anisotropic"], (2, 1.5, 1.5))
    assert prior.grid.spacing_kji == pytest.approx([2, 1.5, 1.5])
    assert prior.probabilities.shape == (3, *prior.grid.shape_kji)
    assert prior.probabilities.float().sum(0).numpy() == pytest.approx(1, abs=2e-3)
    wanted, found = grids["anisotropic"].bounds_ras(), prior.grid.bounds_ras()
    assert (found[0] <= wanted[0] + 1e-6).all() and (found[1] >= wanted[1] - 1e-6).all()


class Inventive(torch.nn.Module):
    """Says label 1 wherever it is asked."""

    def forward(self, x):
        return torch.cat([x * 0 - 10, x * 0 + 10], dim=1)


@settings(max_examples=30)
@given(st.tuples(*[st.integers(1, 26)] * 3), st.tuples(*[st.sampled_from([8, 9, 13, 16])] * 3))
def test_progress_climbs_to_exactly_one(shape, patch):
    # MONAI decides how many windows there are: one call each on the CPU.
    shares, grid = [], Grid(shape, np.eye(4))
    prior = run_segmentor(Inventive(), torch.rand(1, *shape), np.eye(4), grid, patch, 2, shares.append)
    assert prior.probabilities.shape == (2, *shape)
    assert shares == pytest.approx([(n + 1) / len(shares) for n in range(len(shares))])
    assert shares[-1] == 1


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_nothing_is_invented_where_a_window_shows_nothing(level):
    image = torch.full((1, 8, 8, 40), level)
    image[:, 4, 4, 4] += 0.2
    shares = []
    prior = run_segmentor(
        Inventive(), image, np.eye(4), Grid((8, 8, 40), np.eye(4)), (8, 8, 8), 2, shares.append
    )
    assert prior.probabilities[1, ..., :4].min() > 0.9
    assert prior.probabilities[1, ..., 12:].max() < 0.01
    assert shares[-1] == 1


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.3, 2))
def test_a_sure_prior_stays_a_probability_on_any_grid(center, spacing):
    prior = Prior(torch.ones(2, 9, 9, 9).half(), centered_grid((0, 0, 0), (9, 9, 9), (3, 1.5, 1.5)))
    found = prior.resampled(1, centered_grid(center, (8, 8, 8), (spacing, spacing, spacing)))
    assert found.min() >= 0 and found.max() <= 1


@given(st.integers(0, 10_000))
def test_a_target_anywhere_sees_what_the_whole_prior_shows(seed):
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    grid = centered_grid(rng.uniform(-50, 50, 3), rng.integers(3, 25, 3), (3, 1.5, 1.5), rotation)
    prior = Prior(torch.from_numpy(rng.random((3, *grid.shape_kji))).half() / 3, grid)
    target = centered_grid(grid.center_ras + rng.uniform(-30, 30, 3), (6, 8, 8), rng.uniform(0.3, 2, 3))
    others = (1 - prior.probabilities[0].float() - prior.probabilities[1].float())[None]
    for found, whole in (
        (prior.resampled(1, target), prior.probabilities[1:2].float()),
        (prior.others_resampled(1, target), others),
    ):
        assert torch.allclose(found, resample(whole, grid.ijk_to_ras, target), atol=1e-5)


def test_a_mirrored_network_answers_to_a_mirror_image_with_the_other_sides():
    labels = load_bundle("brain-mr").labels
    counterparts = counterparts_of(labels)
    assert [counterparts[value] for value in counterparts] == list(range(33))
    names = ["background", *(label.name for label in labels)]
    assert names[counterparts[names.index("left caudate")]] == "right caudate"
    assert names[counterparts[names.index("csf")]] == "csf"
    torch.manual_seed(0)
    network, window = torch.nn.Conv3d(1, 33, 3, padding=1), torch.rand(2, 1, 4, 5, 6)
    with torch.inference_mode():
        answer, other = (Mirrored(network, counterparts)(seen) for seen in (window, window.flip(-1)))
        assert torch.allclose(other.flip(-1)[:, counterparts], answer, atol=1e-6)
        assert not torch.allclose(network(window), answer, atol=1e-2)
