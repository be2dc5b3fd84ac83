"""Cases travel unharmed and folds keep apart."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.training.cases import Case, load_cases, read_folder, save_cases, split_cases


def test_packed_cases_come_back_bit_by_bit(tmp_path, make_case):
    cases = [make_case("b"), make_case("ä", shape=(12, 20, 25), seed=1)]
    path = tmp_path / "new" / "cases.npy.xz"
    save_cases(path, cases)
    found = load_cases(path)
    assert [case.name for case in found] == ["b", "ä"]
    for case, back in zip(cases, found, strict=True):
        for field in ("image", "labels", "ijk_to_ras"):
            a, b = getattr(case, field), getattr(back, field)
            assert a.dtype == b.dtype and np.array_equal(a, b)
    assert path.stat().st_size < sum(case.image.size for case in cases) / 10


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no case archive") as caught:
        load_cases(tmp_path / "none.npy.xz")
    assert "train CONFIG --pack DIR" in caught.value.remedy


@given(st.integers(0, 40), st.integers(1, 8))
def test_folds_are_disjoint_and_complete(count, folds):
    names, nothing = [f"case {n}" for n in range(count)], np.zeros((1, 1, 1), np.uint8)
    cases = [Case(name, nothing, nothing, np.eye(4)) for name in names]
    seen = []
    for fold in range(folds):
        training, held_out = ([case.name for case in part] for part in split_cases(cases, folds, fold))
        assert not set(training) & set(held_out)
        assert set(training) | set(held_out) == set(names)
        assert held_out == names[fold::folds]
        seen += held_out
    assert sorted(seen) == sorted(names)


def test_without_a_fold_all_cases_train():
    assert split_cases([1, 2, 3], 4, None) == ([1, 2, 3], [])


@pytest.mark.parametrize("fold", [-1, 4, 7])
def test_a_fold_that_would_validate_on_training_cases_is_refused(fold):
    with pytest.raises(ConfigError, match=f"no fold {fold} of 4"):
        split_cases([1, 2, 3, 4, 5, 6, 7, 8], 4, fold)


def test_a_folder_is_read_by_the_bundles_intensity_rule(tmp_path):
    rng = np.random.default_rng(0)
    hounsfield = rng.integers(-1000, 1000, (12, 13, 14)).astype(np.int16)
    labels = (hounsfield > 0).astype(np.uint8)
    for folder, array in (("images", hounsfield), ("labels", labels)):
        (tmp_path / folder).mkdir()
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1, 2, 3))
        image.SetOrigin((10, 20, 30))
        sitk.WriteImage(image, str(tmp_path / folder / "case7.nii.gz"))
    (case,) = read_folder(tmp_path, {"rule": "hu_window", "low": -125, "high": 275})
    assert case.name == "case7"
    assert np.array_equal(case.labels, labels)
    expected = 255 * (np.clip(hounsfield.astype(float), -125, 275) + 125) / 400
    assert case.image.dtype == np.uint8
    assert case.image == pytest.approx(expected, abs=0.51)
    # ITK's LPS is RAS with the first two axes turned round.
    assert case.ijk_to_ras[:3, 3] == pytest.approx([-10, -20, 30])
    assert case.ijk_to_ras[:3, :3] == pytest.approx(np.diag([-1, -2, 3]))


def test_pictures_become_cases_of_one_slice(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    colour = np.zeros((6, 8, 3), np.uint8)
    colour[:, :4] = (255, 0, 0)
    sitk.WriteImage(sitk.GetImageFromArray(colour, isVector=True), str(tmp_path / "images/one.png"))
    mask = np.zeros((6, 8), np.uint8)
    mask[0], mask[1] = 150, 250
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "labels/one.png"))
    (case,) = read_folder(tmp_path, {"rule": "percentiles", "low": 0, "high": 100})
    assert case.name == "one" and case.image.shape == case.labels.shape == (1, 6, 8)
    assert case.image[0, 0, 0] == 76 and case.image[0, 0, 7] == 0
    assert case.labels[0, :3, 0].tolist() == [1, 2, 0]
