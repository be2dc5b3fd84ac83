"""Reading of files: what comes in, and what is refused with which words."""

import gzip
import os
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import PERHAPS_LABELS, likeness_to_labels
from HiDiffRefineLib.volumes.read import EXTENSIONS, read_labelmap, read_probabilities, read_volume

ARRAY = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)  # (k, j, i)


def write(path, array=ARRAY, spacing=(1.0, 2.0, 3.0), **image_arguments):
    image = sitk.GetImageFromArray(array, **image_arguments)
    if image.GetDimension() == 3:
        image.SetSpacing(spacing)
        image.SetOrigin((10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(path))
    return path


def nifti_patched(path, offset, form, *values):
    """A NIfTI file whose header holds other values at a byte offset (nifti1.h)."""
    content = bytearray(write(path).read_bytes())
    struct.pack_into(form, content, offset, *values)
    path.write_bytes(content)
    return path


def metaimage_patched(path, old, new):
    content = write(path, spacing=(1.0, 1.0, 1.0)).read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def assert_refused(path, words, read=read_volume):
    with pytest.raises(VolumeError, match=words) as caught:
        read(path)
    assert caught.value.remedy
    assert "ITK" not in str(caught.value)
    assert str(path.parent) not in str(caught.value)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_array_affine_and_name(tmp_path, extension):
    volume = read_volume(write(tmp_path / f"Head 1{extension}"))
    assert volume.array.dtype == np.uint8
    np.testing.assert_array_equal(volume.array, ARRAY)
    # SimpleITK's frame is LPS: the first two rows change sign.
    expected = [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.ijk_to_ras, expected, atol=1e-5)
    np.testing.assert_allclose(volume.spacing_kji, [3, 2, 1], atol=1e-5)
    assert volume.name == "Head 1"


@pytest.mark.parametrize("spelled", [str.upper, str.title, str.swapcase, str.capitalize])
@pytest.mark.parametrize("extension", [*EXTENSIONS, ".Nii.gz", ".nii.GZ"])
def test_extension_in_capitals(tmp_path, extension, spelled):
    path = tmp_path / f"HEAD{spelled(extension)}"
    shutil.copy(write(tmp_path / f"a{extension.lower()}"), path)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.name == "HEAD"


def test_mixed_capitals_where_links_are_not_allowed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    path = write(tmp_path / "a.nii.gz").rename(tmp_path / "a.Nii.gz")
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_stored_type_is_kept(tmp_path, dtype):
    assert read_volume(write(tmp_path / "a.nii.gz", ARRAY.astype(dtype))).array.dtype == dtype


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_single_time_point_is_a_volume(tmp_path, extension):
    volume = read_volume(write(tmp_path / f"a{extension}", ARRAY[None], isVector=False))
    np.testing.assert_array_equal(volume.array, ARRAY)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_refuses_time_series(tmp_path, extension):
    path = write(tmp_path / f"a{extension}", np.stack([ARRAY] * 3), isVector=False)
    assert_refused(path, r"4 dimensions \(6 × 5 × 4 × 3\)")


def test_refuses_complex(tmp_path):
    assert_refused(write(tmp_path / "a.nii", ARRAY.astype(np.complex64)), "complex")


def test_refuses_colour(tmp_path):
    assert_refused(write(tmp_path / "a.nrrd", np.stack([ARRAY] * 3, -1), isVector=True), "3 values per voxel")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_what_is_no_number(tmp_path, value):
    array = ARRAY.astype(np.float32)
    array[1, 2, 3] = value
    path = write(tmp_path / "a.nrrd", array)
    assert_refused(path, "NaN or infinity")
    assert_refused(path, "no labelmap", read_labelmap)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_refuses_what_is_no_number_in_nifti_which_itk_reads_as_0(tmp_path, extension, dtype, value):
    array = ARRAY.astype(dtype[1:])
    array[1, 2, 3] = value
    path = write(tmp_path / "a.nii", array)
    content = path.read_bytes()
    if dtype[0] == ">":
        content = big_endian(content)
    path = tmp_path / f"b{extension}"
    path.write_bytes(gzip.compress(content) if extension == ".nii.gz" else content)
    assert_refused(path, "NaN or infinity")


def big_endian(content):
    """The same NIfTI file of 4-byte voxels as another kind of computer writes it (nifti1.h)."""
    fields = "i10s18sihcc8h3f4h8f3fhcc4fii80s24s2h6f12f16s4s"
    header = struct.pack(f">{fields}", *struct.unpack_from(f"<{fields}", content))
    return header + content[348:352] + np.frombuffer(content[352:], "<f4").astype(">f4").tobytes()


def test_big_endian_nifti(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(big_endian(write(path, ARRAY.astype(np.float32)).read_bytes()))
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)


def blocks(labels):
    """Cubes of 20 voxels in a background, each of one of several labels."""
    cubes = 1 + np.arange(5**3).reshape(5, 5, 5) % labels
    return np.pad(cubes.repeat(20, 0).repeat(20, 1).repeat(20, 2), 20).astype(np.int16)


@pytest.mark.parametrize("labels", [1, 4, 54, 100])
def test_refuses_segmentation_as_image(tmp_path, labels):
    for path in (tmp_path / "a.nii.gz", tmp_path / "b.seg.nrrd", tmp_path / "c.nii"):
        array = blocks(labels).astype(np.float32 if path.suffix == ".nii" else np.int16)
        assert_refused(write(path, array), "a segmentation, not an image")
        assert read_labelmap(path).array.any()


@pytest.mark.parametrize("values", [6, 12, 40, 200])
def test_images_of_few_grey_values_are_images(tmp_path, values):
    """As a converter leaves them that divides by too large a number."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((20, 40, 40)), 0.8)
    smooth[:, :8] = smooth.min()
    array = np.rint((values - 1) * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    assert len(np.unique(read_volume(write(tmp_path / "a.nii.gz", array)).array)) <= values
    assert likeness_to_labels(array) == (PERHAPS_LABELS if values < 8 else 0)


@pytest.mark.parametrize("values", [6, 8, 12, 16, 24, 48])
def test_smooth_images_of_few_grey_values_are_images(tmp_path, values):
    """As a scanner interpolates them to half the pixel size, in several ways of smoothness."""
    for width in (2, 4, 6):
        smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((20, 80, 80)), width)
        array = np.rint((values - 1) * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
        assert likeness_to_labels(array) <= PERHAPS_LABELS
        assert read_volume(write(tmp_path / "a.nii.gz", array)).array.any()
        if likeness_to_labels(array):
            assert_refused(write(tmp_path / "a_seg.nii.gz", array), "a segmentation, not an image")


def test_what_may_be_either_is_refused_by_its_name_only(tmp_path):
    array = blocks(3)
    array[25:] += np.random.default_rng(0).random(array[25:].shape) < 0.05
    assert likeness_to_labels(array) == PERHAPS_LABELS
    assert read_volume(write(tmp_path / "a.nii.gz", array)).array.any()
    assert_refused(write(tmp_path / "a_label.nii.gz", array), "a segmentation, not an image")


def test_fractions_are_no_labels(tmp_path):
    assert read_volume(write(tmp_path / "a.nii.gz", blocks(3) * np.float32(0.25))).array.any()


def test_says_what_may_not_be_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nii.gz")

    def refused(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    assert_refused(path, "a.nii.gz cannot be read: Permission denied")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_refuses_names_that_are_no_unicode(tmp_path):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/M\xfcller"))  # Latin-1
    folder.mkdir()
    path = write(tmp_path / "a.nii.gz").rename(folder / "a.nii.gz")
    assert_refused(path, "letters in an encoding that is not the system's")
    with pytest.raises(VolumeError, match="letters in an encoding"):
        read_probabilities(path)


def test_refuses_constant_image_but_not_empty_labelmap(tmp_path):
    path = write(tmp_path / "a.nrrd", np.zeros_like(ARRAY))
    assert_refused(path, "constant: every voxel is 0")
    assert read_labelmap(path).array.max() == 0


def test_refuses_no_voxels(tmp_path):
    assert_refused(metaimage_patched(tmp_path / "a.mha", b"DimSize = 6 5 4", b"DimSize = 0 5 4"), "no voxels")


@pytest.mark.parametrize("beside", [False, True])
def test_text_that_ends_in_a_digit_may_be_cut_off(tmp_path, beside):
    fields = {"ObjectType": "Image", "NDims": 3, "BinaryData": False, "DimSize": "6 5 4"}
    fields |= {"ElementSpacing": "1 1 1", "ElementType": "MET_SHORT"}
    fields |= {"ElementDataFile": "a.txt" if beside else "LOCAL"}
    header = "".join(f"{key} = {value}\n" for key, value in fields.items())
    path, text = tmp_path / ("a.mhd" if beside else "a.mha"), " ".join(map(str, range(120)))
    for end in ("\n", " ", "\r\n", ""):
        path.write_text(header + ("" if beside else text + end), newline="")
        (tmp_path / "a.txt").write_text(text + end, newline="")
        if end:
            assert read_volume(path).array.ravel().tolist() == list(range(120))
        else:
            assert_refused(path, "no line break: its last number may be cut off")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_refuses_one_voxel_thin(tmp_path, axis):
    assert_refused(write(tmp_path / "a.nrrd", ARRAY.take([1], axis)), "one voxel thin")


def test_refuses_flat_picture(tmp_path):
    assert_refused(write(tmp_path / "a.nii", ARRAY[0]), "one voxel thin")


@pytest.mark.parametrize("spacing", ["0", "-1", "50.1", "0.0009"])
def test_refuses_impossible_spacing(tmp_path, spacing):
    path = metaimage_patched(
        tmp_path / "a.mha", b"ElementSpacing = 1 1 1", f"ElementSpacing = {spacing} 1 1".encode()
    )
    assert_refused(path, "spacing .* impossible")


@pytest.mark.parametrize(
    ("matrix", "words"),
    [(b"1 0 0 1 0 0 0 0 1", "singular"), (b"1 0 0 0.5 1 0 0 0 1", "right angles")],
)
def test_refuses_singular_and_sheared_axes(tmp_path, matrix, words):
    path = metaimage_patched(tmp_path / "a.mha", b"Matrix = 1 0 0 0 1 0 0 0 1", b"Matrix = " + matrix)
    assert_refused(path, words)


def test_refuses_sheared_nifti(tmp_path):
    path = nifti_patched(tmp_path / "a.nii", 252, "<2h", 0, 1)  # no qform, sform valid
    content = bytearray(path.read_bytes())
    struct.pack_into("<12f", content, 280, 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    path.write_bytes(content)
    assert_refused(path, "right angles")


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("part", [0.0, 0.2, 0.99])
def test_refuses_truncated_file_in_silence(tmp_path, capfd, extension, part):
    # Noise does not compress: the cut is certain to hit voxels.
    array = np.random.default_rng(0).integers(0, 255, (8, 9, 10), dtype=np.uint8)
    path = write(tmp_path / f"a{extension}", array)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert_refused(path, "damaged, incomplete")
    assert capfd.readouterr() == ("", "")


def test_refuses_flipped_bits_in_gzip(tmp_path):
    path = tmp_path / "a.nii.gz"
    content = bytearray(write(path).read_bytes())
    content[-6] ^= 0xFF  # in the checksum
    path.write_bytes(content)
    assert_refused(path, "damaged")
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(content)


def test_refuses_missing_detached_data(tmp_path):
    path = write(tmp_path / "a.mhd")
    (tmp_path / "a.raw").unlink()
    assert_refused(path, "damaged, incomplete")


def test_refuses_unknown_extension_and_missing_file(tmp_path):
    picture = tmp_path / "a.png"
    picture.touch()
    assert_refused(picture, r"not known. Use .nii.gz, .*DICOM")
    assert_refused(tmp_path / "b.nii", "no such file")


def test_labelmap_of_floats_becomes_small_integers(tmp_path):
    array = (ARRAY % 3).astype(np.float32)
    labelmap = read_labelmap(write(tmp_path / "a.nii.gz", array)).array
    assert labelmap.dtype == np.uint8
    np.testing.assert_array_equal(labelmap, array)
    assert read_labelmap(write(tmp_path / "b.nii.gz", array.astype(np.int32) * 300)).array.dtype == np.uint16


@pytest.mark.parametrize("value", [0.5, -1, 70000])
def test_refuses_image_as_labelmap(tmp_path, value):
    array = ARRAY.astype(np.float32)
    array[0, 0, 0] = value
    assert_refused(write(tmp_path / "a.nrrd", array), "no labelmap", read_labelmap)


def test_every_real_set_reads(data_dir):
    for folder in sorted(data_dir.iterdir()):
        image = next(folder.glob("images/*.nii.gz"), None)
        label = next(folder.glob("labels/*.nii.gz"), None)
        if image:
            read_volume(image)
        if label:
            assert read_labelmap(label).array.any()


@pytest.mark.parametrize("value", [2e38, -3e38, 1e31])
def test_values_that_would_overflow_are_refused(tmp_path, value):
    array = np.random.default_rng(0).random((10, 10, 10), np.float32)
    array[3, 3, 3] = value
    assert_refused(write(tmp_path / "a.nrrd", array), "which no scanner gives")


def test_a_full_memory_is_no_damage(tmp_path, monkeypatch):
    path = write(tmp_path / "a.nrrd")

    def full(_):
        raise RuntimeError("itk::ERROR: ImageFileReader: Failed to allocate memory for image.")

    monkeypatch.setattr(sitk.ImageFileReader, "Execute", full)
    with pytest.raises(MemoryError):
        read_volume(path)


@pytest.mark.parametrize(
    "extension, origin",
    [
        *[("nrrd", number) for number in (b"nan", b"inf", b"1e300", b"-2e6")],
        *[("mha", number) for number in (b"1e300", b"-2e6")],  # of the others ITK makes 0 there
    ],
)
def test_an_origin_that_is_no_place_is_refused(tmp_path, extension, origin):
    path = tmp_path / f"a.{extension}"
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetOrigin((1, 777, 2))
    sitk.WriteImage(image, str(path))
    path.write_bytes(path.read_bytes().replace(b"777", origin))
    with pytest.raises(VolumeError) as caught:
        read_volume(path)
    assert caught.value.remedy


def test_a_volume_far_from_the_origin_is_read(tmp_path):
    path = tmp_path / "a.nrrd"
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    image.SetOrigin((9000, -9000, 9000))
    sitk.WriteImage(image, str(path))
    assert read_volume(path).ijk_to_ras[:3, 3].tolist() == [-9000, 9000, 9000]


@pytest.mark.parametrize("field", ["Offset", "TransformMatrix", "ElementSpacing"])
@pytest.mark.parametrize("word", ["nan", "inf", "far"])
def test_a_metaimage_whose_place_is_no_number_is_refused(tmp_path, field, word):
    """ITK makes 0 of it."""
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5)), str(path))
    header = path.read_bytes()
    start = header.index(field.encode() + b" = ") + len(field) + 3
    path.write_bytes(header[:start] + word.encode() + header[header.index(b" ", start) :])
    with pytest.raises(VolumeError, match="lies nowhere|no numbers|spacing|do not span"):
        read_volume(path)
