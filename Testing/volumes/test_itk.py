"""What calls of ITK do to the process that they run in, and what it does to them."""

import locale
import os
import subprocess
import threading

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.itk import native_calls
from HiDiffRefineLib.volumes.read import read_segmentation, read_volume
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.volumes.samples import SPLEEN


@pytest.fixture(scope="module")
def decimal_comma(tmp_path_factory):
    """Name of a locale with decimal commas; compiled where none is installed."""
    for name in ("de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"):
        if _known(name):
            return name
    folder = tmp_path_factory.mktemp("locales")
    try:
        command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
        subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no locale with decimal commas, and no localedef to make one")
    os.environ["LOCPATH"] = str(folder)
    if not _known("de_DE.UTF-8"):
        pytest.skip("no locale with decimal commas could be made")
    return "de_DE.UTF-8"


def _known(name):
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_NUMERIC, before)
    return True


@pytest.mark.parametrize("extension", ["nrrd", "nii.gz", "mha"])
def test_spacing_under_a_decimal_comma(tmp_path, decimal_comma, extension):
    path, mask = tmp_path / f"a.{extension}", tmp_path / "m.seg.nrrd"
    array = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.75, 1.75, 2.5))
    sitk.WriteImage(image, str(path))
    locale.setlocale(locale.LC_NUMERIC, decimal_comma)
    try:
        volume = read_volume(path)
        write_segmentation(mask, array > 500, volume.ijk_to_ras, [SPLEEN])
        found, labels = read_segmentation(mask)
        assert locale.setlocale(locale.LC_NUMERIC) == decimal_comma
    finally:
        locale.setlocale(locale.LC_NUMERIC, "C")
    assert volume.spacing_kji.tolist() == [2.5, 1.75, 1.75]
    np.testing.assert_array_equal(found.ijk_to_ras, volume.ijk_to_ras)
    assert b"space directions: (1.75,0,0) (0,1.75,0) (0,0,2.5)" in mask.read_bytes()
    assert [label.name for label in labels] == [SPLEEN.name]


def test_other_threads_keep_their_messages(capfd):
    with native_calls():
        os.write(2, b"** WARNING: of nifti_clib\nWARNING: In itkImage.cxx, line 7\nImage (0x0): odd\n\n")
        os.write(2, b"/ITK/vnl/algo/vnl_svd.hxx: suspicious\nM = [ ...\n   nan nan\n   nan nan ]\n")
        thread = threading.Thread(target=os.write, args=(2, b"another thread's\n"))
        thread.start()
        thread.join()
    assert capfd.readouterr().err == "another thread's\n"


def test_other_threads_keep_their_messages_while_a_bad_file_is_read(tmp_path, capfd, monkeypatch):
    path = tmp_path / "a.mha"
    path.write_bytes(b"NDims = x\n")
    read = sitk.ImageFileReader.ReadImageInformation

    def beside_another_thread(reader):
        thread = threading.Thread(target=os.write, args=(2, b"another thread's\n"))
        thread.start()
        thread.join()
        read(reader)

    monkeypatch.setattr(sitk.ImageFileReader, "ReadImageInformation", beside_another_thread)
    with pytest.raises(VolumeError):
        read_volume(path)
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "another thread's\nlater\n"
