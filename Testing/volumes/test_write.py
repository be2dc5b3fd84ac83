"""Writing, and that reading gives the same back."""

import os

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from HiDiffRefineLib.errors import FileError, VolumeError
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume
from HiDiffRefineLib.volumes.seg_nrrd import extent, terminology_entry
from HiDiffRefineLib.volumes.write import _image, write_segmentation
from Testing.volumes.samples import LEFT_KIDNEY, OBLIQUE_LAS, SPLEEN, affine

LABELS = [SPLEEN, LEFT_KIDNEY]


def labelmap():
    array = np.zeros((4, 5, 6), np.int64)  # (k, j, i)
    array[1:3, 2:4, 3:6] = 1
    return array


@settings(max_examples=20)
@given(
    array=arrays(np.int16, st.tuples(*[st.integers(2, 5)] * 3), elements=st.integers(-1000, 3000)),
    spacing=st.tuples(*[st.floats(0.1, 10)] * 3),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
)
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_voxels_and_affine_survive(tmp_path_factory, extension, array, spacing, degrees, flips, origin):
    array[0, 0, 0], array[-1, -1, -1] = 0, 1  # constant images are refused
    ijk_to_ras = affine(spacing, degrees, flips, origin)
    path = tmp_path_factory.mktemp("volume") / f"a{extension}"
    sitk.WriteImage(_image(array, ijk_to_ras), str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == array.dtype
    # NIfTI stores the affine in 32 bits.
    np.testing.assert_allclose(volume.ijk_to_ras, ijk_to_ras, atol=1e-3 if extension == ".nii.gz" else 1e-6)


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nii.gz", ".nii"])
def test_segmentation_survives(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    write_segmentation(path, labelmap(), OBLIQUE_LAS, LABELS)
    volume = read_labelmap(path)
    np.testing.assert_array_equal(volume.array, labelmap())
    np.testing.assert_allclose(volume.ijk_to_ras, OBLIQUE_LAS, atol=1e-4)
    assert volume.name == "a"


def test_probabilities_survive(tmp_path):
    maps = np.random.default_rng(0).random((2, 3, 4, 5), np.float32)
    write_segmentation(
        tmp_path / "m.nii.gz", np.zeros(maps[0].shape), OBLIQUE_LAS, LABELS, tmp_path / "p.nii.gz", maps
    )
    image = sitk.ReadImage(str(tmp_path / "p.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), maps)
    assert image.GetSize() == (5, 4, 3, 2)


def test_same_segmentation_same_bytes_and_no_names(tmp_path):
    first, second = tmp_path / "Miller Anna.seg.nrrd", tmp_path / "b.seg.nrrd"
    for path in (first, second):
        write_segmentation(path, labelmap(), OBLIQUE_LAS, LABELS)
    assert first.read_bytes() == second.read_bytes()


def test_terminology_entry():
    assert terminology_entry(LEFT_KIDNEY) == (
        "Segmentation category and type - 3D Slicer General Anatomy list"
        "~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left"
        "~Anatomic codes - DICOM master list~^^~^^"
    )


def test_extent():
    assert extent(labelmap() == 1) == (3, 5, 2, 3, 1, 2)
    assert extent(labelmap() == 3) == (0, -1, 0, -1, 0, -1)


def test_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"old")
    write_segmentation(path, labelmap(), np.eye(4), LABELS)
    assert read_labelmap(path).array.any()
    assert os.listdir(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize("interrupted", ["mask.nii.gz", "p.nii.gz"])
def test_interrupted_write_keeps_the_old_files(tmp_path, monkeypatch, interrupted):
    mask, probabilities = tmp_path / "mask.nii.gz", tmp_path / "p.nii.gz"
    mask.write_bytes(b"old")

    write = sitk.WriteImage

    def stopped(image, name, **more):
        write(image, name, **more)
        if name.endswith(interrupted):
            raise KeyboardInterrupt

    monkeypatch.setattr(sitk, "WriteImage", stopped)
    maps = np.zeros((2, 4, 5, 6), np.float32)
    with pytest.raises(KeyboardInterrupt):
        write_segmentation(mask, labelmap(), np.eye(4), LABELS, probabilities, maps)
    assert os.listdir(tmp_path) == ["mask.nii.gz"]
    assert mask.read_bytes() == b"old"


def test_refuses_value_without_label(tmp_path):
    with pytest.raises(VolumeError, match="value 1, which no label names"):
        write_segmentation(tmp_path / "a.seg.nrrd", labelmap(), np.eye(4), [LEFT_KIDNEY])


def test_refuses_other_extensions(tmp_path):
    with pytest.raises(VolumeError, match=r"Name it .seg.nrrd, .nii.gz, .nii"):
        write_segmentation(tmp_path / "a.nrrd", labelmap(), np.eye(4), LABELS)
    with pytest.raises(VolumeError, match=r"Name it .nii.gz, .nii"):
        write_segmentation(
            tmp_path / "a.nii", labelmap(), np.eye(4), LABELS, tmp_path / "a.png", [labelmap()]
        )
    assert os.listdir(tmp_path) == []


def test_refuses_sheared_grid(tmp_path):
    ijk_to_ras = np.eye(4)
    ijk_to_ras[0, 1] = 0.3
    with pytest.raises(VolumeError, match="right angles"):
        write_segmentation(tmp_path / "a.seg.nrrd", labelmap(), ijk_to_ras, LABELS)


def test_says_why_nothing_can_be_written(tmp_path, monkeypatch, capfd):
    (tmp_path / "folder.nii").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    for name, why in (
        ("no/a.seg.nrrd", "its folder does not exist"),
        ("folder.nii", "it is a folder"),
        ("a.nii", "you may not write to its folder"),
    ):
        with pytest.raises(FileError, match=f"could not be written: {why}") as caught:
            write_segmentation(tmp_path / name, labelmap(), np.eye(4), LABELS)
        assert caught.value.remedy
    assert capfd.readouterr() == ("", "")


def test_refuses_names_that_are_no_unicode(tmp_path):
    with pytest.raises(VolumeError, match="letters in an encoding that is not the system's"):
        write_segmentation(tmp_path / "M\udcfcller.nii", labelmap(), np.eye(4), LABELS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("extension", [".SEG.NRRD", ".NII.GZ", ".NII"])
def test_extension_in_capitals(tmp_path, extension):
    path = tmp_path / f"HEAD{extension}"
    write_segmentation(path, labelmap(), OBLIQUE_LAS, LABELS)
    np.testing.assert_array_equal(read_labelmap(path).array, labelmap())
    assert os.listdir(tmp_path) == [path.name]
