"""DICOM series, written slice by slice with pydicom."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from HiDiffRefineLib.dicom.images import read_image
from HiDiffRefineLib.dicom.pixels import read_voxels
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import VolumeError
from Testing.dicom.made_up import STORED, Stack, enhanced, write_series, write_slice


def assert_refused(folder, words):
    with pytest.raises(VolumeError, match=words) as caught:
        read_image(folder)
    assert caught.value.remedy


def test_hounsfield_units_and_affine(tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    volume = read_image(write_series(tmp_path))
    np.testing.assert_array_equal(volume.array, STORED - 1024)
    assert volume.array.dtype.kind == "i"
    assert volume.modality == "CT"
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.ijk_to_ras, expected, atol=1e-6)


def test_oblique_sagittal_series(tmp_path):
    tilt = np.radians(20)
    stack = Stack((np.sin(tilt), np.cos(tilt), 0, 0, 0, -1))
    volume = read_image(write_series(tmp_path, stack=stack))
    np.testing.assert_array_equal(volume.array, STORED - 1024)
    for k in (0, 5):
        lps = stack.position(k) + 3 * 0.7 * np.array(stack.orientation[:3]) + [0, 0, -2 * 0.8]
        ras = volume.ijk_to_ras @ [3, 2, k, 1]
        np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-5)


def test_file_order_against_the_normal(tmp_path):
    volume = read_image(write_series(tmp_path, places=range(5, -1, -1)))
    np.testing.assert_array_equal(volume.array, STORED[::-1] - 1024)


def test_rescale_of_each_slice(tmp_path):
    for k in range(6):
        write_slice(tmp_path / f"{k}", STORED[k], Stack().position(k), RescaleSlope=1 + k / 4)
    expected = STORED * (1 + np.arange(6) / 4)[:, None, None] - 1024
    np.testing.assert_allclose(read_image(tmp_path).array, expected)


def test_rounded_positions_are_even_enough(tmp_path):
    write_series(tmp_path, places=np.round(np.arange(6) * 2.5 + [0, 0.1, -0.1, 0.1, 0, 0], 1) / 2.5)
    assert read_image(tmp_path).spacing_kji[0] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([0, 1, 2, 4, 5, 6], "lacks 1 slice in between"),
        ([0, 1, 2, 5, 6, 8], "lacks 3 slices"),
        ([0, 2, 3, 4, 5, 6], "lacks 1 slice in between .ImagePositionPatient .0020,0032"),
        ([0, 1, 2, 3, 5, 7], "2.50 mm apart up to slice 4, and 5.00 mm from there .ImagePositionPatient"),
        ([0, 2, 4, 5, 6, 7], "5.00 mm apart up to slice 3, and 2.50 mm from there"),
        ([0, 1, 2, 3.3, 4.3, 5.3], "unevenly spaced .2.50 to 3.25 mm"),
        ([0, 1, 2, 2, 3, 4], "several slices at one position"),
        ([0, 0, 1, 1, 2, 2], "several slices at one position"),
        ([0], "single slice"),
    ],
)
def test_refuses_irregular_stacks(tmp_path, places, words):
    assert_refused(write_series(tmp_path, places), words)


def test_refuses_tilted_gantry(tmp_path):
    for k in range(6):
        write_slice(tmp_path / f"{k}", STORED[k], Stack().position(k) + [0, 0.5 * k, 0])
    assert_refused(tmp_path, "right angles")


def test_refuses_scout_among_the_slices(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "scout", STORED[0], (0, 0, 0), orientation=(0, 1, 0, 0, 0, -1))
    assert_refused(tmp_path, "different orientations")


def test_refuses_slices_of_another_size(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "small", STORED[0, :2], Stack().position(6))
    assert_refused(tmp_path, "differ in size")


def test_names_several_series(tmp_path):
    write_series(tmp_path, SeriesDescription="ABD 2.5", SeriesNumber=3)
    write_slice(tmp_path / "other", STORED[0], (0, 0, 0), series="1.2.4")
    assert_refused(tmp_path, r"2 DICOM series: .*series 3, 'ABD 2.5' \(6 files\)")
    assert_refused(tmp_path, r"'no description' \(1 files\)")


def test_names_a_series_with_letters_beyond_ascii(tmp_path):
    write_series(tmp_path, SpecificCharacterSet="ISO_IR 100", SeriesDescription="Schädel")
    write_slice(tmp_path / "other", STORED[0], (0, 0, 0), series="1.2.4")
    with pytest.raises(VolumeError, match="Sch.del") as caught:
        read_image(tmp_path)
    str(caught.value).encode()


def test_refuses_folder_without_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    assert_refused(tmp_path, "no DICOM images")


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_refuses_slices_without_a_place(tmp_path, tag):
    assert_refused(write_series(tmp_path, **{tag: None}), rf"where it lies.*no usable {tag} \(")


def test_refuses_parallel_axes(tmp_path):
    write_series(tmp_path, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    assert_refused(tmp_path, "singular")


def test_refuses_multi_frame(tmp_path):
    write_slice(tmp_path / "a", STORED[0], (0, 0, 0), NumberOfFrames=2, PixelData=STORED[:2].tobytes())
    assert_refused(tmp_path, r"many frames.*PerFrameFunctionalGroupsSequence \(5200,9230\)")


@pytest.mark.parametrize("name", ["IM99", "IM97"])
def test_refuses_truncated_slice_in_silence(tmp_path, capfd, name):
    write_series(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-20])
    assert_refused(tmp_path, f"{name} is no readable DICOM file")
    assert capfd.readouterr() == ("", "")


def test_files_without_preamble(tmp_path):
    write_series(tmp_path)
    for file in tmp_path.iterdir():
        header = pydicom.dcmread(file)
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        header.save_as(file, implicit_vr=True, little_endian=True, enforce_file_format=True)
        # Group 2 is of its own encoding; the bare data set begins behind it.
        content = file.read_bytes()
        file.write_bytes(content[content.index(b"\x08\0\x08\0") :])
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


def test_subfolders_and_choice_of_a_series(tmp_path):
    for n in (1, 2):
        folder = tmp_path / f"SE{n}"
        folder.mkdir()
        write_series(folder, series=f"1.2.{n}", SeriesNumber=n, SeriesDescription=f"phase {n}")
    assert_refused(tmp_path, "2 DICOM series: .*'phase 1'.*'phase 2'")
    for wanted in ("1", "phase 1", "1.2.1"):
        assert read_series(tmp_path, wanted).header.SeriesInstanceUID == "1.2.1"
    with pytest.raises(VolumeError, match="no series '3'.*phase 1"):
        read_image(tmp_path, "3")


def test_objects_without_image_and_private_junk_do_no_harm(tmp_path):
    write_series(tmp_path)
    for name in ("reportsi.dcm", "rtplan.dcm", "rtdose.dcm", "liver_1frame.dcm", "waveform_ecg.dcm"):
        (tmp_path / name).write_bytes(Path(get_testdata_file(name)).read_bytes())
    (tmp_path / "empty-ish.txt").write_text("\x08 not DICOM")
    for file in tmp_path.glob("IM*"):
        header = pydicom.dcmread(file)
        header.private_block(0x0099, "JUNK", create=True).add_new(1, "OB", bytes(range(256)))
        header.save_as(file)
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


def test_refuses_a_slice_that_is_there_twice(tmp_path):
    write_series(tmp_path)
    (tmp_path / "copy").write_bytes((tmp_path / "IM97").read_bytes())
    assert_refused(tmp_path, "same slice twice: IM97 and copy")


@pytest.mark.parametrize("kept", [0, 1, 100, 131, 140, 300, 700, 900, 1000])
def test_refuses_a_slice_cut_off_anywhere(tmp_path, kept):
    write_series(tmp_path)
    (tmp_path / "IM94").write_bytes((tmp_path / "IM94").read_bytes()[:kept])
    assert_refused(tmp_path, "IM94 is no readable DICOM file")


def test_a_header_that_asks_for_the_impossible(tmp_path):
    write_series(tmp_path, Rows=65535, Columns=65535)
    assert_refused(tmp_path, "damaged or cut off")


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_enhanced_multi_frame(tmp_path, syntax):
    made = enhanced(write_series(tmp_path, RescaleSlope=2))
    if syntax:
        made.compress(syntax)
    made.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    volume = read_image(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(volume.array, STORED * 2 - 1024)
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.ijk_to_ras, expected, atol=1e-6)


def test_enhanced_multi_frame_with_a_hole_or_a_wrong_count(tmp_path):
    made = enhanced(write_series(tmp_path, places=[0, 1, 2, 4, 5, 6]))
    made.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    assert_refused(tmp_path / "enhanced.dcm", "lacks 1 slice")
    made.NumberOfFrames = 5
    made.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    assert_refused(tmp_path / "enhanced.dcm", "damaged or cut off")


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_slices(tmp_path, syntax):
    for file in write_series(tmp_path, PixelRepresentation=0).iterdir():
        header = pydicom.dcmread(file)
        header.compress(syntax)
        header.save_as(file)
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


def test_lossless_jpeg_as_scanners_send_it(tmp_path):
    write_series(tmp_path, PixelRepresentation=0, RescaleIntercept=None, RescaleSlope=None)
    for file in tmp_path.iterdir():
        image = sitk.ReadImage(str(file), imageIO="GDCMImageIO")
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(file))
        writer.Execute(image)
        assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == JPEGLosslessSV1
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED)


def test_says_what_may_not_be_read(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    write_series(tmp_path)
    monkeypatch.setattr(Path, "open", refused)
    assert_refused(tmp_path, "cannot be read: Permission denied")


SCANS = Path(get_testdata_file("DICOMDIR")).parent  # real ones, made tiny by pydicom's people


def test_real_series():
    volume = read_image(SCANS / "98892001/CT5N")
    assert volume.array.shape == (5, 16, 16) and volume.modality == "CT"


@pytest.mark.parametrize("name", ["77654033/CT2", "98892003/MR700", "98892003/MR2", "98892003"])
def test_real_series_that_make_no_volume(name):
    with pytest.raises(VolumeError) as refused:
        read_image(SCANS / name)
    assert refused.value.remedy


GUISES = ("", "_RLE", "_jp2klossless", "_jpeg_ls_lossless", "_bigendian", "_implicit")


@pytest.mark.parametrize("name", ["CT_small.dcm", *(f"MR_small{guise}.dcm" for guise in GUISES)])
def test_real_slices(tmp_path, name):
    shutil.copy(get_testdata_file(name), tmp_path)
    series = read_series(tmp_path / name)
    stored = pydicom.dcmread(get_testdata_file("MR_small.dcm" if "MR" in name else name)).pixel_array
    one = series.slices[0]
    np.testing.assert_array_equal(read_voxels(series)[0], stored * one.slope + one.intercept)
