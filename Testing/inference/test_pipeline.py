"""The main job from volume to labelmap, with bundles on disk."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.errors import BundleError, ConfigError, VolumeError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.checks import unlike_in_size
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.inference.regions import COARSEST, working_spacing_kji
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.volumes.volume import Volume


def test_prior_only_finds_both_objects(make_pipeline, volume_of, scanned, grids, dice):
    grid = grids["straight"]
    labelmap, maps = segment(make_pipeline(), volume_of(grid), prior_only=True)
    image = scanned(grid)
    assert labelmap.shape == image.shape and labelmap.dtype == np.uint8
    assert set(np.unique(labelmap)) == {0, 1, 2}
    assert dice(labelmap > 0, image > 0.2) > 0.98
    assert dice(labelmap == 2, image > 0.4) > 0.96
    assert {found.label for found in maps} == {1, 2}


def test_an_untrained_refiner_changes_nothing(make_pipeline, volume_of, grids):
    pipeline, volume = make_pipeline(), volume_of(grids["straight"])
    prior, _ = segment(pipeline, volume, prior_only=True)
    refined, _ = segment(pipeline, volume)
    assert np.count_nonzero(prior != refined) <= 1e-4 * np.count_nonzero(prior)


def same(maps, others) -> bool:
    return all(np.array_equal(a.probability, b.probability) for a, b in zip(maps, others, strict=True))


def test_the_refiner_is_used_and_its_seed_fixes_every_bit(make_pipeline, refiner, volume_of, grids):
    pipeline, volume = make_pipeline(refiner), volume_of(grids["straight"])
    prior, _ = segment(pipeline, volume, prior_only=True)
    (first, maps), (again, maps_again), (other, maps_other) = (
        segment(pipeline, volume, seed=seed) for seed in (0, 0, 1)
    )
    assert not np.array_equal(first, prior)
    assert np.array_equal(first, again)
    assert same(maps, maps_again)
    assert not same(maps, maps_other)
    assert not same(maps, segment(pipeline, volume, steps=1)[1])


@pytest.mark.parametrize("kind", ["flipped", "reordered", "oblique", "anisotropic"])
def test_every_grid_gives_the_same_anatomy(make_pipeline, volume_of, scanned, grids, dice, kind):
    labelmap, _ = segment(make_pipeline(), volume_of(grids[kind]))
    image = scanned(grids[kind])
    assert dice(labelmap > 0, image > 0.2) > 0.98
    # The white ball's blurred border is a grey shell; where it breaks into islands, the ball has it.
    assert max(dice(labelmap == 2, image > level) for level in (0.4, 0.5)) > 0.96


def test_progress_climbs_to_one_and_says_what_is_done(make_pipeline, volume_of, grids):
    told = []
    segment(make_pipeline(), volume_of(grids["straight"]), progress=lambda *what: told.append(what))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1
    assert {"segmenting", "refining anterior hippocampus", "done"} <= {what for _, what in told}


def test_nothing_found_is_an_empty_labelmap(make_pipeline):
    ramp = np.zeros((16, 32, 32), np.int16)
    ramp[0, 0, 0] = 1000
    labelmap, maps = segment(make_pipeline(), Volume(np.zeros_like(ramp), np.eye(4)))
    assert not labelmap.any() and maps == []


@pytest.mark.parametrize("steps", [0, -1, 11])
def test_steps_that_the_chain_has_not_are_refused(make_pipeline, volume_of, grids, steps):
    with pytest.raises(ConfigError, match=f"{steps} reverse steps") as caught:
        segment(make_pipeline(), volume_of(grids["straight"]), steps=steps)
    assert "1 to 10" in caught.value.remedy


def test_damaged_refiner_weights_are_refused_before_any_work(make_pipeline, volume_of, grids):
    pipeline, told = make_pipeline(), []
    path = pipeline.refiner_bundle.folder / "models/refiner.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="truncated"):
        segment(pipeline, volume_of(grids["straight"]), progress=lambda *what: told.append(what))
    assert told == []


def test_a_region_of_interest_gives_the_anatomy_in_the_cube_and_nothing_else(
    make_pipeline, volume_of, scanned, grids, dice
):
    roi, pipeline = RegionOfInterest((92, -42, 38), 12), make_pipeline()
    for kind in ("straight", "oblique"):
        labelmap, maps = segment(pipeline, volume_of(grids[kind]), [roi], prior_only=True)
        inside = roi.holds(grids[kind])
        assert not labelmap[~inside].any()
        assert dice(labelmap[inside] > 0, scanned(grids[kind])[inside] > 0.2) > 0.97
        for found in maps:
            assert not found.probability[~inside[found.box]].any()


def test_another_modality_is_refused(make_pipeline, volume_of, grids):
    pipeline, volume = make_pipeline(), volume_of(grids["straight"])
    with pytest.raises(VolumeError, match="is CT, but the model 'tiny-mr' is for MR") as caught:
        segment(pipeline, replace(volume, modality="CT"), prior_only=True)
    assert caught.value.remedy
    assert segment(pipeline, replace(volume, modality="MR"), prior_only=True)[0].any()


def test_more_than_the_bundle_was_made_for_is_refused_before_any_work(make_pipeline, volume_of, grids):
    pipeline, volume, told = make_pipeline(), volume_of(grids["straight"]), []
    small, large = RegionOfInterest((100, -46, 34), 12), RegionOfInterest((100, -46, 34), 26)
    pipeline.bundle.settings["region_mm"] = 50
    for regions in ([], [large], [small, large]):
        with pytest.raises(VolumeError, match="'tiny-mr' is for regions of up to 50 mm") as caught:
            segment(pipeline, volume, regions, prior_only=True, progress=lambda *what: told.append(what))
        assert "--roi 28,-21,-16,25" in caught.value.remedy and "up to 25 mm" in caught.value.remedy
    assert told == []
    assert segment(pipeline, volume, [small], prior_only=True)[0].any()
    # What counts is what the region holds of the volume.
    pipeline.bundle.settings["region_mm"] = 60
    assert segment(pipeline, volume, [RegionOfInterest((100, -46, 34), 500)], prior_only=True)[0].any()


def test_the_prior_alone_needs_no_refiner(make_pipeline, volume_of, grids):
    pipeline = make_pipeline()
    shutil.rmtree(pipeline.bundle.folder.parent / "tiny-refiner")
    assert segment(pipeline, volume_of(grids["straight"]), prior_only=True)[0].any()


def test_two_regions_give_what_each_gives(make_pipeline, volume_of, grids):
    regions = [RegionOfInterest((85, -46, 34), 12), RegionOfInterest((115, -46, 34), 12)]
    pipeline, volume = make_pipeline(), volume_of(grids["straight"])
    both, _ = segment(pipeline, volume, regions, prior_only=True)
    alone = [segment(pipeline, volume, [roi], prior_only=True)[0] for roi in regions]
    assert np.array_equal(both, np.maximum(*alone))


def test_a_region_of_a_ct_is_judged_by_the_whole_volume(make_pipeline, volume_of, grids):
    """Soft tissue alone has no negative value: only the whole volume tells Hounsfield units."""
    pipeline = make_pipeline()
    pipeline.bundle.settings["intensity"] = {"rule": "hu_window", "low": -125, "high": 275}
    soft = np.random.default_rng(0).integers(20, 200, grids["straight"].shape_kji).astype(np.int16)
    soft[0] = -1000
    scan = pipeline.scan(Volume(soft, grids["straight"].ijk_to_ras), RegionOfInterest((100, -46, 34), 8))
    assert scan.image.min() == pytest.approx((20 + 125) / 400, abs=0.01)


def test_networks_are_loaded_once_and_ready_to_run(make_pipeline):
    pipeline = make_pipeline()
    network = pipeline.network("refiner")
    assert network is pipeline.network("refiner") and not network.training
    assert all(torch.equal(weight, weight.half().float()) for weight in network.parameters())


def test_the_refiner_alone_takes_its_spacing_from_the_image(make_pipeline, grids):
    pipeline = make_pipeline()
    refiner = Pipeline(pipeline.refiner_bundle, torch.device("cpu"))
    assert refiner.check(None, ["refiner"]) == 2
    with pytest.raises(ConfigError, match="is a refiner, not a segmentor"):
        refiner.check(None, ["segmentor", "refiner"])
    assert refiner.refiner_bundle is refiner.bundle and not refiner.bundle.labels
    for linear in (np.diag([0.5, 1.5, 3]), np.array([[0, 0, 0.5], [1.5, 0, 0], [0, -3, 0]])):
        ijk_to_ras = np.eye(4)
        ijk_to_ras[:3, :3] = linear
        patch = refiner.bundle.patch_size_kji
        spacing = working_spacing_kji(refiner.bundle, Grid((9, 9, 9), ijk_to_ras), patch)
        assert spacing == pytest.approx([3, 1.5, 0.5])
        long = working_spacing_kji(refiner.bundle, Grid((4 * patch[0], 9, 9 * patch[2]), ijk_to_ras), patch)
        longer = [1, 1, COARSEST] if linear[0][0] else [1, COARSEST, 1]
        assert long == pytest.approx([3, 1.5, 0.5] * np.array(longer))
    anisotropic = grids["anisotropic"]
    assert working_spacing_kji(pipeline.bundle, anisotropic, patch, label=1).tolist() == [1, 1, 1]
    assert working_spacing_kji(pipeline.bundle, anisotropic, patch) == pytest.approx([1.5, 0.8, 0.9])


@pytest.mark.parametrize(
    "sides, spacing, sentence",
    [
        ((400, 350, 300), (3, 1, 1), None),
        ((400, 350, 120), (3, 1, 1), None),
        ((400, 350, 90), (3, 1, 1), "field of view of 400 × 350 × 90 mm"),
        ((400, 350, 1800), (3, 1, 1), "field of view of 400 × 350 × 1800 mm"),
        ((4, 3.5, 3), (0.02, 0.02, 0.02), "voxels of 0.02 × 0.02 × 0.02 mm are unlike"),
        ((400, 350, 300), (20, 1, 1), "voxels of 1 × 1 × 20 mm are unlike"),
    ],
)
def test_voxels_and_fields_of_view_unlike_the_training_data_are_told(sides, spacing, sentence):
    told = unlike_in_size(load_bundle("abdomen-ct"), np.array([(0, 0, 0), sides]), spacing)
    assert told is None if sentence is None else sentence in told
    assert unlike_in_size(load_bundle("refiner"), np.array([(0, 0, 0), sides]), (1, 1, 1)) is None


def test_the_warning_comes_before_the_segmentor(make_pipeline, volume_of, grids):
    pipeline, told = make_pipeline(), []
    update_settings(pipeline.bundle.folder, field_of_view_mm=[[300.0] * 3] * 2)
    segment(
        Pipeline(load_bundle(pipeline.bundle.folder), pipeline.device),
        volume_of(grids["straight"]),
        prior_only=True,
        notify=told.append,
    )
    assert len(told) == 1 and "field of view of 60 × 60 × 44 mm" in told[0]
