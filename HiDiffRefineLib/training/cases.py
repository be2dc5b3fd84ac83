"""Training cases: normalised 8-bit images with their labels, packed small enough to travel to a GPU."""

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.volumes.new_files import new_files


@dataclass(frozen=True)
class Case:
    """One patient's volume.

    Args:
        name: file name without suffix.
        image: (k, j, i) uint8, 0…255 = the network's 0…1.
        labels: (k, j, i) uint8.
        ijk_to_ras: 4×4 float64.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    ijk_to_ras: np.ndarray


def read_folder(folder: Path, intensity: dict) -> list[Case]:
    """Cases of a folder that holds images/ and labels/ with the same file names; pictures are told by .png.

    Args:
        folder: the data set.
        intensity: a bundle's intensity rule.
    """
    if any((folder / "labels").glob("*.png")):
        return read_pictures(folder)
    # SimpleITK is needed to read files, not to train from a packed archive.
    from HiDiffRefineLib.evaluation.cases import find_cases, read_case
    from HiDiffRefineLib.inference.intensity import intensity_range, scale
    from HiDiffRefineLib.volumes.read import title

    cases = []
    for file in find_cases(folder):
        volume, labels = read_case(folder, file)
        image = scale(volume.array, *intensity_range(volume.array, intensity))
        image = np.rint(255 * image).astype(np.uint8)
        cases.append(Case(title(Path(file)), image, labels.astype(np.uint8), volume.ijk_to_ras))
    return cases


def read_pictures(folder: Path) -> list[Case]:
    """Cases of a folder of pictures: luminance as it is, of one slice, a pixel being a millimetre.

    The labels are the mask's grey values in ascending order: 0, 150, 200, 250 become 0, 1, 2, 3.
    """
    import SimpleITK as sitk

    cases = []
    for file in sorted((folder / "labels").glob("*.png")):
        picture = next((folder / "images").glob(f"{file.stem}.*"))
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(picture)))
        if image.ndim == 3:
            # ITU-R BT.601.
            image = np.rint(image @ np.array([0.299, 0.587, 0.114]))
        cases.append((file.stem, image, sitk.GetArrayFromImage(sitk.ReadImage(str(file)))))
    values = np.unique(np.concatenate([np.unique(mask) for *_, mask in cases]))
    down = np.diag([1.0, -1, 1, 1])  # rows go down
    return [
        Case(name, image[None].astype(np.uint8), np.searchsorted(values, mask)[None].astype(np.uint8), down)
        for name, image, mask in cases
    ]


def save_cases(path: Path, cases: list[Case]) -> None:
    """Packs cases into one lzma-compressed archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Neighbouring bytes are neighbouring voxels: their differences compress better than they do.
    filters = [{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 6}]
    with new_files(path) as [new], lzma.open(new, "wb", format=lzma.FORMAT_XZ, filters=filters) as file:
        for case in cases:
            np.save(file, np.array(case.name))
            for array in (case.image, case.labels, case.ijk_to_ras):
                np.save(file, array)


def load_cases(path: Path) -> list[Case]:
    """Cases of an archive written by `save_cases`."""
    if not Path(path).is_file():
        raise ConfigError(
            f"There is no case archive {path}.", "Pack the data first: train CONFIG --pack DIR."
        )
    cases = []
    with lzma.open(path, "rb") as file:
        while file.peek(1):
            name, image, labels, ijk_to_ras = (np.load(file, allow_pickle=False) for _ in range(4))
            cases.append(Case(str(name), image, labels, ijk_to_ras))
    return cases


def split_cases(cases: list[Case], folds: int, fold: int | None) -> tuple[list[Case], list[Case]]:
    """Training and validation cases: fold f validates on every `folds`-th patient, from f on; None on none.

    Cases named …_frameNN are one patient's: apart, the one would tell of the other.

    Raises:
        ConfigError: there is no such fold.
    """
    if fold is None:
        return cases, []
    # Fold 4 of 4 would train on what it validates on.
    if not 0 <= fold < folds:
        raise ConfigError(f"There is no fold {fold} of {folds}.", f"Choose 0 to {folds - 1}, or null.")
    patients = list(dict.fromkeys(_patient(case) for case in cases))
    held_out = set(patients[fold::folds])
    return [c for c in cases if _patient(c) not in held_out], [c for c in cases if _patient(c) in held_out]


def _patient(case: Case) -> str:
    return case.name.partition("_frame")[0]
