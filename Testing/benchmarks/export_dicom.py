"""What the export of 13 organs of a 512 × 512 × 300 CT as DICOM SEG takes: seconds, memory, size of the file.

export_dicom.py [--data DIR] [--shape KxJxI]. Each encoding in a process of its own, whose memory is told. The
last row is the command line on a file of probabilities, as `segment --probabilities` writes it.
"""

import argparse
import contextlib
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import uniform_filter, zoom

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.main import main as command_line
from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.segments import Segment, segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.volumes.read import read_labelmap
from Testing.dicom.made_up import write_volume

FROM_A_FILE = "FROM A FILE"


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
        for encoding in (*ENCODINGS, FROM_A_FILE):
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
    prepare_maps(folder, labelmap)


def prepare_maps(folder: Path, labelmap: np.ndarray) -> None:
    """Probabilities of all organs as one file; nowhere quite 0, as networks' are. One map is in memory."""
    k, j, i = labelmap.shape
    image = sitk.JoinSeries([sitk.Image(2, 2, 2, sitk.sitkFloat32)] * 13)
    image.SetSpacing((0.75, 0.75, 1, 1))
    image.SetDirection(np.diag([-1.0, -1, 1, 1]).ravel().tolist())
    sitk.WriteImage(image, str(folder / "small.nii"))
    header = bytearray((folder / "small.nii").read_bytes()[:352])
    header[42:50] = np.array([i, j, k, 13], "<i2").tobytes()
    with gzip.open(folder / "maps.nii.gz", "wb", compresslevel=1) as file:
        file.write(header)
        for value in range(1, 14):
            soft = uniform_filter((labelmap == value).astype(np.float32), 5).clip(0, 1)
            file.write(np.maximum(soft, np.float32(1e-4)).tobytes())


def run(encoding: str, folder: Path) -> None:
    """One export, checked and read back as ever; prints its row."""
    if encoding == FROM_A_FILE:
        run_command_line(folder)
        return
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
    frames = len(series.slices) * (1 if encoding == "LABELMAP" else len(segments))
    tell(encoding, started, worked, file, frames)


def run_command_line(folder: Path) -> None:
    """The same from a file of maps."""
    file = folder / "seg.dcm"
    started, worked = time.monotonic(), time.process_time()
    arguments = [folder / "maps.nii.gz", "--source", folder / "series", "--output", file]
    more = ["--encoding", "fractional", "--bundle", "abdomen-ct", "--fix"]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        assert command_line(["export-dicom", *map(str, arguments), *more]) == 0
    tell(FROM_A_FILE, started, worked, file, 13 * len(list((folder / "series").iterdir())))


def tell(what: str, started: float, worked: float, file: Path, frames: int) -> None:
    """Prints a row."""
    seconds, work = time.monotonic() - started, time.process_time() - worked
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = file.stat().st_size / 1e6
    print(f"{what:<12}{seconds:10.1f}{work:8.1f}{memory:7.2f}{size:9.1f}{frames:8}", flush=True)


if __name__ == "__main__":
    main()
