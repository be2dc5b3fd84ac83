"""Exports of all kinds, made by their number: any grid, headers that say odd things, any segments."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.segments import Segment, box_at, in_255ths, overlapping
from HiDiffRefineLib.dicom.series import Series, read_series
from HiDiffRefineLib.volumes.volume import Volume, laid_on
from Testing.dicom.made_up import enhanced, write_volume
from Testing.volumes.samples import affine

ORGANS = load_bundle("abdomen-ct").labels
PER_FRAME, PARTS, UNLIKE = "multi-frame, geometry per frame", "several files", "slices of unlike orientation"
FORMS = ("slices", UNLIKE, "multi-frame", PER_FRAME, PARTS)
NAMES = [
    (None, "Miller^Anna"),
    ("ISO_IR 100", "Müller^Jörg"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ("ISO 2022 IR 100", "Müller^Jörg"),
]


@dataclass(frozen=True)
class Export:
    """A file, and what is in it.

    Args:
        told: what makes the export odd, for messages.
    """

    told: str
    file: Path
    series: Series
    segments: list[Segment]
    encoding: str

    def mask(self, segment: Segment) -> np.ndarray:
        """Where (k, j, i) the series has a voxel of a segment, or a probability that is stored."""
        whole = np.zeros(self.series.shape_kji, bool)
        whole[segment.box] = in_255ths(segment.values) > 0
        return whole

    def on_grid(self, mask: np.ndarray, ijk_to_ras: np.ndarray) -> np.ndarray | None:
        """What a reader found, on the grid of the series."""
        grid = Volume(np.zeros(self.series.shape_kji, np.uint8), self.series.ijk_to_ras)
        return laid_on(grid, Volume(mask.astype(np.uint8), ijk_to_ras))


def generated(folder: Path, number: int) -> Export:
    """One export; the same number makes the same."""
    random = np.random.default_rng(number)
    encoding, form = ENCODINGS[number % 3], FORMS[number % len(FORMS)]
    told, tags = _oddities(random)
    series = _series(folder, random, form, tags)
    segments = _segments(series.shape_kji, random, encoding)
    file = folder / f"{number}.dcm"
    export_seg(file, series, segments, encoding)
    return Export(f"{number}: {encoding} on {form}, {told}", file, series, segments, encoding)


def _oddities(random: np.random.Generator) -> tuple[str, dict]:
    declared, name = NAMES[random.integers(len(NAMES))]
    tags = {
        "SpacingBetweenSlices": random.choice([None, 0.1, -2.5, 99]),
        "SliceThickness": random.choice([None, 0.5, 3]),
        "SpecificCharacterSet": declared,
        "PatientName": name,
        "PatientID": random.choice(["P1", None]),
        "StudyDate": random.choice(["20260102", None]),
        "PositionReferenceIndicator": random.choice(["", None]),
    }
    return ", ".join(f"{key}={value}" for key, value in tags.items()), tags


def _series(folder: Path, random: np.random.Generator, form: str, tags: dict) -> Series:
    """Of a few small slices; files lie in a folder of their own."""
    shape = (random.integers(2, 7), *random.integers(3, 10, 2))
    flips, degrees = random.choice([-1, 1], 3), random.uniform(-180, 180, 3) * random.integers(0, 2)
    ijk_to_ras = affine(random.uniform(0.3, 5, 3), degrees, flips, random.uniform(-300, 300, 3))
    files, single = folder / "series", folder / "single"
    files.mkdir()
    if form in ("slices", UNLIKE):
        write_volume(files, np.zeros(shape, int), ijk_to_ras, **tags)
        if form == UNLIKE:
            for n, file in enumerate(files.iterdir()):
                whole = pydicom.dcmread(file)
                whole.ImageOrientationPatient[random.integers(6)] += n * 1e-7
                whole.save_as(file)
        return read_series(files)
    single.mkdir()
    # What highdicom can convert.
    known = {"SpecificCharacterSet": None, "PatientName": "Miller^Anna", "PatientID": "P1"}
    known |= {"SliceThickness": 3, "StudyDate": "20260102", "PositionReferenceIndicator": ""}
    write_volume(single, np.zeros(shape, int), ijk_to_ras, **{**tags, **known})
    paths = sorted(single.iterdir())
    halves = [paths[::2], paths[1::2]] if form == PARTS else [paths]
    for n, half in enumerate(halves):
        part = folder / f"part{n}"
        part.mkdir()
        for path in half:
            path.rename(part / path.name)
        made = enhanced(part)
        made.SeriesInstanceUID = "1.2.7"
        if form == PER_FRAME:
            _into_frames(made)
        made.save_as(files / f"{n}.dcm", enforce_file_format=True)
    return read_series(files)


def _into_frames(made: pydicom.Dataset) -> None:
    shared = made.SharedFunctionalGroupsSequence[0]
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        for frame in made.PerFrameFunctionalGroupsSequence:
            frame[name] = pydicom.DataElement(name, "SQ", [pydicom.Dataset(shared[name][0])])
        del shared[name]


def _segments(shape, random: np.random.Generator, encoding: str) -> list[Segment]:
    """Boxes of noise; only in a LABELMAP they lie apart."""
    segments: list[Segment] = []
    for label in random.permutation(len(ORGANS))[: random.integers(1, 5)]:
        low = [random.integers(n) for n in shape]
        size = [random.integers(1, n - a + 1) for a, n in zip(low, shape, strict=True)]
        values = random.random(size).astype(np.float32)
        values.flat[random.integers(values.size)] = 1
        held = values if encoding == "FRACTIONAL" else values > 0.5
        segments.append(Segment(ORGANS[label], box_at(low, size), held))
        if encoding == "LABELMAP" and overlapping(segments, shape):
            segments.pop()
    return segments
