"""Labelmaps as other programs leave them: read right, or refused."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.labels import TISSUE, Label
from HiDiffRefineLib.volumes.read import read_labelmap, read_probabilities, read_segmentation
from HiDiffRefineLib.volumes.seg_nrrd import legible
from HiDiffRefineLib.volumes.volume import Volume, laid_on
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.volumes.full_disk import full_after

LABELS = np.zeros((6, 7, 8), np.uint8)
LABELS[2:4, 2:4, 2:5], LABELS[4] = 3, 2


def nifti(path, array=LABELS):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, str(path))
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("slope", [13 / 255, 13 / 32767, 0.0005, 1 / 3])
def test_labels_that_were_stored_scaled(tmp_path, slope):
    path = tmp_path / "a.nii"
    content = nifti(path, np.rint(LABELS / slope).astype(np.int16))
    content[112:120] = struct.pack("<2f", slope, 0)
    path.write_bytes(content)
    found = read_labelmap(path).array
    assert found.dtype == np.uint8 and np.array_equal(found, LABELS)


@pytest.mark.parametrize("values", [[0, 0.3, 1], [0, 0.9, 1.1], [0, 1.5], [0, -1.0001], [0, np.nan]])
def test_what_lies_between_labels_is_refused(tmp_path, values):
    array = np.resize(np.float32(values), (6, 7, 8))
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.nrrd"))
    with pytest.raises(VolumeError, match="no labelmap"):
        read_labelmap(tmp_path / "a.nrrd")


@pytest.mark.parametrize("kind", ["vector", "list"])
def test_vectors_of_one(tmp_path, kind):
    header = (
        f"NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: 1 8 7 6\n"
        f"space directions: none (1,0,0) (0,2,0) (0,0,3)\nkinds: {kind} domain domain domain\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + LABELS.tobytes())
    np.testing.assert_array_equal(read_labelmap(tmp_path / "a.nrrd").array, LABELS)


@pytest.mark.parametrize("extension", ["nrrd", "nii.gz", "mha"])
def test_four_dimensions_with_one_volume(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(LABELS)]), str(path))
    np.testing.assert_array_equal(read_labelmap(path).array, LABELS)


def nifti2(zooms=(1, 2, 3), order="<", dim=(3, 8, 7, 6, 1, 1, 1, 1)) -> bytes:
    header = bytearray(544)
    struct.pack_into(f"{order}i8s2h", header, 0, 540, b"n+2\0\r\n\x1a\n", 2, 8)
    struct.pack_into(f"{order}8q", header, 16, *dim)
    struct.pack_into(f"{order}8dq2d", header, 104, 1, *zooms, 1, 1, 1, 1, 544, 1, 0)
    struct.pack_into(f"{order}2i", header, 344, 0, 2)
    rows = np.diag([-zooms[0], -zooms[1], zooms[2], 1.0])[:3]
    rows[:, 3] = 10, 20, 30
    struct.pack_into(f"{order}12d", header, 400, *rows.ravel())
    struct.pack_into(f"{order}i", header, 500, 2)
    return bytes(header) + LABELS.tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("extension", ["nii", "nii.gz"])
def test_nifti_2(tmp_path, order, extension):
    path = tmp_path / f"a.{extension}"
    content = nifti2(order=order)
    path.write_bytes(gzip.compress(content) if extension == "nii.gz" else content)
    volume = read_labelmap(path)
    np.testing.assert_array_equal(volume.array, LABELS)
    np.testing.assert_allclose(
        volume.ijk_to_ras, [[-1, 0, 0, 10], [0, -2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]]
    )
    assert volume.name == "a"
    count, maps = read_probabilities(path)
    assert count == 1
    np.testing.assert_array_equal(next(maps).array, LABELS)


def test_nifti_2_where_there_is_no_room_to_unpack_it(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti2())
    with full_after(100), pytest.raises(VolumeError, match="cannot be read") as caught:
        read_labelmap(tmp_path / "a.nii")
    assert "temporary files" in caught.value.remedy


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_64_bits_a_voxel(tmp_path, kind):
    path = tmp_path / "a.nii"
    sitk.WriteImage(sitk.GetImageFromArray(LABELS.astype(np.uint8)), str(path))
    content = bytearray(path.read_bytes()[:352])
    content[70:74] = struct.pack("<2h", {np.int64: 1024, np.uint64: 1280}[kind], 64)
    path.write_bytes(bytes(content) + LABELS.astype(kind).tobytes())
    np.testing.assert_array_equal(read_labelmap(path).array, LABELS)
    count, maps = read_probabilities(path)
    np.testing.assert_array_equal(next(maps).array, LABELS)


@pytest.mark.parametrize("cut", [200, 545, 700])
def test_nifti_2_that_is_cut(tmp_path, cut):
    for path, content in (
        (tmp_path / "a.nii", nifti2()[:cut]),
        (tmp_path / "a.nii.gz", gzip.compress(nifti2())[: cut // 10]),
    ):
        path.write_bytes(content)
        with pytest.raises(VolumeError, match="damaged"):
            read_labelmap(path)


@pytest.mark.parametrize("place, value", [(104, 1e300), (400, -1e300), (344, 2**30), (16, -(2**40))])
def test_nifti_2_with_numbers_of_no_image(tmp_path, place, value):
    content = bytearray(nifti2())
    kind = "<d" if isinstance(value, float) else "<i" if place == 344 else "<q"
    struct.pack_into(kind, content, place, value)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(VolumeError, match="damaged"):
        read_labelmap(tmp_path / "a.nii")


def test_a_field_of_a_header_with_a_name_in_latin_1(tmp_path):
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, LABELS > 0, np.eye(4), [Label(1, "liver", (1, 2, 3), TISSUE, TISSUE)])
    path.write_bytes(path.read_bytes().replace(b"Segment0_Color:", b"Segm\xe9nt0_Color:"))
    assert [label.name for label in read_segmentation(path)[1]] == ["liver"]


def test_nifti_2_with_an_axis_too_long(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti2(dim=(3, 40000, 7, 6, 1, 1, 1, 1)))
    with pytest.raises(VolumeError, match="axis of 40000 voxels"):
        read_labelmap(tmp_path / "a.nii")


@pytest.mark.parametrize("shear, refused", [(1e-4, False), (3e-4, False), (9e-4, False), (2e-3, True)])
def test_axes_that_are_nearly_at_right_angles(tmp_path, shear, refused):
    path = tmp_path / "a.nii"
    content = nifti(path)
    rows = np.array([[-1, 2 * shear, 0, 0], [0, -2, 0, 0], [0, 0, 3, 0]], "<f4")
    content[252:256], content[280:328] = struct.pack("<2h", 0, 2), rows.tobytes()
    path.write_bytes(content)
    if refused:
        with pytest.raises(VolumeError, match="right angles"):
            read_labelmap(path)
    else:
        found = read_labelmap(path).ijk_to_ras
        corners = np.array([[i, j, k, 1] for i in (0, 7) for j in (0, 6) for k in (0, 5)])
        np.testing.assert_allclose(corners @ found[:3].T, corners @ rows.T, atol=10 * shear)


def layered(path, first, second, values=(1, 1)):
    """A .seg.nrrd of two segments, each in a layer of its own."""
    fields = "".join(
        f"Segment{n}_Name:=part {n}\nSegment{n}_LabelValue:={value}\nSegment{n}_Layer:={n}\n"
        for n, value in enumerate(values)
    )
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 8 7 6\n"
        "space directions: none (1,0,0) (0,2,0) (0,0,3)\nkinds: list domain domain domain\n"
        f"encoding: raw\nspace origin: (0,0,0)\n{fields}\n"
    )
    array = np.stack([first * values[0], second * values[1]], axis=-1).astype(np.uint8)
    path.write_bytes(header.encode() + array.tobytes())
    return path


@pytest.mark.parametrize("values", [(1, 1), (1, 2), (5, 3)])
def test_layers_that_do_not_overlap(tmp_path, values):
    first, second = LABELS == 2, LABELS == 3
    volume, labels = read_segmentation(layered(tmp_path / "a.seg.nrrd", first, second, values))
    assert [label.name for label in labels] == ["part 0", "part 1"]
    for label, mask in zip(labels, (first, second), strict=True):
        np.testing.assert_array_equal(volume.array == label.value, mask)


def test_layers_that_overlap_are_refused(tmp_path):
    with pytest.raises(VolumeError, match="'part 0' and 'part 1' overlap"):
        read_segmentation(layered(tmp_path / "a.seg.nrrd", LABELS > 0, LABELS == 3))


def test_latin_1_in_names_and_tags(tmp_path):
    path = tmp_path / "a.seg.nrrd"
    label = Label(1, "Foie gauXX", (1, 2, 3), TISSUE, TISSUE, tags="Note:gauXX|")
    write_segmentation(path, LABELS > 0, np.eye(4), [label])
    path.write_bytes(path.read_bytes().replace(b"gauXX", b"gau\xe9\xe8"))
    volume, (found,) = read_segmentation(path)
    assert (found.name, found.tags) == ("Foie gauéè", "Note:gauéè|")
    write_segmentation(tmp_path / "b.seg.nrrd", volume.array, np.eye(4), [found])
    assert read_segmentation(tmp_path / "b.seg.nrrd")[1] == [found]
    assert legible("Größe") == legible("Größe".encode()) == legible(b"Gr\xf6\xdfe") == "Größe"


def test_a_mask_larger_than_the_image_by_empty_voxels():
    volume = Volume(np.zeros((6, 7, 8)), np.eye(4))
    larger = np.pad(LABELS, 2)
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, 3] = -2
    np.testing.assert_array_equal(laid_on(volume, Volume(larger, ijk_to_ras)), LABELS)
    larger[0, 0, 0] = 1
    assert laid_on(volume, Volume(larger, ijk_to_ras)) is None
    far = np.eye(4)
    far[:3, 3] = 100
    assert not laid_on(volume, Volume(np.zeros((3, 3, 3), np.uint8), far)).any()


@pytest.mark.parametrize(
    "values, sentence",
    [((0, 1), "'one' has the label value 0"), ((2, 2), "'one' and 'two' have the same label value 2")],
)
def test_values_that_tell_nothing_are_refused(tmp_path, values, sentence):
    path = tmp_path / "a.seg.nrrd"
    labels = [Label(n, name, (1, 2, 3), TISSUE, TISSUE) for n, name in ((4, "one"), (5, "two"))]
    write_segmentation(path, np.zeros((3, 4, 5)), np.eye(4), labels)
    content = path.read_bytes()
    for n, value in enumerate(values):
        content = content.replace(
            f"Segment{n}_LabelValue:={4 + n}".encode(), f"Segment{n}_LabelValue:={value}".encode()
        )
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=sentence):
        read_segmentation(path)


def test_a_folder_is_no_mask(tmp_path):
    with pytest.raises(VolumeError, match="This is a folder, not a file") as caught:
        read_segmentation(tmp_path)
    assert "import-dicom" in caught.value.remedy
