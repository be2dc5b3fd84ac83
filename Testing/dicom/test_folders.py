"""Which files are taken: by what they are, not by how they are called or where they lie."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.images import read_image
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.read import read_labelmap
from Testing.dicom.made_up import STORED, write_series, write_slice
from Testing.volumes.samples import SPLEEN


def assert_refused(folder, words):
    with pytest.raises(VolumeError, match=words) as caught:
        read_image(folder)
    assert caught.value.remedy


def disc(folder, index="DICOMDIR"):
    """A series on a disc, whose index has any name."""
    slices, made = folder / "slices", FileSet()
    slices.mkdir()
    for file in write_series(slices).iterdir():
        made.add(pydicom.dcmread(file))
    made.write(folder / "disc")
    (folder / "disc" / "DICOMDIR").rename(folder / "disc" / index)
    return folder / "disc"


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "INDEX", "index.dcm"])
def test_an_index_is_known_by_what_it_is(tmp_path, name):
    folder = disc(tmp_path, name)
    for path in (folder, folder / name):
        np.testing.assert_array_equal(read_image(path).array, STORED - 1024)


def test_an_index_finds_files_in_small_letters(tmp_path):
    folder = disc(tmp_path)
    for file in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
        if file.name != "DICOMDIR":
            file.rename(file.with_name(file.name.lower()))
    np.testing.assert_array_equal(read_image(folder / "DICOMDIR").array, STORED - 1024)


def test_an_index_that_names_slices_which_are_gone(tmp_path):
    folder = disc(tmp_path)
    max(path for path in folder.rglob("*") if path.is_file() and "IM" in path.name).unlink()
    assert_refused(folder / "DICOMDIR", "names images that are not there: .*ReferencedFileID .0004,1500")


def test_an_index_of_several_series():
    with pytest.raises(VolumeError, match="series 5") as refused:
        read_series(Path(get_testdata_file("DICOMDIR")))
    assert "--series" in refused.value.remedy


def test_a_damaged_index_does_no_harm(tmp_path):
    write_series(tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert read_image(tmp_path).array.shape == STORED.shape


def test_a_slice_of_the_name_of_an_index(tmp_path):
    (write_series(tmp_path) / "IM97").rename(tmp_path / "DICOMDIR")
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


@pytest.mark.parametrize("content", [b"", b"\0", b"D", b"\n", bytes(131)])
def test_files_without_content_do_no_harm(tmp_path, content):
    write_series(tmp_path)
    for name in ("lock", ".nomedia", "Thumbs.db", "IM_notes"):
        (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


@pytest.mark.parametrize("start", [b"\x02\0", b"\x08\0", b"\x08\0\x05\0\x09\0\x07\0", b"\0\x08\0\x07"])
def test_files_of_plain_numbers_are_not_taken_for_dicom(tmp_path, start):
    write_series(tmp_path)
    (tmp_path / "scan.raw").write_bytes(start + bytes(range(1, 200)))
    assert read_image(tmp_path).array.shape == STORED.shape


def test_a_slice_stands_for_its_series(tmp_path):
    write_series(tmp_path)
    write_slice(tmp_path / "other", STORED[0], (0, 0, 0), series="1.2.4")
    np.testing.assert_array_equal(read_image(tmp_path / "IM97").array, STORED - 1024)


def test_a_mosaic_alone(tmp_path):
    write_series(tmp_path, [0], ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    assert_refused(tmp_path, r"IM99 is a mosaic.*ImageType \(0008,0008\)")


def test_an_object_that_calls_itself_an_image(tmp_path):
    write_series(tmp_path)
    report = pydicom.dcmread(get_testdata_file("reportsi.dcm"))
    report.SOPClassUID = pydicom.uid.CTImageStorage
    report.save_as(tmp_path / "report")
    assert_refused(
        tmp_path, r"CT Image Storage by its SOPClassUID \(0008,0016\), but has no Rows \(0028,0010"
    )


def test_an_image_without_rows_is_told_from_one_cut_off(tmp_path):
    write_series(tmp_path)
    whole = pydicom.dcmread(tmp_path / "IM94")
    del whole.Rows
    whole.save_as(tmp_path / "IM94")
    assert_refused(tmp_path, r"IM94 is a CT Image Storage .* but has no Rows \(0028,0010")


@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("name, tag", [("SOPClassUID", "0008,0016"), ("SOPInstanceUID", "0008,0018")])
def test_a_slice_that_does_not_say_what_it_is(tmp_path, name, tag, value):
    write_series(tmp_path)
    whole = pydicom.dcmread(tmp_path / "IM94")
    whole[name].value = value
    whole.save_as(tmp_path / "IM94")
    assert_refused(tmp_path, rf"IM94 is no readable .* has no {name} \({tag}\)")


def seg_of(series, file, name="Segmentation"):
    mask = np.ones(STORED.shape, np.uint8)
    export_seg(file, series, segments_of(mask, [SPLEEN]))
    whole = pydicom.dcmread(file)
    whole.SeriesDescription = name
    whole.save_as(file)


def test_a_folder_with_series_and_segmentation_serves_as_either(tmp_path, capsys):
    out = tmp_path / "out.nii.gz"
    folder = tmp_path / "all"
    folder.mkdir()
    series = read_series(write_series(folder))
    command = ["import-dicom", str(folder), "--source", str(folder), "--output", str(out)]
    assert main(command) == 1 and "no DICOM segmentation" in capsys.readouterr().err
    seg_of(series, folder / "mask.dcm")
    assert main(command) == 0
    assert read_labelmap(out).array.all()
    np.testing.assert_array_equal(read_image(folder).array, STORED - 1024)
    seg_of(series, folder / "second.dcm", "by someone else")
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "2 DICOM segmentations: mask.dcm, 'Segmentation'; second.dcm, 'by someone else'" in told
    command[1] = str(folder / "second.dcm")
    command[3] = str(folder / "IM97")
    assert main(command) == 0
    with pytest.raises(VolumeError, match="not known") as refused:
        read_labelmap(folder / "mask.dcm")
    assert "import-dicom" in refused.value.remedy


@pytest.mark.parametrize("name", ["a.nii.gz", "A.NII", "a.nrrd", "a.mha"])
def test_a_folder_of_other_image_files(tmp_path, name):
    (tmp_path / "below").mkdir()
    for file in (tmp_path / name, tmp_path / "notes.txt"):
        file.write_bytes(b"\xff" * 200)
    words = rf"{tmp_path.name}: This is a folder without DICOM images; it holds {name}\."
    assert_refused(tmp_path, words)
    for other in ("z.nii", "._a.nii"):
        (tmp_path / "below" / other).touch()
    with pytest.raises(VolumeError, match=f"it holds {name} and 1 more") as caught:
        read_image(tmp_path)
    assert caught.value.remedy == "Choose one of these files, not the folder."
    write_series(tmp_path / "below")  # beside DICOM they say nothing
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)
