"""Damaged files: refused with a sentence, quickly, and nothing is left half written."""

import struct

import numpy as np
import pytest

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import VolumeError
from Testing.dicom.broken import broken_files
from Testing.dicom.made_up import STORED, write_series
from Testing.dicom.odd import odd_exports
from Testing.tally import trials
from Testing.volumes.samples import SPLEEN


def test_broken_files_are_read_or_refused_in_a_sentence(tmp_path):
    count = trials(150)
    for tally in broken_files(count, 0, tmp_path).values():
        assert tally.wrong == [] and tally.read and tally.inputs == count


def test_exports_of_odd_series_are_read_back(tmp_path):
    tally = odd_exports(trials(20), 0, tmp_path)
    assert tally.wrong == [] and tally.read == trials(20)


@pytest.mark.parametrize("tag", [(0x8, 0x18), (0x8, 0x60), (0x20, 0xE), (0x20, 0x52)])
def test_an_identity_of_no_known_kind(tmp_path, tag):
    folder, seg = tmp_path / "series", tmp_path / "seg.dcm"
    folder.mkdir()
    series = read_series(write_series(folder))
    export_seg(seg, series, segments_of(np.full(STORED.shape, SPLEEN.value, np.uint8), [SPLEEN]))
    for path, read in (
        (seg, lambda: read_seg(seg, series)),
        (min(folder.iterdir()), lambda: read_series(folder)),
    ):
        content = path.read_bytes()
        at = content.index(struct.pack("<HH", *tag)) + 4
        path.write_bytes(content[:at] + b"C\xad" + content[at + 2 :])
        with pytest.raises(VolumeError, match="damaged"):
            read()
