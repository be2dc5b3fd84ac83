"""DSSM's rows, spoilt images, and what it knows."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.dssm.typicality import reference_of
from HiDiffRefineLib.evaluation.one_shot import (
    ABLATIONS,
    case_figures,
    known_profiles,
    left_out_figures,
    ood_figures,
    spoilt_profiles,
)
from HiDiffRefineLib.evaluation.unlike import SPOILT, foreign_scan, spoilt
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.networks.build import build_network

SMALL = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}


@pytest.fixture
def pipeline(tmp_path, copy_bundle, randomise):
    copy_bundle("hippocampus-mr", tmp_path / "tiny")
    networks = {"dssm": {"name": "dssm", "arguments": SMALL}}
    update_settings(tmp_path / "tiny", networks=networks, patch_size_kji=[8, 16, 16])
    network = randomise(build_network("dssm", SMALL))
    write_weights(tmp_path / "tiny", "dssm", network.state_dict())
    return Pipeline(load_bundle(tmp_path / "tiny"), torch.device("cpu"), "dssm")


@pytest.fixture
def scan():
    image = torch.rand(1, 12, 24, 20, generator=torch.Generator().manual_seed(0))
    grid = Grid((12, 24, 20), np.diag([1.0, 1, 1, 1]))
    return Scan(image, grid, grid.bounds_ras())


def test_every_row_has_its_figures(pipeline, scan):
    truth = (np.indices(scan.grid.shape_kji).sum(0) % 3).astype(np.uint8)
    figures, profile = case_figures(pipeline, scan, truth, ablations=True)
    assert list(figures) == ["dssm", "dssm_tau0", "dssm_k1", *ABLATIONS]
    assert profile.shape == (5,) and (np.diff(profile) >= 0).all()
    wanted = {"dice", "iou", "precision", "recall", "hd95_mm", "ece"}
    assert all(wanted <= set(row["labels"]["anterior hippocampus"]) for row in figures.values())
    # The bundle's default is one step.
    assert figures["dssm"] == figures["dssm_k1"] != figures["dssm_k4"]


def test_spoilt_images_stay_images(scan):
    found = {kind: spoilt(scan, kind, seed=1).image for kind in SPOILT}
    for image in found.values():
        assert image.shape == scan.image.shape and image.min() >= 0 and image.max() <= 1
        assert image.dtype == torch.float32 and not torch.equal(image, scan.image)
    torch.testing.assert_close(found["inverted"], 1 - scan.image)
    assert torch.equal(spoilt(scan, "streaks", 1).image, found["streaks"])


def test_a_foreign_image_is_shown_as_a_known_one_would_be(scan):
    array = np.random.default_rng(0).normal(500, 100, (40, 50, 60))
    found = foreign_scan(array, np.diag([0.7, 0.7, 2, 1]), scan.grid, torch.device("cpu"))
    assert found.image.shape == scan.image.shape
    assert found.image.min() >= 0 and found.image.max() <= 1 and found.image.std() > 0.05


def test_profiles_of_known_images_and_of_spoilt_ones(pipeline, scan):
    known = known_profiles(pipeline, scan, seed=0)
    assert len(known) == 5 and not np.allclose(known[0], known[1])
    assert set(spoilt_profiles(pipeline, scan, seed=0)) == set(SPOILT)


def test_unlike_images_are_told_by_their_scores():
    rng = np.random.default_rng(0)
    known = [np.arange(5) + rng.normal(0, 0.1, 5) for _ in range(6)]
    others = {"far": [np.arange(5) + 4.0] * 3, "near": known}
    found = ood_figures(known, others, reference_of(known))
    assert found["ood_auroc_by_kind"] == {"far": 1.0, "near": 0.5}
    assert found["ood_auroc"] == pytest.approx((3 * 1 + 6 * 0.5) / 9)
    left_out = left_out_figures(known, {"far": others["far"]})
    assert left_out["ood_auroc"] == 1.0
