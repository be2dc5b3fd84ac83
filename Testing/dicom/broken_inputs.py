"""Damaged DICOM files: broken_inputs.py COUNT SEED FOLDER. Prints, as JSON, what they came to.

As many images and sources of exports as segmentations. A program of its own: were one of them to crash it,
pytest would tell. An alarm ends what hangs, and memory is limited to what a laptop has left. Seconds are the
processor's: others may be at work on it.
"""

import json
import os
import resource
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet
from pydicom.uid import RLELossless

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.images import read_image
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.pixels import read_voxels
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import Segment, segments_of
from HiDiffRefineLib.dicom.series import read_series
from Testing.dicom.made_up import STORED, enhanced, write_series
from Testing.tally import Tally
from Testing.volumes.samples import LEFT_KIDNEY, SPLEEN

MEMORY = 3 * 2**30
SECONDS = 20
LONG = 10  # twice what memory for an image of 65535 × 65535 takes
VRS = [
    name.encode()
    for name in [
        "AE",
        "AT",
        "CS",
        "DS",
        "FD",
        "IS",
        "LO",
        "OB",
        "OW",
        "PN",
        "SQ",
        "UI",
        "UL",
        "UN",
        "US",
        "??",
    ]
]
SIZES = [0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE]


def main(count: int, seed: int, folder: Path) -> dict:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    images, segs = _subjects(folder)
    tallies = {"DICOM": Tally(), "SEG": Tally()}
    for (kind, tally), subjects in zip(tallies.items(), (images, segs), strict=True):
        slowest = (0.0, "")
        for n in range(count):
            random = np.random.default_rng([seed, n])
            name = list(subjects)[n % len(subjects)]
            told = f"{name} {seed} {n}"
            seconds = _try(tally, told, *subjects[name], random, folder / "out" / "out.dcm")
            slowest = max(slowest, (seconds, told))
        # An alarm in the midst of a library's work may pass for damage: the clock tells.
        if slowest[0] > LONG:
            tally.wrong.append(f"{kind}: {slowest[0]:.1f} s for {slowest[1]}")
    return {kind: tally.as_dict() for kind, tally in tallies.items()}


def _try(tally: Tally, name: str, files: list, action, random: np.random.Generator, out: Path) -> float:
    """Damages one of the files and acts on them, where an export finds an old file; processor's seconds."""
    victim = files[random.integers(len(files))]
    content = victim.read_bytes()
    damaged = _damaged(content, random)
    victim.write_bytes(damaged)
    out.write_bytes(b"old")
    refused, started = tally.refused, time.process_time()
    signal.alarm(SECONDS)
    tally.take(name, action)
    signal.alarm(0)
    seconds = time.process_time() - started
    if victim.read_bytes() != damaged:
        tally.wrong.append(f"{name}: reading has changed it")
    if [file.name for file in out.parent.iterdir()] != [out.name]:
        tally.wrong.append(f"{name}: left {list(out.parent.iterdir())}")
    new = out.read_bytes()
    if new != b"old":
        if tally.refused > refused:
            tally.wrong.append(f"{name}: refused, but written")
        pydicom.dcmread(out)
    victim.write_bytes(content)
    return seconds


def _too_long(*_):
    raise TimeoutError(f"longer than {SECONDS} s")


def _damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Cut, flipped, of another VR, of an absurd size, a block doubled or blank; sometimes all at once."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(len(data)))
        match random.integers(6):
            case 0:
                del data[max(at, 1) :]
            case 1:
                for n in random.integers(len(data), size=random.integers(1, 30)):
                    data[n] ^= int(random.integers(1, 256))
            case 2:
                places = [n for n in range(132, len(data) - 1) if bytes(data[n : n + 2]) in VRS]
                if places:
                    at = places[random.integers(len(places))]
                    data[at : at + 2] = VRS[random.integers(len(VRS))]
            case 3:
                size = struct.pack("<I", SIZES[random.integers(len(SIZES))])
                data[at : at + 4] = size[: len(data[at : at + 4])]
            case 4:
                data[at:at] = data[at : at + int(random.integers(1, 200))]
            case 5:
                data[at : at + 50] = bytes(len(data[at : at + 50]))
        if len(data) < 2:
            break
    for keyword in (b"\x28\0\x10\0US\2\0", b"\x28\0\x11\0US\2\0", b"\x28\0\0\1US\2\0"):
        at = data.find(keyword)  # rows, columns, bits: the sizes that memory is asked for by
        if at >= 0 and random.random() < 0.05:
            data[at + 8 : at + 10] = struct.pack("<H", int(random.choice([0, 1, 7, 0xFFFF, 0x7FFF])))
    return bytes(data)


def _subjects(folder: Path) -> tuple[dict, dict]:
    """Images and segmentations, by name: files of which one is damaged, and what is then done with them."""
    for name in ("plain", "rle", "single", "enhanced", "seg", "out", "source", "on disc"):
        (folder / name).mkdir()
    plain = sorted(write_series(folder / "plain").iterdir())
    rle = sorted(write_series(folder / "rle", PixelRepresentation=0).iterdir())
    for file in rle:
        header = pydicom.dcmread(file)
        header.compress(RLELossless)
        header.save_as(file)
    several = folder / "enhanced" / "enhanced.dcm"
    enhanced(write_series(folder / "single")).save_as(several, enforce_file_format=True)
    shutil.rmtree(folder / "single")
    index = FileSet()
    for file in write_series(folder / "on disc").iterdir():
        index.add(pydicom.dcmread(file))
    index.write(folder / "disc")
    jpeg = []
    for guise in ("jp2klossless", "jpeg_ls_lossless"):
        (folder / guise).mkdir()
        jpeg.append(folder / guise / "a.dcm")
        shutil.copy(get_testdata_file(f"MR_small_{guise}.dcm"), jpeg[-1])
    series = read_series(write_series(folder / "source"))
    labelmap = np.zeros(STORED.shape, np.uint8)
    labelmap[1:3, 1:3, 2:4], labelmap[4, 0, 0] = SPLEEN.value, LEFT_KIDNEY.value
    segments = segments_of(labelmap, [SPLEEN, LEFT_KIDNEY])
    segs = []
    for encoding in ENCODINGS:
        given = segments
        if encoding == "FRACTIONAL":
            given = [Segment(s.label, s.box, s.values * np.float32(0.5)) for s in segments]
        segs.append(folder / "seg" / f"{encoding}.dcm")
        export_seg(segs[-1], series, given, encoding)

    def image(path):
        return lambda: read_image(path)

    def source(path):
        def export():
            found = read_series(path)
            part = tuple(slice(0, min(2, n)) for n in found.shape_kji)
            mask = np.ones([s.stop for s in part], bool)
            export_seg(folder / "out" / "out.dcm", found, [Segment(SPLEEN, part, mask)])

        return export

    found = {
        "slice": (plain, image(folder / "plain")),
        "slice of RLE": (rle, image(folder / "rle")),
        "multi-frame": ([several], image(several)),
        "index of a disc": ([folder / "disc" / "DICOMDIR"], image(folder / "disc" / "DICOMDIR")),
        "source of an export": (plain, source(folder / "plain")),
        "multi-frame source": ([several], source(several)),
        "JPEG 2000": (jpeg[:1], lambda: read_voxels(read_series(jpeg[0]))),
        "JPEG-LS": (jpeg[1:], lambda: read_voxels(read_series(jpeg[1]))),
    }
    return found, {
        f"SEG {encoding}": ([file], lambda file=file: read_seg(file, series))
        for encoding, file in zip(ENCODINGS, segs, strict=True)
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
    sys.stdout.flush()
    os._exit(0)
