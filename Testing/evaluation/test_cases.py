"""Which cases of a folder are evaluated."""

import pytest

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.cases import find_cases


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
