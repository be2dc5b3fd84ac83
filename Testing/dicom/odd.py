"""Exports of odd series, read back by ourselves: each segment is what it was, where it was."""

import shutil
from pathlib import Path

import numpy as np

from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import in_255ths
from Testing.dicom.generated import Export, generated
from Testing.tally import Tally


def odd_exports(count: int, seed: int, folder: Path) -> Tally:
    """So many; what something was wrong with stays in the folder."""
    tally = Tally()
    for n in range(count):
        place = folder / f"export {n}"
        place.mkdir()
        if tally.take(
            place.name, lambda place=place, number=1000 * seed + n: _same(generated(place, number))
        ):
            shutil.rmtree(place)
    return tally


def _same(export: Export) -> None:
    """Fails where a file is read otherwise than meant."""
    found = {segment.label.name: segment for segment in read_seg(export.file, export.series)}
    assert set(found) == {segment.label.name for segment in export.segments}, export.told
    for segment in export.segments:
        back = found[segment.label.name]
        assert back.label.type == segment.label.type, export.told
        whole = np.zeros(export.series.shape_kji, np.uint8)
        whole[back.box] = in_255ths(back.values)
        meant = np.zeros_like(whole)
        meant[segment.box] = in_255ths(segment.values)
        np.testing.assert_array_equal(whole, meant, export.told)
