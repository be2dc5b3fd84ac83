"""Broken images, masks, maps of probabilities and hints: each is read, or refused in a sentence."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.files import read_hints
from HiDiffRefineLib.hints.hint import bounds_ras
from HiDiffRefineLib.hints.naming import list_name
from HiDiffRefineLib.hints.signs import Signs
from HiDiffRefineLib.volumes.labels import nameless_label
from HiDiffRefineLib.volumes.read import read_probabilities, read_segmentation, read_volume
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.spoil import change_a_value, spoilt
from Testing.tally import Tally, content_of

GRID = Grid((50, 50, 50), np.diag([-1.0, -1, 1, 1]))


def good_images(folder: Path) -> dict[str, bytes]:
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


def good_hints(folder: Path) -> dict[str, bytes]:
    """The same for hints: points and a curve, and what is painted."""
    points = [{"label": "pos-1", "position": [1, 2, 3], "description": "1 A"}, {"position": [1, 2, 3]}]
    markups = [
        {"type": "Fiducial", "name": list_name(True), "coordinateSystem": "LPS", "controlPoints": points},
        {"type": "Curve", "name": "neg", "controlPoints": points},
    ]
    images = good_images(folder)
    painted = {extension: images[extension] for extension in ("seg.nrrd", "nii.gz")}
    return {"mrk.json": json.dumps({"markups": markups}).encode()} | painted


def images(count: int, seed: int, folder: Path) -> Tally:
    """So many broken files; what something was wrong with stays in the folder."""
    return _broken(count, seed, folder, good_images(folder), _image_readers)


def hints(count: int, seed: int, folder: Path) -> Tally:
    """The same of hints."""
    return _broken(count, seed, folder, good_hints(folder), _hint_readers)


def _broken(count: int, seed: int, folder: Path, good: dict[str, bytes], readers: Callable) -> Tally:
    chance, tally = random.Random(seed), Tally()
    for n in range(count):
        extension = chance.choice(list(good))
        path, content = folder / f"{n}.{extension}", good[extension]
        if extension == "mrk.json" and chance.random() < 0.5:
            told = json.loads(content)
            change_a_value(told, chance)
            content = json.dumps(told).encode()
        else:
            content = spoilt(content, chance)
        path.write_bytes(content)
        fine = tally.take(path.name, *readers(path))
        if content_of(path) != {path: content}:
            tally.wrong.append(f"{path.name}: reading has changed it")
        elif fine:
            path.unlink()
    return tally


def _image_readers(path: Path) -> list[Callable[[], object]]:
    def volume() -> None:
        found = read_volume(path)
        assert found.array.ndim == 3 and np.isfinite(found.array).all()
        assert np.isfinite(found.ijk_to_ras).all() and abs(np.linalg.det(found.ijk_to_ras[:3, :3])) > 0

    def mask() -> None:
        found, labels = read_segmentation(path)
        assert set(np.unique(found.array).tolist()) <= {0, *(label.value for label in labels)}
        assert np.isfinite(found.ijk_to_ras).all()

    def maps() -> None:
        count, found = read_probabilities(path)
        assert len(list(found)) == count

    return [volume, mask, *([maps] if ".nii" in path.name else [])]


def _hint_readers(path: Path) -> list[Callable[[], object]]:
    def told(segment_id: str) -> None:
        found = read_hints(path, GRID, Signs(), segment_id)
        assert found and all(np.isfinite(bounds_ras(hint)).all() for hint in found)

    return [lambda: told(""), lambda: told("A")]
