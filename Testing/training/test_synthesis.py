"""Synthetic heads: what is left stays left, images follow structures, the seed fixes all."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.training import synthesis
from HiDiffRefineLib.training.contrast import Tissues, random_greys
from HiDiffRefineLib.training.head_maps import HeadMap, HeadMaps
from HiDiffRefineLib.training.synthesis import HeadSynthesis

CPU = torch.device("cpu")
PATCH, SPACING = (24, 28, 24), (8.0, 8.0, 8.0)


@pytest.fixture
def maps():
    """A head of skin (511) and white matter, a large thalamus on the left, a small one right, high up."""
    values = np.array([0, 2, 10, 41, 49, 511], np.int16)
    structures = np.full((160, 170, 140), 5, np.uint8)
    structures[20:-20, 20:-20, 20:70], structures[20:-20, 20:-20, 70:-20] = 1, 3
    structures[90:130, 60:110, 25:65] = 2
    structures[110:130, 75:95, 90:110] = 4
    head = HeadMap("one", structures, np.array([80.0, 85, 70]))
    return HeadMaps(values, np.array([0, 1, 2, 3, 4, 0], np.uint8), [head])


@pytest.fixture
def still(monkeypatch):
    """No turns, no stretching, no shift, the whole head in view."""
    for name in ("TURN", "SIZE", "STRETCH", "SHEAR", "WARP", "CUT_SHARE", "STRIPPED_SHARE"):
        monkeypatch.setattr(synthesis, name, 0.0)
    monkeypatch.setattr(synthesis, "SHIFT_KJI", (0.0, 0.0, 0.0))


def test_mirrored_heads_keep_left_labels_on_the_left(maps, still):
    images, labels = HeadSynthesis(maps, maps.heads, PATCH, SPACING, CPU, 0).draw(12)
    assert images.shape == labels.shape == (12, 1, *PATCH)
    assert images.min() >= 0 and images.max() <= 1
    larger = set()
    for label in labels[:, 0]:
        # i counts from left to right.
        left, right = (np.argwhere(label.numpy() == value) for value in (2, 4))
        assert left[:, 2].max() < PATCH[2] / 2 <= right[:, 2].min()
        assert np.argwhere(label.numpy() == 1)[:, 2].max() < np.argwhere(label.numpy() == 3)[:, 2].min()
        assert left[:, 0].mean() > PATCH[0] / 2  # high up is k, and stays up
        larger.add(len(left) > len(right))
    assert larger == {True, False}  # half of the heads are mirrored


def test_a_still_head_is_where_it_was(maps, still):
    _, labels = HeadSynthesis(maps, maps.heads, PATCH, SPACING, CPU, 0).draw(1)
    sizes = torch.bincount(labels.flatten(), minlength=5) * 8.0**3
    assert sizes[[2, 4]].sum() == pytest.approx(40 * 50 * 40 + 20**3, rel=0.15)
    center = torch.nonzero(labels[0, 0] > 0).float().mean(0)
    assert center.numpy() == pytest.approx((np.array(PATCH) - 1) / 2, abs=0.6)


def test_left_and_right_have_the_same_grey(maps):
    structures = (
        torch.tensor([0, 1, 2, 3, 4, 5], dtype=torch.uint8).repeat_interleave(1000).view(1, 60, 10, 10)
    )
    greys = random_greys(structures.expand(20, -1, -1, -1), Tissues(maps.unsided, CPU), torch.Generator())
    air, white, thalamus, right_white, right_thalamus, skin = greys.view(20, 6, 1000).mean(2).T
    torch.testing.assert_close(white, right_white, atol=0.08, rtol=0)
    torch.testing.assert_close(thalamus, right_thalamus, atol=0.08, rtol=0)
    assert (air == 0).float().mean() > 0.5
    assert (skin - white).std() > 0.2  # any structure may be brighter than any other


def test_stripping_leaves_the_brain_and_blackens_the_rest(maps, still, monkeypatch):
    monkeypatch.setattr(synthesis, "STRIPPED_SHARE", 1.0)
    monkeypatch.setattr(synthesis, "INVERTED_SHARE", 0.0)
    images, labels = HeadSynthesis(maps, maps.heads, PATCH, SPACING, CPU, 0).draw(4)
    for image, label in zip(images, labels, strict=True):
        assert (label > 0).sum() * 8.0**3 > 0.8 * 120 * 130 * 100
        assert not image[..., 0].any() and not image[..., 0, :].any()


def test_images_end_where_they_are_cut_off(maps, still, monkeypatch):
    monkeypatch.setattr(synthesis, "CUT_SHARE", 1.0)
    monkeypatch.setattr(synthesis, "REACH", (30.0, 30.0))
    monkeypatch.setattr(synthesis, "INVERTED_SHARE", 0.0)
    images, labels = HeadSynthesis(maps, maps.heads, PATCH, SPACING, CPU, 0).draw(2)
    shown = torch.nonzero(images[:, 0] > 0)[:, 1:]
    low, high = shown.min(0).values, shown.max(0).values
    assert ((high - low + 1) * 8 <= 64).all() and labels.any()


def test_the_seed_fixes_the_draw(maps):
    def draw(seed):
        return HeadSynthesis(maps, maps.heads, PATCH, SPACING, CPU, seed).draw(2)

    for one, same in zip(draw(1), draw(1), strict=True):
        torch.testing.assert_close(one, same, atol=0, rtol=0)
    assert not torch.equal(draw(1)[0], draw(2)[0])
