"""Which cases of a folder are evaluated."""

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.cases import find_cases, read_labels_on
from HiDiffRefineLib.volumes.volume import Volume
from Testing.volumes.samples import affine


@pytest.fixture
def folder(tmp_path):
    """200 cases, all files empty."""
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        for n in range(200):
            (tmp_path / part / f"case_{n:03}.nii.gz").touch()
    return tmp_path


def test_all_cases_or_those_that_are_named(folder):
    assert len(find_cases(folder)) == 200
    assert find_cases(folder, ["case_007", "case_002"]) == ["case_007.nii.gz", "case_002.nii.gz"]


def test_an_unknown_case_is_answered_with_a_few_names_and_their_number(folder):
    with pytest.raises(VolumeError, match="has no case 'case_7'") as caught:
        find_cases(folder, ["case_7"])
    assert caught.value.remedy == "Choose from its 200 cases, such as case_000, case_001, case_002."


def test_missing_labels_and_a_folder_without_images_are_named(folder):
    (folder / "labels" / "case_003.nii.gz").unlink()
    with pytest.raises(VolumeError, match="no labels for case_003.nii.gz"):
        find_cases(folder)
    for file in (folder / "images").iterdir():
        file.unlink()
    with pytest.raises(VolumeError, match="images is empty") as caught:
        find_cases(folder, ["case_003"])
    assert caught.value.remedy


def test_labels_of_another_grid_are_put_on_the_image(tmp_path):
    volume = Volume(np.zeros((4, 8, 6)), affine(flips=(-1, -1, 1)))
    coarse = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    itk = sitk.GetImageFromArray(coarse)
    itk.SetSpacing((2, 4, 2))  # each voxel holds 2 × 4 × 2 of the image's
    itk.SetOrigin((0.5, 1.5, 0.5))
    sitk.WriteImage(itk, str(tmp_path / "labels.nrrd"))
    labels = read_labels_on(volume, tmp_path / "labels.nrrd")
    assert (labels == coarse.repeat(2, 0).repeat(4, 1).repeat(2, 2)).all()
