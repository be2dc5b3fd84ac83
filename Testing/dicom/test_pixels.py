"""What stored values come to: read right, or refused with the tag that is at fault."""

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.uid import JPEGLSLossless, RLELossless

from HiDiffRefineLib.dicom import pixels
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.images import read_image
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import VolumeError
from Testing.dicom.made_up import STORED, Stack, write_series, write_slice
from Testing.volumes.samples import SPLEEN


def rewritten(folder, change):
    """Each file of a folder after a change to its data set."""
    for file in folder.iterdir():
        whole = pydicom.dcmread(file)
        change(whole)
        whole.save_as(file)
    return folder


def assert_refused(folder, *words):
    with pytest.raises(VolumeError) as refused:
        read_image(folder)
    assert all(word in refused.value.message for word in words), refused.value.message
    assert refused.value.remedy


def as_lossless_jpeg(folder):
    for file in folder.iterdir():
        header, image = pydicom.dcmread(file), sitk.ReadImage(str(file), imageIO="GDCMImageIO")
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(file))
        writer.Execute(image)
        packed = pydicom.dcmread(file)
        header.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        header.PixelData = packed.PixelData
        header.PhotometricInterpretation = "MONOCHROME1"
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
        header.save_as(file)


@pytest.mark.parametrize("packing", ["none", "RLE", "JPEG-LS", "lossless JPEG"])
def test_what_is_shown_white_as_black_keeps_its_values(tmp_path, packing):
    shown = "MONOCHROME2" if packing == "lossless JPEG" else "MONOCHROME1"
    slope = {"RescaleSlope": None, "RescaleIntercept": None} if packing == "lossless JPEG" else {}
    write_series(tmp_path, PixelRepresentation=0, PhotometricInterpretation=shown, **slope)
    if slope:
        as_lossless_jpeg(tmp_path)
    elif packing != "none":
        syntax = RLELossless if packing == "RLE" else JPEGLSLossless
        rewritten(tmp_path, lambda whole: whole.compress(syntax))
    assert pydicom.dcmread(min(tmp_path.iterdir())).PhotometricInterpretation == "MONOCHROME1"
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


def with_padding(folder, value, told, **tags):
    stored = STORED.astype(int).copy()
    stored[:, 0] = value
    for k in range(6):
        pixels = (stored[k] % 65536).astype(np.uint16).view(np.int16)
        write_slice(folder / f"{k}", pixels, Stack().position(k), PixelPaddingValue=told, **tags)
    return stored - 1024


@pytest.mark.parametrize("told", [63536, -2000])
def test_padding_that_was_written_signed_is_not_brighter_than_the_image(tmp_path, told):
    meant = with_padding(tmp_path, 63536, None, PixelRepresentation=0)
    vr = "SS" if told < 0 else "US"
    rewritten(tmp_path, lambda whole: whole.add_new("PixelPaddingValue", vr, told))
    meant[:, 0] = STORED[:, 1:].min() - 1024
    np.testing.assert_array_equal(read_image(tmp_path).array, meant)


def test_a_range_of_padding(tmp_path):
    meant = with_padding(tmp_path, 63536, 63000, PixelRepresentation=0, PixelPaddingRangeLimit=65535)
    meant[:, 0] = STORED[:, 1:].min() - 1024
    np.testing.assert_array_equal(read_image(tmp_path).array, meant)


@pytest.mark.parametrize("tellers", [{2}, {0, 1, 3, 4, 5}])
def test_padding_that_only_some_slices_tell(tmp_path, tellers):
    meant = with_padding(tmp_path, 63536, None, PixelRepresentation=0)
    for k in tellers:
        whole = pydicom.dcmread(tmp_path / f"{k}")
        whole.add_new("PixelPaddingValue", "US", 63536)
        whole.save_as(tmp_path / f"{k}")
    meant[:, 0] = STORED[:, 1:].min() - 1024
    np.testing.assert_array_equal(read_image(tmp_path).array, meant)


@pytest.mark.parametrize("value", [-2000, 50])
def test_padding_below_or_amidst_the_image_stays(tmp_path, value):
    """A header may call 0 padding where 0 HU is water."""
    meant = with_padding(tmp_path, value, value)
    np.testing.assert_array_equal(read_image(tmp_path).array, meant)


def a_table():
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [120, 0, 16])
    table.ModalityLUTType = "US"
    table.add_new("LUTData", "US", [3 * n + 7 for n in range(120)])
    return table


def test_a_lookup_table_of_the_scanner(tmp_path):
    write_series(
        tmp_path,
        ModalityLUTSequence=[a_table()],
        PixelRepresentation=0,
        RescaleSlope=None,
        RescaleIntercept=None,
        RescaleType=None,
    )
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED * 3 + 7)


def test_refuses_a_palette_of_colours(tmp_path):
    write_series(tmp_path, PhotometricInterpretation="PALETTE COLOR")
    assert_refused(tmp_path, "colour image", "PhotometricInterpretation (0028,0004)", "PALETTE COLOR")


@pytest.mark.parametrize("syntax", [None, RLELossless])
@pytest.mark.parametrize("high, signed", [(15, False), (15, True), (13, False), (11, True)])
def test_stored_bits_anywhere(tmp_path, high, signed, syntax):
    """Twelve bits of sixteen; the others hold what does not belong to the image."""
    values = STORED * 16 - (1000 if signed else 0)
    for k in range(6):
        bits = (values[k] & 0xFFF).astype(np.uint16) << (high - 11)
        others = ~np.uint16(0xFFF << (high - 11)) & np.uint16(0xA5A5)
        tags = {"BitsStored": 12, "HighBit": high, "PixelRepresentation": int(signed)}
        write_slice(tmp_path / f"{k}", (bits | others).view(np.int16), Stack().position(k), **tags)
    if syntax:
        rewritten(tmp_path, lambda whole: packed_as_it_is(whole, syntax))
    np.testing.assert_array_equal(read_image(tmp_path).array, values - 1024)


