"""DICOM series, written slice by slice with pydicom."""

from dataclasses import dataclass

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.read import read_volume

STORED = np.arange(6 * 4 * 5, dtype=np.int16).reshape(6, 4, 5)  # (k, j, i)
SPACING_KJI = (2.5, 0.8, 0.7)


@dataclass
class Stack:
    """Where the slices of a series lie."""

    orientation: tuple = (1, 0, 0, 0, 1, 0)
    origin: tuple = (-10.0, -20.0, 30.0)

    def position(self, slices: float):
        """LPS mm, so many slice distances along the normal."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.array(self.origin) + slices * SPACING_KJI[0] * normal


def write_slice(path, pixels, position, orientation=(1, 0, 0, 0, 1, 0), series="1.2.3", **tags):
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2", "SeriesInstanceUID": series, "Modality": "CT",
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "PixelSpacing": list(SPACING_KJI[1:]),
        "ImageOrientationPatient": [f"{c:.10f}" for c in orientation],
        "ImagePositionPatient": [f"{p:.6f}" for p in position],
        "RescaleSlope": 1, "RescaleIntercept": -1024, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "PixelData": pixels.astype("<i2").tobytes(),
    }  # fmt: skip
    for keyword, value in {**values, **tags}.items():
        if value is not None:
            setattr(file, keyword, value)
    file.save_as(path, enforce_file_format=True)


def write_series(folder, places=range(6), stack=None, **tags):
    """One slice for each place, a multiple of the slice distance; file names in reverse order."""
    stack = stack or Stack()
    for k, place in enumerate(places):
        write_slice(
            folder / f"IM{99 - k}", STORED[k], stack.position(place), orientation=stack.orientation, **tags
        )
    return folder


def assert_refused(folder, words):
    with pytest.raises(VolumeError, match=words) as caught:
        read_volume(folder)
    assert caught.value.remedy


def test_hounsfield_units_and_affine(tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    volume = read_volume(write_series(tmp_path))
    np.testing.assert_array_equal(volume.array, STORED - 1024)
    assert volume.array.dtype.kind == "i"
    assert volume.modality == "CT"
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.ijk_to_ras, expected, atol=1e-6)


def test_oblique_sagittal_series(tmp_path):
    tilt = np.radians(20)
    stack = Stack((np.sin(tilt), np.cos(tilt), 0, 0, 0, -1))
    volume = read_volume(write_series(tmp_path, stack=stack))
    np.testing.assert_array_equal(volume.array, STORED - 1024)
    for k in (0, 5):
        lps = stack.position(k) + 3 * 0.7 * np.array(stack.orientation[:3]) + [0, 0, -2 * 0.8]
        ras = volume.ijk_to_ras @ [3, 2, k, 1]
        np.testing.assert_allclose(ras[:3], lps * [-1, -1, 1], atol=1e-5)


def test_file_order_against_the_normal(tmp_path):
    volume = read_volume(write_series(tmp_path, places=range(5, -1, -1)))
    np.testing.assert_array_equal(volume.array, STORED[::-1] - 1024)


def test_rescale_of_each_slice(tmp_path):
    for k in range(6):
        write_slice(tmp_path / f"{k}", STORED[k], Stack().position(k), RescaleSlope=1 + k / 4)
    expected = STORED * (1 + np.arange(6) / 4)[:, None, None] - 1024
    np.testing.assert_allclose(read_volume(tmp_path).array, expected)


def test_rounded_positions_are_even_enough(tmp_path):
    write_series(tmp_path, places=np.round(np.arange(6) * 2.5 + [0, 0.1, -0.1, 0.1, 0, 0], 1) / 2.5)
    assert read_volume(tmp_path).spacing_kji[0] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([0, 1, 2, 4, 5, 6], "lacks 1 slice in between"),
        ([0, 1, 2, 5, 6, 8], "lacks 3 slices"),
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
        read_volume(tmp_path)
    str(caught.value).encode()


def test_refuses_folder_without_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("not DICOM")
    assert_refused(tmp_path, "no DICOM images")


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_refuses_slices_without_a_place(tmp_path, tag):
    assert_refused(write_series(tmp_path, **{tag: None}), "where it lies")


def test_refuses_parallel_axes(tmp_path):
    write_series(tmp_path, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    assert_refused(tmp_path, "singular")


def test_refuses_multi_frame(tmp_path):
    write_slice(tmp_path / "a", STORED[0], (0, 0, 0), NumberOfFrames=2, PixelData=STORED[:2].tobytes())
    assert_refused(tmp_path, "many frames")


@pytest.mark.parametrize("name", ["IM99", "IM97"])
def test_refuses_truncated_slice_in_silence(tmp_path, capfd, name):
    write_series(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-20])
    assert_refused(tmp_path, f"{name} is no readable DICOM image")
    assert capfd.readouterr() == ("", "")


def test_index_file_of_a_disc_does_no_harm(tmp_path):
    write_series(tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert read_volume(tmp_path).array.shape == STORED.shape
