"""Intensity rules: what the networks see."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.inference.intensity import intensity_range, is_8_bit_display, scale

WINDOW = {"rule": "hu_window", "low": -125, "high": 275}
PERCENTILES = {"rule": "percentiles", "low": 0.5, "high": 99.5}


def normalise(array, rule):
    return scale(array, *intensity_range(array, rule))


@pytest.fixture(scope="module")
def ct():
    """A body of fat, muscle and bone in air, float64 Hounsfield units."""
    rng = np.random.default_rng(0)
    array = np.full((20, 30, 30), -1000.0)
    array[:, 4:26, 4:26], array[:, 6:24, 6:24], array[:, 12:16, 8:12] = -100, 50, 700
    return np.clip(array + rng.normal(0, 15, array.shape), -1024, 3071).round()


@pytest.fixture
def hounsfield():
    return np.random.default_rng(0).integers(-1024, 1500, (8, 9, 10)).astype(np.int16)


def test_window_by_hand():
    array = np.array([[[-2000, -125, 75, 275, 3000]]], np.int16)
    found = normalise(array, WINDOW)
    assert found.dtype == np.float32
    assert found.ravel().tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_an_8_bit_display_of_the_window_gives_the_same_as_hounsfield_units(hounsfield, dtype):
    display = np.rint(255 * ((np.clip(hounsfield, -125, 275) + 125) / 400)).astype(dtype)
    assert normalise(display, WINDOW) == pytest.approx(normalise(hounsfield, WINDOW), abs=0.5 / 255 + 1e-6)


def test_only_a_ct_in_0_to_255_is_an_8_bit_display(hounsfield):
    display = np.clip(hounsfield, 0, 255)
    assert is_8_bit_display(display, WINDOW)
    assert not is_8_bit_display(display, PERCENTILES)
    assert not is_8_bit_display(hounsfield, WINDOW)
    assert not is_8_bit_display(np.clip(hounsfield, 0, 256), WINDOW)


def test_ct_scaled_to_0_to_1_is_refused(hounsfield):
    with pytest.raises(VolumeError, match="between .* and 1") as caught:
        normalise(np.clip((hounsfield + 125) / 400, 0, 1), WINDOW)
    assert caught.value.remedy


def test_a_blackened_background_changes_no_contrast():
    tissue = np.random.default_rng(0).normal(600, 80, (20, 20, 20))
    stripped = np.zeros((30, 20, 20))
    stripped[:20] = tissue
    assert normalise(stripped, PERCENTILES)[:20] == pytest.approx(normalise(tissue, PERCENTILES), abs=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_the_storage_type_does_not_matter(hounsfield, dtype):
    assert np.array_equal(normalise(hounsfield.astype(dtype), WINDOW), normalise(hounsfield, WINDOW))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_ct_without_its_rescale_intercept_is_refused(hounsfield, dtype):
    with pytest.raises(VolumeError, match="not in Hounsfield units") as caught:
        normalise((hounsfield + 1024).astype(dtype), WINDOW)
    assert "1024" in caught.value.remedy


def test_mr_does_not_depend_on_its_units_nor_on_one_bright_voxel():
    array = np.random.default_rng(1).normal(500, 100, (20, 20, 20))
    found = normalise(array, PERCENTILES)
    assert found.min() == 0 and found.max() == 1
    assert normalise(7 * array + 30, PERCENTILES) == pytest.approx(found, abs=1e-5)
    spoilt = array.copy()
    spoilt[3, 4, 5] = 1e6
    difference = np.abs(normalise(spoilt, PERCENTILES) - found)
    difference[3, 4, 5] = 0
    assert difference.max() < 0.01


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_mr_that_is_nearly_all_background_keeps_its_object(dtype):
    array = np.zeros((20, 20, 20), dtype)
    array[5, 5, 5:8] = 100
    found = normalise(array, PERCENTILES)
    assert (found[5, 5, 5:8] == 1).all() and found.sum() == 3


def test_the_widest_integer_range_does_not_overflow():
    array = np.zeros((20, 20, 20), np.int16)
    array[0, 0, 0], array[0, 0, 1] = -32768, 32767
    found = normalise(array, PERCENTILES)
    assert found[0, 0, :3] == pytest.approx([0, 1, 0.5], abs=1e-4)


@pytest.mark.parametrize("value", [-5, 0, 40])
@pytest.mark.parametrize("rule", [WINDOW, PERCENTILES], ids=["ct", "mr"])
def test_a_constant_region_is_finite(rule, value):
    found = normalise(np.full((4, 4, 4), value, np.int16), rule)
    assert np.isfinite(found).all() and np.ptp(found) == 0


@pytest.mark.parametrize(
    "wrong, sentence, remedy",
    [
        (lambda ct: ct + 1024, "no value below 0", "subtract 1024"),
        (lambda ct: np.where(ct < -900, -2000, ct + 1024), "no value below 0", "subtract 1024"),
        (lambda ct: np.where(ct == ct.max(), -7, ct + 1024), "no value below 0", "subtract 1024"),
        (lambda ct: np.where(ct < -900, -1, ct + 1024), "no value below 0", "subtract 1024"),
        (lambda ct: ct.astype(np.int16).astype(np.uint16), "reaches up to 65", "signed numbers"),
        (lambda ct: np.where(ct < -900, 62512, ct), "reaches up to 62512", "signed numbers"),
        (lambda ct: (ct + 1024) * 35, "between .* and", "before it was scaled"),
        (lambda ct: (ct + 1024) / 4096, "between .* and 0.4", "before it was scaled"),
        (lambda ct: (ct + 1024) / 2048 - 1, "between -1 and -0.1", "before it was scaled"),
        (lambda ct: (ct - ct.mean()) / ct.std(), "between -.* and", "before it was scaled"),
        (lambda ct: ct / 1000, "between -1.* and 0.7", "before it was scaled"),
        (lambda ct: np.clip((ct + 125) / 400, 0, 1), "between .* and 1", "before it was scaled"),
        (lambda ct: np.where(ct < -900, -3.0, ct / 1000), "between .* and 0.7", "before it was scaled"),
    ],
    ids=[
        "raw",
        "raw, padded",
        "raw, one voxel below 0",
        "raw, padded by -1",
        "unsigned",
        "padded by 63536 - 1024",
        "0 to 65535",
        "0 to 1",
        "-1 to 1",
        "z-scores",
        "HU / 1000",
    ]
    + ["window 0 to 1", "HU / 1000, padded"],
)
def test_ct_in_other_units_is_refused_and_the_remedy_is_right(ct, wrong, sentence, remedy):
    with pytest.raises(VolumeError, match=f"not in Hounsfield units: .*{sentence}") as caught:
        intensity_range(wrong(ct), WINDOW)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "right",
    [
        lambda ct: ct,
        lambda ct: np.where(ct < -900, -2000, ct),
        lambda ct: np.where(ct < -900, -32768, ct),
        lambda ct: np.maximum(ct, -1000),
        lambda ct: ct[:, 5:25, 5:25],
        lambda ct: np.where(ct < -900, 30000, ct),
    ],
    ids=["plain", "padded by -2000", "padded by -32768", "cut at -1000", "no air", "metal"],
)
def test_hounsfield_units_are_taken_as_they_are(ct, right):
    assert intensity_range(right(ct), WINDOW) == (-125, 275)
