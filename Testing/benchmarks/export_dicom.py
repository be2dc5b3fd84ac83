"""What the export of 13 organs of a 512 × 512 × 300 CT as DICOM SEG takes: seconds, memory, size of the file.

export_dicom.py [--data DIR] [--shape KxJxI]. Each encoding in a process of its own, whose memory is told.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter, zoom

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.segments import Segment, segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.volumes.read import read_labelmap
from Testing.dicom.made_up import write_volume


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HIDIFF_DATA", "../shared/data")))
    parser.add_argument("--shape", default="300x512x512", help="k x j x i")
    parser.add_argument("--run", nargs=2, metavar=("ENCODING", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run[0], Path(options.run[1]))
        return
    shape = tuple(map(int, options.shape.split("x")))
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), options.data, shape)
        print(f"{'encoding':<12}{'export s':>10}{'CPU s':>8}{'GiB':>7}{'MB':>9}{'frames':>8}", flush=True)
        for encoding in ENCODINGS:
            subprocess.run([sys.executable, __file__, "--run", encoding, folder], check=True)


def prepare(folder: Path, data: Path, shape: tuple[int, int, int]) -> None:
    """A series of that size, whose pixels take no room on the disk, and a real case's organs on it."""
    file = sorted((data / "ct_btcv" / "labels").iterdir())[0]
    labels = read_labelmap(file).array
    labelmap = zoom(labels, np.divide(shape, labels.shape), order=0)
    np.save(folder / "labels.npy", labelmap.astype(np.uint8))
    (folder / "series").mkdir()
    k, j, i = shape
    small = np.zeros((k, 1, 1), int)
    write_volume(folder / "series", small, np.diag([0.75, 0.75, 1, 1]), Rows=j, Columns=i, PixelData=b"")
    for path in (folder / "series").iterdir():
        os.truncate(path, path.stat().st_size + 2 * j * i)


def run(encoding: str, folder: Path) -> None:
    """One export, checked and read back as ever; prints its row."""
    segments = segments_of(np.load(folder / "labels.npy"), load_bundle("abdomen-ct").labels)
    segments = [segment for segment in segments if not segment.empty]
    if encoding == "FRACTIONAL":
        segments = [
            Segment(s.label, s.box, uniform_filter(s.values.astype(np.float32), 5).clip(0, 1))
            for s in segments
        ]
    started, worked = time.monotonic(), time.process_time()
    series = read_series(folder / "series")
    file = folder / "seg.dcm"
    export_seg(file, series, segments, encoding)
    seconds, work = time.monotonic() - started, time.process_time() - worked
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    frames = len(series.slices) * (1 if encoding == "LABELMAP" else len(segments))
    row = f"{encoding:<12}{seconds:10.1f}{work:8.1f}{memory:7.2f}{file.stat().st_size / 1e6:9.1f}{frames:8}"
    print(row, flush=True)


if __name__ == "__main__":
    main()