def packed_as_it_is(whole, syntax):
    """pydicom would not pack bits that it takes for unused."""
    told = whole.BitsStored, whole.PixelRepresentation
    whole.BitsStored, whole.PixelRepresentation = 16, 0
    whole.compress(syntax)
    whole.BitsStored, whole.PixelRepresentation = told


def test_refuses_bits_in_other_places_of_a_packed_image(tmp_path):
    write_series(tmp_path, PixelRepresentation=0)
    rewritten(tmp_path, lambda whole: whole.compress(JPEGLSLossless))
    rewritten(tmp_path, lambda whole: setattr(whole, "BitsStored", 12))
    assert_refused(tmp_path, "HighBit (0028,0102) is 15 with 12 stored bits")


@pytest.mark.parametrize(
    "lacking, tags",
    [
        (["RescaleSlope", "RescaleIntercept"], "RescaleSlope (0028,1053) and RescaleIntercept (0028,1052)"),
        (["RescaleSlope"], "RescaleSlope (0028,1053)"),
        (["RescaleIntercept"], "RescaleIntercept (0028,1052)"),
        (["ModalityLUTSequence"], "ModalityLUTSequence (0028,3000)"),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_refuses_a_slice_without_the_rescaling_of_the_others(tmp_path, lacking, tags, empty):
    table = {"ModalityLUTSequence": [a_table()]} if "ModalityLUTSequence" in lacking else {}
    write_series(tmp_path, PixelRepresentation=0, **table)
    file = tmp_path / "IM97"
    bare = pydicom.dcmread(file)
    for name in lacking:
        delattr(bare, name)
        if empty:
            setattr(bare, name, [] if table else "")
    bare.save_as(file)
    assert_refused(tmp_path, f"IM97 lacks {tags}, which")


def test_a_header_that_does_not_say_how_it_is_shown(tmp_path):
    write_series(tmp_path, PhotometricInterpretation=None)
    np.testing.assert_array_equal(read_image(tmp_path).array, STORED - 1024)


@pytest.mark.parametrize(
    "syntax, name",
    [
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
        ("1.2.840.10008.1.2.99.1", "1.2.840.10008.1.2.99.1"),
        ("1.2.840.113619.5.2", "1.2.840.113619.5.2"),
    ],
)
def test_names_a_packing_that_is_not_known(tmp_path, syntax, name):
    write_series(tmp_path, PixelRepresentation=0)
    rewritten(tmp_path, lambda whole: whole.compress(RLELossless))
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        length = (len(syntax) + 1) // 2 * 2
        old = b"\x02\0\x10\0UI" + (20).to_bytes(2, "little") + b"1.2.840.10008.1.2.5\0"
        assert old in content
        new = b"\x02\0\x10\0UI" + length.to_bytes(2, "little") + syntax.encode().ljust(length, b"\0")
        file.write_bytes(content.replace(old, new))
    assert_refused(tmp_path, "is packed as", name, "TransferSyntaxUID (0002,0010)")
    segments = segments_of(np.ones(STORED.shape, np.uint8), [SPLEEN])
    export_seg(tmp_path / "seg.dcm", read_series(tmp_path), segments)  # which needs no pixels


def test_a_packed_slice_that_claims_too_much_is_not_unpacked(tmp_path, monkeypatch):
    """A damaged header's 32767 × 65535 voxels took GDCM ten seconds and four gigabytes."""

    def damage(whole):
        whole.compress(JPEGLSLossless)
        whole.Rows, whole.Columns = 32767, 65535

    write_series(tmp_path, PixelRepresentation=0)
    kept = sorted(rewritten(tmp_path, damage).iterdir())[0]
    unpacked = []
    monkeypatch.setattr(pixels, "native_calls", lambda **_: unpacked.append(1))
    with pytest.raises(VolumeError, match="damaged"), pixels.legible(kept):
        pixels.stored_values(kept)
    assert not unpacked


JPEG2000_SIZES = b"\xff\x4f\xff\x51\x00\x29\x00\x00"


def huge(content: bytes) -> bytes:
    """The codestream's own image and tile, 2147483647 × 64: GDCM took 86 s."""
    at = content.index(JPEG2000_SIZES) + len(JPEG2000_SIZES)
    size = struct.pack(">II", 0x7FFFFFFF, 64)
    return content[:at] + size + content[at + 8 : at + 16] + size + content[at + 24 :]


def shortened(content: bytes) -> bytes:
    """A fragment whose length ends it half way: GDCM took up to ten seconds to look for the next one."""
    at = content.index(JPEG2000_SIZES) - 4
    (length,) = struct.unpack_from("<I", content, at)
    return content[:at] + struct.pack("<I", length // 2) + content[at + 4 :]


@pytest.mark.parametrize("damage", [huge, shortened])
def test_a_damaged_codestream_is_not_unpacked(tmp_path, monkeypatch, damage):
    good = Path(get_testdata_file("MR_small_jp2klossless.dcm"))
    assert pixels.stored_values(good).shape == (1, 64, 64)
    damaged = tmp_path / "a.dcm"
    damaged.write_bytes(damage(good.read_bytes()))
    unpacked = []
    monkeypatch.setattr(pixels, "native_calls", lambda **_: unpacked.append(1))
    with pytest.raises(VolumeError, match="damaged"), pixels.legible(damaged):
        pixels.stored_values(damaged)
    assert not unpacked
