"""What is exported comes back: every voxel, every code."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import Segment, overlapping
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.volumes.labels import Code
from Testing.dicom.made_up import write_volume
from Testing.volumes.samples import affine

ORGANS = load_bundle("abdomen-ct").labels
HALVES = load_bundle("hippocampus-mr").labels
TUMOUR = replace(
    HALVES[0],
    value=9,
    name="Größe ≥ 2 cm, Tumor",
    category=Code("SCT", "49755003", "Morphologically Abnormal Structure"),
    type=Code("SCT", "108369006", "Neoplasm"),
    modifier=Code("SCT", "86049000", "Primary"),
    region=Code("SCT", "64033007", "Kidney"),
    region_modifier=Code("SCT", "7771000", "Left"),
)
LABELS = [*ORGANS[:4], TUMOUR]
# Each example takes a tenth of a second: what shrinking one would take is not worth it.
PHASES = [Phase.explicit, Phase.generate]
CODES = ("name", "color", "category", "type", "modifier", "region", "region_modifier")


@st.composite
def segments_on(draw, shape):
    """A few segments: boxes of noise, single voxels; slices in between stay empty, overlap is allowed."""
    segments = []
    for label in draw(st.permutations(LABELS))[: draw(st.integers(1, 4))]:
        low = [draw(st.integers(0, n - 1)) for n in shape]
        high = [draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)]
        seed = draw(st.integers(0, 2**16))
        values = np.random.default_rng(seed).random([b - a for a, b in zip(low, high, strict=True)])
        values[draw(st.integers(0, values.shape[0] - 1))] = 0  # a gap, unless it is the only slice
        values.flat[seed % values.size] = 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        segments.append(Segment(label, box, values.astype(np.float32)))
    return segments


@pytest.mark.parametrize("encoding, examples", [("BINARY", 100), ("LABELMAP", 50), ("FRACTIONAL", 50)])
def test_nothing_is_lost(tmp_path_factory, encoding, examples):
    @settings(max_examples=examples, phases=PHASES, suppress_health_check=list(HealthCheck))
    @given(
        data=st.data(),
        shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
        spacing=st.tuples(*[st.floats(0.3, 5)] * 3),
        degrees=st.tuples(*[st.floats(-180, 180)] * 3),
        flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
        origin=st.tuples(*[st.floats(-500, 500)] * 3),
    )
    def goes_and_comes(data, shape, spacing, degrees, flips, origin):
        segments = data.draw(segments_on(shape))
        if encoding != "FRACTIONAL":
            segments = [replace(segment, values=segment.values > 0.5) for segment in segments]
        if encoding == "LABELMAP":
            while overlapping(segments, shape):
                segments = segments[:-1]
        rounding = 0.502 / 255 if encoding == "FRACTIONAL" else 0
        folder = tmp_path_factory.mktemp("series")
        write_volume(folder, np.zeros(shape, int), affine(spacing, degrees, flips, origin))
        series = read_series(folder)
        file = folder / "seg" / "out.dcm"
        file.parent.mkdir()
        export_seg(file, series, segments, encoding)
        assert [path.name for path in file.parent.iterdir()] == ["out.dcm"]
        found = {segment.label.name: segment for segment in read_seg(file, series)}
        assert len(found) == len(segments)
        for meant in segments:
            got = found[meant.label.name]
            assert all(getattr(got.label, name) == getattr(meant.label, name) for name in CODES)
            one, other = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
            one[meant.box], other[got.box] = meant.values, got.values
            np.testing.assert_allclose(other, one, rtol=0, atol=rounding)

    goes_and_comes()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_six_hundred_slices(tmp_path, encoding):
    empty = {"Rows": 512, "Columns": 512, "PixelData": b""}
    write_volume(tmp_path, np.zeros((600, 1, 1), int), affine((0.7, 0.7, 0.8)), **empty)
    for file in tmp_path.iterdir():  # pixels that take no room on the disk
        os.truncate(file, file.stat().st_size + 512 * 512 * 2)
    series = read_series(tmp_path)
    assert series.shape_kji == (600, 512, 512)
    box = slice(100, 500), slice(0, 500), slice(30, 60)
    values = np.ones((400, 500, 30), np.float32 if encoding == "FRACTIONAL" else bool)
    export_seg(tmp_path / "out.dcm", series, [Segment(ORGANS[0], box, values)], encoding)
