"""Broken and odd files: each is read, or refused in a sentence.

    python -m Testing.volumes.broken COUNT SEED FOLDER

reads so many and prints what ended otherwise; the file stays in the folder.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.files import read_hints
from HiDiffRefineLib.hints.naming import list_name
from HiDiffRefineLib.hints.signs import Signs
from HiDiffRefineLib.volumes.labels import nameless_label
from HiDiffRefineLib.volumes.read import read_probabilities, read_segmentation, read_volume
from HiDiffRefineLib.volumes.write import write_segmentation

GRID = Grid((50, 50, 50), np.diag([-1.0, -1, 1, 1]))
# Most of what can go wrong stands in the header.
HEADER = 600
# What means something somewhere: infinity, NaN, huge and negative numbers, Latin-1, words of the formats.
WORDS = [
    b"\0\0",
    b"\xff\xff",
    b"\0\0\x80\x7f",
    b"\0\0\xc0\x7f",
    *(
        word.encode("latin-1")
        for word in ["-1", "nan", "1e40", "99999999999", "é", "0", "none", '"', "true", "null", "[]", "{}"]
    ),
    b"\n",
]


def good_files(folder: Path) -> dict[str, bytes]:
    """Extension → a good file of that kind."""
    labels = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint8)
    image = sitk.GetImageFromArray(labels * 50)
    image.SetSpacing((1.1, 2.2, 3.3))
    files = {}
    for extension in ("nii", "nii.gz", "nrrd", "mha"):
        path = folder / f"good.{extension}"
        sitk.WriteImage(image, str(path))
        files[extension] = path.read_bytes()
    path = folder / "good.seg.nrrd"
    write_segmentation(path, labels, np.eye(4), [nameless_label(1), nameless_label(2)])
    files["seg.nrrd"] = path.read_bytes()
    points = [{"label": "pos-1", "position": [1, 2, 3], "description": "1 A"}, {"position": [1, 2, 3]}]
    markups = [
        {"type": "Fiducial", "name": list_name(True), "coordinateSystem": "LPS", "controlPoints": points},
        {"type": "Curve", "name": "neg", "controlPoints": points},
    ]
    files["mrk.json"] = json.dumps({"markups": markups}).encode()
    # As NIfTI-2, with every field that is read set to something.
    header = bytearray(544)
    header[:8] = b"\x1c\x02\0\0n+2\0"
    header[8:16] = b"\r\n\x1a\n\x02\0\x08\0"
    header[16:80] = np.array([3, 7, 6, 5, 1, 1, 1, 1], "<i8").tobytes()
    header[104:168] = np.array([1, 1, 2, 3, 1, 1, 1, 1], "<f8").tobytes()
    header[168:176], header[176:184] = np.int64(544).tobytes(), np.float64(1).tobytes()
    header[344:352] = np.array([0, 2], "<i4").tobytes()
    header[400:496] = np.diag([-1.0, -2, 3, 1])[:3].astype("<f8").tobytes()
    return files | {"2.nii": bytes(header) + labels.tobytes()}


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, taken out, put in, swapped or cut off."""
    content = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 10])):
        if not content:
            break
        end = min(len(content), HEADER) if chance.random() < 0.85 else len(content)
        place, way = chance.randrange(end), chance.randrange(6)
        if way == 0:
            content[place] = chance.randrange(256)
        elif way == 1:
            del content[place : place + chance.randrange(1, 20)]
        elif way == 2:
            content[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 6)))
        elif way == 3:
            content = content[:place]
        elif way == 4:
            word = chance.choice(WORDS)
            content[place : place + len(word)] = word
        else:
            other = chance.randrange(len(content))
            content[place : place + 8] = content[other : other + 8]
    return bytes(content)


def readers(path: Path) -> list[Callable[[], object]]:
    """What may be asked of a file."""
    hints = [lambda: read_hints(path, GRID, Signs()), lambda: read_hints(path, GRID, Signs(), "A")]
    if path.name.endswith(".json"):
        return hints
    images = [lambda: read_volume(path), lambda: read_segmentation(path)]
    return [*images, *hints, *([lambda: read_probabilities(path)] if ".nii" in path.name else [])]


def wrong_endings(count: int, seed: int, folder: Path) -> list[str]:
    """What reading so many spoilt files ended in beside volumes, hints and sentences."""
    chance, files, wrong = random.Random(seed), good_files(folder), []
    for n in range(count):
        extension = chance.choice(list(files))
        path = folder / f"{n}.{extension}"
        path.write_bytes(spoilt(files[extension], chance))
        before = len(wrong)
        for read in readers(path):
            try:
                read()
            except HiDiffRefineError as error:
                if not error.message.endswith((".", ")")) or "Errno" in error.message:
                    wrong.append(f"{path.name}: {error.message}")
            except MemoryError:
                pass  # a size that no memory holds: the command line has a sentence for it
            except Exception as error:
                wrong.append(f"{path.name}: {type(error).__name__} {error}")
        if len(wrong) == before:
            path.unlink()
    return wrong


if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    found = wrong_endings(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    print("\n".join(found) or "All were read, or refused in a sentence.")
