"""NIfTI headers that give two places: told, and kept in what is written."""

import gzip
import math
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.volumes.nifti_forms import difference, read_forms
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.volumes.samples import SPLEEN

SHAPE = (6, 7, 8)


def nifti(path, codes=(1, 1), moved=0.0, shear=0.0):
    """An oblique flipped image; its sform lies some mm to the patient's left of its qform, and is sheared."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((5, 6, 7))
    c, s = math.cos(0.3), math.sin(0.3)
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, -1))
    sitk.WriteImage(image, str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, *codes)
    for place, by in ((292, -moved), (284, shear)):
        struct.pack_into("<f", content, place, struct.unpack_from("<f", content, place)[0] + by)
    path.write_bytes(content)
    return path


def test_the_quaternion_gives_what_the_rows_give(tmp_path):
    path = nifti(tmp_path / "a.nii")
    forms = read_forms(path)
    np.testing.assert_allclose(forms.qform, forms.sform, atol=1e-6)
    np.testing.assert_allclose(forms.qform, read_volume(path).ijk_to_ras, atol=1e-5)
    assert forms.apart(SHAPE) == 0 and difference(forms, forms.qform, SHAPE) == ""


@pytest.mark.parametrize("codes, used", [((1, 1), "sform"), ((2, 1), "sform"), ((1, 4), "qform")])
def test_places_that_differ_are_told_with_their_distance(tmp_path, codes, used):
    volume = read_volume(nifti(tmp_path / "a.nii", codes, 5))
    told = difference(volume.forms, volume.ijk_to_ras, SHAPE)
    assert f"up to 5.0 mm apart. Its {used} is used" in told
    np.testing.assert_allclose(volume.ijk_to_ras, getattr(volume.forms, used), atol=1e-5)


@pytest.mark.parametrize("codes", [(0, 1), (1, 0)])
def test_one_place_alone_is_no_difference(tmp_path, codes):
    volume = read_volume(nifti(tmp_path / "a.nii", codes, 5))
    assert difference(volume.forms, volume.ijk_to_ras, SHAPE) == ""


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    "case", [{"moved": 5}, {"codes": (2, 4)}, {"codes": (0, 2)}, {"codes": (1, 0)}, {"shear": 1e-3}]
)
def test_what_is_written_keeps_both_places(tmp_path, extension, case):
    volume = read_volume(nifti(tmp_path / "a.nii", **case))
    mask, maps = tmp_path / f"m{extension}", tmp_path / f"p{extension}"
    labelmap = (volume.array > 0).astype(np.uint8)
    probabilities = np.stack([volume.array, volume.array])
    write_segmentation(mask, labelmap, volume.ijk_to_ras, [SPLEEN], maps, probabilities, volume.forms)
    for path in (mask, maps):
        content = gzip.decompress(path.read_bytes()) if extension == ".nii.gz" else path.read_bytes()
        assert content[252:328] == (tmp_path / "a.nii").read_bytes()[252:328]
    found = read_labelmap(mask)
    np.testing.assert_array_equal(found.array, labelmap)
    np.testing.assert_allclose(found.ijk_to_ras, volume.ijk_to_ras, atol=1e-5)


def test_files_in_other_units_are_written_in_millimetres(tmp_path):
    path = nifti(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[123] = 3  # micrometres
    path.write_bytes(content)
    assert read_volume(path).forms is None
