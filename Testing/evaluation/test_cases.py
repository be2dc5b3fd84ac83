"""Which cases of a folder are evaluated."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.evaluation.cases import Cases, find_cases, read_labels_on
from HiDiffRefineLib.volumes.labels import nameless_label
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
    with pytest.raises(VolumeError, match="other voxels than those of the image") as caught:
        read_labels_on(volume, tmp_path / "labels.nrrd")
    assert "--resample" in caught.value.remedy
    labels = read_labels_on(volume, tmp_path / "labels.nrrd", resample=True)
    assert (labels == coarse.repeat(2, 0).repeat(4, 1).repeat(2, 2)).all()


@pytest.mark.parametrize("off, share", [(2.0, "0.0%"), (7.0, "25.0%"), (9.0, "75.0%"), (90.0, "")])
def test_resampled_labels_outside_of_the_image_are_told(tmp_path, off, share):
    for folder, size, origin in (("images", 10, 0), ("labels", 4, off + 0.25)):
        (tmp_path / folder).mkdir()
        array = np.arange(size**3).reshape((size,) * 3) if folder == "images" else np.ones((4, 4, 4))
        itk = sitk.GetImageFromArray(array.astype(np.int16))
        itk.SetOrigin((origin, 0, 0))
        sitk.WriteImage(itk, str(tmp_path / folder / "a.nrrd"))
    told = []
    cases = Cases(tmp_path, resample=True, notify=told.append)
    if not share:
        with pytest.raises(VolumeError, match="All labels lie outside of the image"):
            cases.check([])
        return
    cases.check([])
    cases.each(lambda *case: None)  # tells nothing twice
    told = [one for one in told if "outside" in one]
    assert len(told) == (share != "0.0%") and all(
        f"a.nrrd: {share} of the labels' voxels" in one for one in told
    )


@pytest.fixture
def three(tmp_path):
    """Three cases with labels 1 and 2."""
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:3], labels[4] = 1, 2
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for name in "abc":
        image = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
        for part, array in (("images", image), ("labels", labels)):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / part / f"{name}.nrrd"))
    return tmp_path


def relabelled(path, change):
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    sitk.WriteImage(sitk.GetImageFromArray(change(array)), str(path))


LABELS = [replace(nameless_label(1), name="liver"), replace(nameless_label(2), name="spleen")]


def test_labels_that_a_case_lacks_or_the_bundle_knows_not_are_named(three):
    relabelled(three / "labels" / "b.nrrd", lambda array: np.where(array == 2, 7, array).astype(np.uint8))
    told = []
    cases = Cases(three, notify=told.append)
    cases.check(LABELS)
    assert len(told) == 2 and cases.left_out == {}
    assert told[0].startswith("b.nrrd has no spleen") and told[1].endswith("does not know: 7.")


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_case_that_cannot_be_read_is_told_at_once_and_the_others_go_on(three, part):
    (three / part / "b.nrrd").write_bytes(b"nonsense")
    told, seen = [], []
    cases = Cases(three, notify=told.append)
    cases.check(LABELS)
    assert len(told) == 1 and told[0].startswith("b.nrrd is left out. b.nrrd: The file is damaged")
    assert cases.each(lambda n, file, *_: seen.append(file) or n) == [("a.nrrd", 0), ("c.nrrd", 2)]
    assert seen == ["a.nrrd", "c.nrrd"] and list(cases.left_out) == ["b.nrrd"] and len(told) == 1


@pytest.mark.parametrize("error", [VolumeError("Not in Hounsfield units."), MemoryError()])
def test_what_fails_in_one_case_spoils_no_other(three, error):
    def work(n, file, *_):
        if file == "a.nrrd":
            raise error
        return n

    cases = Cases(three)
    assert cases.each(work) == [("b.nrrd", 1), ("c.nrrd", 2)] and list(cases.left_out) == ["a.nrrd"]
    with pytest.raises(ZeroDivisionError):
        cases.each(lambda *_: 1 / 0)


def test_no_case_at_all_is_refused(three):
    for name in "abc":
        (three / "images" / f"{name}.nrrd").write_bytes(b"nonsense")
    with pytest.raises(VolumeError, match="No case .* can be used. The first: a.nrrd: The file is damaged"):
        Cases(three).check(LABELS)


def test_what_macos_leaves_beside_files_is_no_case(three):
    for part in ("images", "labels"):
        (three / part / "._a.nrrd").write_bytes(b"macOS")
    assert find_cases(three) == ["a.nrrd", "b.nrrd", "c.nrrd"]
