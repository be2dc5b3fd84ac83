"""Label maps of whole heads, of which `synthesis` makes images: read, packed, and on the device."""

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.geometry.grids import Grid, covering_grid
from HiDiffRefineLib.geometry.sampling import resample_labelmap
from HiDiffRefineLib.volumes.new_files import new_files

# Spacing of packed maps in mm.
MAP_MM = 1.0
# FreeSurfer's numbers of structures of the left side, and of the same ones on the right.
MIRRORED = {2: 41, 3: 42, 4: 43, 5: 44, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 13: 52, 17: 53, 18: 54, 26: 58}
MIRRORED |= {25: 57, 28: 60, 30: 62, 136: 163, 137: 164}
# What has a grey level of its own and yet counts as part of another structure: lesions and vessels lie in
# white matter; 136 and 137 (right 163 and 164), between ventricle and thalamus, are choroid plexus.
PART_OF = {25: 2, 57: 41, 30: 2, 62: 41, 136: 4, 163: 43, 137: 5, 164: 44}


@dataclass(frozen=True)
class HeadMap:
    """One head.

    Args:
        name: file name without suffix.
        structures: (k, j, i) uint8 along S, A, R, 1 mm; positions in `HeadMaps.values`.
        center_kji: voxels, middle of the brain.
    """

    name: str
    structures: np.ndarray
    center_kji: np.ndarray


@dataclass(frozen=True)
class HeadMaps:
    """Heads whose structures are numbered alike.

    Args:
        values: (n,) int16, FreeSurfer's number of each structure, 0 (air) first.
        targets: (n,) uint8, the label of the bundle that each structure counts as, 0 for none.
        heads: the maps.
    """

    values: np.ndarray
    targets: np.ndarray
    heads: list[HeadMap]

    @property
    def mirrored(self) -> np.ndarray:
        """(n,) position of each structure's counterpart on the other side, itself where there is none."""
        other = MIRRORED | {right: left for left, right in MIRRORED.items()}
        place = {int(value): n for n, value in enumerate(self.values)}
        # A small structure may have been found on one side only.
        return np.array([place.get(other.get(int(v), int(v)), n) for n, v in enumerate(self.values)])

    @property
    def unsided(self) -> np.ndarray:
        """(n,) FreeSurfer's number of each structure, that of the left one for both sides."""
        left = {right: left for left, right in MIRRORED.items()}
        return np.array([left.get(int(value), int(value)) for value in self.values])


def read_head_maps(folder: Path, bundle: Bundle) -> HeadMaps:
    """The label maps of a folder that holds labels/ and dataset.json.

    Args:
        folder: its dataset.json names FreeSurfer's numbers as the bundle names its labels.

    Raises:
        ConfigError: no maps there, or a label of the bundle that no number is named after.
    """
    # SimpleITK is needed to read files, not to train from a packed archive.
    from HiDiffRefineLib.evaluation.cases import label_names
    from HiDiffRefineLib.volumes.read import EXTENSIONS, read_labelmap, title

    number = {name: value for value, name in label_names(folder).items()}
    for label in bundle.labels:
        if label.name not in number:
            raise ConfigError(f"{folder}/dataset.json names no '{label.name}'.", "Add its number there.")
    target = {number[label.name]: label.value for label in bundle.labels}
    target |= {part: target[whole] for part, whole in PART_OF.items() if whole in target}
    files = sorted(p for p in (folder / "labels").glob("*") if p.name.lower().endswith(EXTENSIONS))
    if not files:
        raise ConfigError(f"{folder / 'labels'} holds no label maps.", "Give a folder with labels/.")
    volumes = [read_labelmap(file) for file in files]
    values = np.unique(np.concatenate([np.unique(volume.array) for volume in volumes]))
    targets = np.array([target.get(int(value), 0) for value in values], np.uint8)
    heads = []
    for file, volume in zip(files, volumes, strict=True):
        places = np.searchsorted(values, volume.array).astype(np.uint8)
        bounds = Grid(places.shape, volume.ijk_to_ras).bounds_ras()
        structures = resample_labelmap(places, volume.ijk_to_ras, covering_grid(bounds, (MAP_MM,) * 3))
        seen = [np.flatnonzero((structures > 0).any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        structures = structures[tuple(slice(at[0], at[-1] + 1) for at in seen)]
        center = np.argwhere(targets[structures] > 0).mean(0)
        heads.append(HeadMap(title(file), np.ascontiguousarray(structures), center))
    return HeadMaps(values.astype(np.int16), targets, heads)


def save_head_maps(path: Path, maps: HeadMaps) -> None:
    """Packs heads into one lzma-compressed archive: 20 in some 8 MiB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_files(path) as [new], lzma.open(new, "wb", preset=6) as file:
        np.save(file, maps.values)
        np.save(file, maps.targets)
        for head in maps.heads:
            for array in (np.array(head.name), head.structures, head.center_kji):
                np.save(file, array)


def load_head_maps(path: Path) -> HeadMaps:
    """Heads of an archive written by `save_head_maps`."""
    if not Path(path).is_file():
        raise ConfigError(f"There is no archive {path}.", "Pack the label maps: train CONFIG --pack DIR.")
    heads = []
    with lzma.open(path, "rb") as file:
        values, targets = (np.load(file, allow_pickle=False) for _ in range(2))
        while file.peek(1):
            name, structures, center = (np.load(file, allow_pickle=False) for _ in range(3))
            heads.append(HeadMap(str(name), structures, center))
    return HeadMaps(values, targets, heads)
