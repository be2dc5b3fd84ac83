"""Cases with known labels: a folder with images/ and labels/, the same file names in both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample_labelmap
from HiDiffRefineLib.volumes.read import EXTENSIONS, read_labelmap, read_volume, title
from HiDiffRefineLib.volumes.volume import Volume


@dataclass(frozen=True)
class Subject:
    """What of a data set is looked at, and what in it is judged.

    Args:
        images: name of the folder of images; sets of several contrasts have more than one.
        structure: what a union of labels is called; "" to judge each label by itself.
        values: of that union.
    """

    images: str = "images"
    structure: str = ""
    values: tuple[int, ...] = ()

    def of(self, labels: np.ndarray) -> np.ndarray:
        """Labels (k, j, i) as they are judged: the union is 1."""
        return np.isin(labels, self.values).astype(np.uint8) if self.structure else labels

    def title(self, data: str) -> str:
        """What to call the figures of a data set of that name."""
        images = "" if self.images == "images" else f", {self.images}"
        return f"{data}{images}{f', {self.structure}' if self.structure else ''}"


def find_cases(folder: Path, names: Sequence[str] = (), images: str = "images") -> list[str]:
    """File names of the cases of a folder.

    Args:
        folder: holds images/ and labels/.
        names: only these, without extension; none for all.
        images: what the folder of images is called.

    Raises:
        VolumeError: no such folder, an unknown name, or labels missing.
    """
    if not (folder / images).is_dir() or not (folder / "labels").is_dir():
        raise VolumeError(f"{folder} holds no cases.", f"Give a folder with {images}/ and labels/.")
    files = sorted(f.name for f in (folder / images).iterdir() if f.name.lower().endswith(EXTENSIONS))
    found = {title(Path(name)): name for name in files}
    if not files:
        raise VolumeError(f"{folder / images} is empty.", f"Put images ({', '.join(EXTENSIONS)}) there.")
    if len(found) < len(files):
        raise VolumeError(f"{folder / images} holds two files of one name.", "Keep one file a case.")
    for name in names or found:
        if name not in found:
            some = ", ".join(list(found)[:3])
            raise VolumeError(
                f"{folder} has no case '{name}'.", f"Choose from its {len(found)} cases, such as {some}."
            )
        if not (folder / "labels" / found[name]).is_file():
            raise VolumeError(
                f"There are no labels for {found[name]}.", f"Put them into {folder / 'labels'}."
            )
    return [found[name] for name in names or found]


def label_names(folder: Path) -> dict[int, str]:
    """What the label values mean, as far as the folder's dataset.json says it: {"labels": {"1": name, …}}."""
    try:
        labels = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"]
        return {int(value): str(name) for value, name in labels.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # names are a courtesy: no figure depends on them


def read_case(folder: Path, name: str, images: str = "images") -> tuple[Volume, np.ndarray]:
    """An image and its labels (k, j, i) on the image's grid, by the case's file name."""
    volume = read_volume(folder / images / name)
    return volume, read_labels_on(volume, folder / "labels" / name)


def read_labels_on(volume: Volume, path: Path) -> np.ndarray:
    """Labels (k, j, i) from a file on the grid of a volume, resampled where the file has another one."""
    labels = read_labelmap(path)
    if volume.same_grid(labels):
        return labels.array
    return resample_labelmap(labels.array, labels.ijk_to_ras, Grid(volume.array.shape, volume.ijk_to_ras))
