"""Files whose lengths are in other units than millimetres."""

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume

ARRAY = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)


def image(spacing=(2, 2, 3), origin=(100, 200, 300)):
    image = sitk.GetImageFromArray(ARRAY)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def nrrd(path, units, field="space units"):
    sitk.WriteImage(image(), str(path), False)
    line = f"{field}: {units}\n".encode()
    path.write_bytes(path.read_bytes().replace(b"kinds:", line + b"kinds:"))
    return path


@pytest.mark.parametrize(
    "unit, mm",
    [
        ("um", 1e-3),
        ("µm", 1e-3),
        ("μm", 1e-3),
        ("microns", 1e-3),
        ("Micrometers", 1e-3),
        ("mm", 1),
        ("cm", 10),
    ]
    + [("millimeter", 1), ("???", 1), ("", 1), ("pixel", 1)],
)
def test_space_units_of_nrrd(tmp_path, unit, mm):
    volume = read_volume(nrrd(tmp_path / "a.nrrd", f'"{unit}" "{unit}" "{unit}"'))
    np.testing.assert_allclose(volume.spacing_kji, [3 * mm, 2 * mm, 2 * mm])
    np.testing.assert_allclose(volume.ijk_to_ras[:3, 3], [-100 * mm, -200 * mm, 300 * mm])
    assert read_labelmap(tmp_path / "a.nrrd").spacing_kji[0] == pytest.approx(3 * mm)


def test_units_of_single_axes(tmp_path):
    header = (
        b'NRRD0004\ntype: short\ndimension: 3\nsizes: 10 10 10\nspacings: 20 20 30\nunits: "um" "um" "um"\n'
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(header + b"encoding: raw\nendian: little\n\n" + ARRAY.tobytes())
    np.testing.assert_allclose(read_volume(path).spacing_kji, [0.03, 0.02, 0.02])


@pytest.mark.parametrize("code, mm", [(0, 1), (1, 1000), (2, 1), (3, 1e-3)])
def test_units_of_nifti(tmp_path, code, mm):
    path = tmp_path / "a.nii"
    sitk.WriteImage(image(np.array((2.0, 2, 3)) / max(mm, 1)), str(path))
    content = bytearray(path.read_bytes())
    content[123] = code
    path.write_bytes(content)
    np.testing.assert_allclose(read_volume(path).spacing_kji, np.array((3, 2, 2)) * min(mm, 1), rtol=1e-6)


def test_units_of_metaimage(tmp_path):
    path = tmp_path / "a.mha"
    sitk.WriteImage(image(), str(path), False)
    path.write_bytes(path.read_bytes().replace(b"AnatomicalOr", b"DistanceUnits = um\nAnatomicalOr"))
    np.testing.assert_allclose(read_volume(path).spacing_kji, [0.003, 0.002, 0.002])


@pytest.mark.parametrize(
    "units, sentence",
    [
        ('"cm" "cm" "mm"', "several units .cm, cm, mm."),
        ('"furlong" "furlong" "furlong"', "in 'furlong'"),
        ('"s" "s" "s"', "in 's'"),
    ],
)
def test_what_is_no_unit_is_refused(tmp_path, units, sentence):
    with pytest.raises(VolumeError, match=sentence):
        read_volume(nrrd(tmp_path / "a.nrrd", units))
