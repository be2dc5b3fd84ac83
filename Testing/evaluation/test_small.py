"""Figures of small lesions and of voxel sizes: what they count, for refiners that are known to the bottom."""

import json

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.evaluation import small
from HiDiffRefineLib.evaluation.small import beyond_border, format_small, lesion_figures, size_figures
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.volumes.volume import Volume


class Certain(torch.nn.Module):
    """Says everywhere what it was made to say."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def encode(self, condition):
        return [condition[:, 3:4]]

    def denoise(self, state, prior, share, features):
        return torch.full_like(prior, self.logit)


@pytest.fixture
def pipeline():
    """(logit) → a pipeline of the refiner alone that answers so everywhere."""

    def make(logit):
        return Pipeline(
            load_bundle("refiner-only"), torch.device("cpu"), _networks={"refiner": Certain(logit)}
        )

    return make


VOLUME = Volume(
    np.random.default_rng(0).normal(400, 20, (60, 100, 100)).astype(np.int16)
    + np.arange(100, dtype=np.int16),
    np.eye(4),
    "tissue",
)


def test_a_refiner_that_adds_nothing_leaves_right_masks_alone(pipeline):
    figures = lesion_figures(pipeline(-9.0), VOLUME, (1.5, 2.5), np.random.default_rng(0), 1)
    assert set(figures) == set(small.FIGURES)
    assert figures["click_inside"] == figures["click_beside"] == 1
    assert figures["inside_beyond_border"] == figures["beside_beyond_border"] == 0
    assert 0.8 < figures["tenth_before"] < figures["tenth"] < 1  # by the click's own voxel
    assert 0 < figures["from_nothing_1"] < figures["from_nothing_3"] < 0.5


def test_a_refiner_that_takes_everything_is_held_at_the_border_and_seen_through_elsewhere(pipeline):
    figures = lesion_figures(pipeline(9.0), VOLUME, (1.5, 2.5), np.random.default_rng(0), 1)
    assert figures["inside_beyond_border"] == 0 and figures["beside_beyond_border"] == 0
    assert figures["tenth"] < figures["tenth_before"] and figures["from_nothing_1"] < 0.01


def test_beyond_the_border_lies_what_is_more_than_a_voxel_off():
    right = np.zeros((9, 9, 9), bool)
    right[2:7, 2:7, 2:7] = True
    found = right.copy()
    found[1, 4, 4] = found[8, 4, 4] = True
    found[2, 4, 4] = found[4, 4, 4] = False
    assert beyond_border(found, right) == 2


def test_sizes_are_compared_from_every_start(pipeline, monkeypatch):
    monkeypatch.setattr(small, "SIZES_MM", (0.02, 2.0))
    monkeypatch.setattr(small, "BODIES", (3,))
    figures = size_figures(pipeline(9.0), 1)
    assert list(figures["dice"]) == ["0.02", "2"] and figures["largest_difference"] == 0
    row = figures["dice"]["2"]
    assert list(row) == [f"ball of 3, from {start}" for start in ("nothing", "half", "right")]
    assert row["ball of 3, from nothing"] < 0.01 < row["ball of 3, from right"]


def test_the_table_shows_all_figures():
    group = dict.fromkeys(small.FIGURES, 0.25) | {"inside_beyond_border": 7, "beside_beyond_border": 0}
    lesions = {
        "3 to 5 mm": group | {"radius_mm": [3, 5], "cases": 2},
        "balls_in_noise": {"2": {"1": 0.5, "3": 1}},
    }
    sizes = {"dice": {"0.02": {"half": 0.5}, "2": {"half": 0.625}}, "largest_difference": 0.125}
    result = {"small_lesions": lesions, "voxel_sizes": sizes}
    text = format_small(json.loads(json.dumps(result)))
    for part in ("3 to 5 mm", " 7 ", "0.250", "radius of 2 voxels", "0.625", "between sizes: 0.125"):
        assert part in text
