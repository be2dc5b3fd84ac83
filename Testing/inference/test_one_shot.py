"""The one-shot answer on a volume, with hints, and as a session's prior."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.islands import remove_islands
from HiDiffRefineLib.inference.one_shot import Variant, run_dssm, unlike
from HiDiffRefineLib.inference.one_shot_hints import hint_map, hinted_mixture, known_of
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.session.session import RefinementSession

SMALL = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}


@pytest.fixture
def pipeline(make_pipeline, randomise):
    """The tiny bundle with a DSSM of random weights."""
    bundle = make_pipeline().bundle
    networks = bundle.settings["networks"] | {"dssm": {"name": "dssm", "arguments": SMALL}}
    update_settings(bundle.folder, networks=networks)
    write_weights(bundle.folder, "dssm", randomise(build_network("dssm", SMALL)).state_dict())
    return Pipeline(load_bundle(bundle.folder), torch.device("cpu"), "dssm")


@pytest.fixture
def volume(grids, volume_of):
    return volume_of(grids["straight"])


def test_the_answer_covers_the_volume_and_is_the_same_again(pipeline, volume):
    first, again = (pipeline.one_shot(pipeline.scan(volume)) for _ in range(2))
    assert torch.equal(first.prior.probabilities, again.prior.probabilities)
    total = first.prior.probabilities.float().sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), atol=5e-3, rtol=0)
    assert first.surprise.shape == first.prior.grid.shape_kji


def test_a_temperature_makes_the_answer_less_sure_but_no_other(pipeline, volume):
    scan = pipeline.scan(volume)
    sure, unsure = (pipeline.one_shot(scan, Variant(1, temperature=t)).prior for t in (1.0, 3.0))
    sure, unsure = sure.probabilities.float(), unsure.probabilities.float()
    assert unsure.amax(0).mean() < sure.amax(0).mean() - 0.02
    assert (sure.argmax(0) == unsure.argmax(0)).float().mean() > 0.98


def test_it_is_the_refiners_prior(pipeline, volume):
    unrefined, _ = segment(pipeline, volume, prior_only=True)
    refined, _ = segment(pipeline, volume, steps=1)
    assert unrefined.any() and refined.shape == unrefined.shape
    other, _ = segment(Pipeline(pipeline.bundle, pipeline.device), volume, prior_only=True)
    assert (other != unrefined).any()


def test_hints_hold_and_move_means_by_what_was_seen_there(pipeline, volume):
    before, _ = segment(pipeline, volume, prior_only=True)
    grid = Grid(volume.array.shape, volume.ijk_to_ras)
    place = np.argwhere(before == 1)[0]
    point_ras = (grid.ijk_to_ras @ [*place[::-1], 1])[:3]
    hints = {2: [Click(point_ras, True)]}
    after, _ = segment(pipeline, volume, prior_only=True, hints=hints)
    assert after[tuple(place)] == 2
    without, _ = segment(pipeline, volume, prior_only=True, hints={1: [Click(point_ras, False)]})
    assert without[tuple(place)] != 1
    scan, network = pipeline.scan(volume), pipeline.network("dssm")
    arguments = network, scan.image, grid.ijk_to_ras, (1.0, 1.0, 1.0), (16, 32, 32)
    moved = hinted_mixture(*arguments, hints, 1)
    assert torch.equal(moved.mean[:2], network.mixture.mean[:2])
    assert not torch.equal(moved.mean[2], network.mixture.mean[2])
    assert hinted_mixture(*arguments, {1: [Click(point_ras, False)]}, 1) is network.mixture


def test_positive_hints_win_on_the_map():
    grid = Grid((4, 6, 6), np.eye(4))
    here, there = Click((1, 2, 3), True), Click((1, 2, 3), False)
    found = hint_map({1: [there], 2: [here]}, grid)
    assert found[3, 2, 1] == 2 and np.count_nonzero(found) == 1
    known = known_of(torch.from_numpy(found)[None, None], 3, (1, 2, 2))
    assert known.allowed[0, :, 3, 1, 0].tolist() == [False, False, True]
    assert known.allowed.sum() == known.allowed.numel() - 2
    known = known_of(torch.from_numpy(hint_map({1: [there]}, grid))[None, None], 3, (1, 2, 2))
    assert known.allowed[0, :, 3, 1, 0].tolist() == [True, False, True]


def test_pictures_are_swept_as_volumes_of_one_slice(randomise):
    network = build_network("dssm", {**SMALL, "strides": [[1, 2, 2], [1, 2, 2]], "kernel_kji": [1, 3, 3]})
    grid = Grid((1, 40, 56), np.eye(4))
    image = torch.rand(1, *grid.shape_kji)
    found = run_dssm(randomise(network).eval(), image, grid.ijk_to_ras, grid, (1, 32, 32), Variant(1))
    assert found.prior.probabilities.shape == (3, 1, 40, 56)


def test_the_prior_has_no_islands(pipeline, volume):
    scan = pipeline.scan(volume)
    raw = pipeline.one_shot(scan).prior.probabilities
    expected = raw.clone()
    remove_islands(expected)
    assert torch.equal(pipeline.prior(scan).probabilities, expected) and not torch.equal(raw, expected)


def test_an_unlike_image_brings_one_sentence(pipeline, volume):
    found = pipeline.one_shot(pipeline.scan(volume))
    assert unlike(found, pipeline.bundle) is None  # not calibrated
    typical = {"mean": [-1e4] * 5, "spread": [1.0] * 5, "limit": 3.0}
    bundle = update_settings(pipeline.bundle.folder, dssm={"typical": typical})
    said = []
    segment(Pipeline(bundle, pipeline.device, "dssm"), volume, prior_only=True, notify=said.append)
    assert len(said) == 1 and said[0].startswith("This image is unlike the training data of this model: ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(bundle.settings["dssm"]["typical"], "limit", 1e9)
        assert unlike(found, bundle) is None


def test_a_bundle_without_one_shot_network_says_so(make_pipeline, volume):
    pipeline = Pipeline(make_pipeline().bundle, torch.device("cpu"), "dssm")
    with pytest.raises(ConfigError, match="no one-shot network"):
        segment(pipeline, volume, prior_only=True)


def test_a_session_segments_in_one_shot_and_its_journal_tells(pipeline, volume, tmp_path):
    session = RefinementSession(volume, pipeline, tmp_path / "journal")
    session.segment()
    expected, _ = segment(pipeline, volume, prior_only=True)
    assert (session.labelmap() == expected).all()
    assert b"tiny-mr (dssm)" in (tmp_path / "journal").read_bytes()
