"""Packed voxels that are damaged: ITK reads NRRD's as they are, and MetaImage's as whatever lay in memory."""

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.read import read_labelmap

LABELS = np.random.default_rng(0).integers(0, 3, (20, 30, 40)).astype(np.uint8)


@pytest.fixture(params=["nrrd", "nhdr", "mha", "mhd", "nii.gz"])
def packed(request, tmp_path):
    """The file to be read, and the one that holds its packed voxels."""
    path = tmp_path / f"a.{request.param}"
    sitk.WriteImage(sitk.GetImageFromArray(LABELS), str(path), useCompression=True)
    return path, max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)


def test_one_wrong_bit_is_noticed(packed):
    path, voxels = packed
    np.testing.assert_array_equal(read_labelmap(path).array, LABELS)
    content = voxels.read_bytes()
    for part in np.linspace(0.5, 0.999, 20):
        damaged = bytearray(content)
        damaged[int(part * len(content))] ^= 8
        voxels.write_bytes(damaged)
        with pytest.raises(VolumeError, match="damaged"):
            read_labelmap(path)


@pytest.mark.parametrize("lost", [1, 5, 1000])
def test_an_end_that_is_cut_off_is_noticed(packed, lost):
    path, voxels = packed
    voxels.write_bytes(voxels.read_bytes()[:-lost])
    with pytest.raises(VolumeError, match="damaged"):
        read_labelmap(path)


def test_packed_voxels_of_unknown_length_are_refused(tmp_path):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(LABELS), str(path), useCompression=True)
    lines = path.read_bytes().split(b"\n", 20)
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"CompressedDataSize")))
    with pytest.raises(VolumeError, match="CompressedDataSize"):
        read_labelmap(path)


def test_packed_voxels_after_lines_of_text(tmp_path):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(LABELS), str(path), useCompression=True)
    header, voxels = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(header + b"\nline skip: 2\n\nsome\nwords\n" + voxels)
    np.testing.assert_array_equal(read_labelmap(path).array, LABELS)
