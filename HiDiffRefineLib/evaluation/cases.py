"""Cases with known labels: a folder with images/ and labels/, the same file names in both."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from HiDiffRefineLib.errors import MEMORY_FULL, HiDiffRefineError, VolumeError, is_memory_full
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.geometry.sampling import resample_labelmap
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.read import EXTENSIONS, read_labelmap, read_volume, title
from HiDiffRefineLib.volumes.volume import Volume, laid_on


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
    there = [file.name for file in (folder / images).iterdir() if not file.name.startswith("._")]  # macOS's
    files = sorted(name for name in there if name.lower().endswith(EXTENSIONS))
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


def read_case(
    folder: Path,
    name: str,
    images: str = "images",
    resample: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> tuple[Volume, np.ndarray]:
    """An image and its labels (k, j, i) on the image's grid, by file name; see `read_labels_on`."""
    volume = read_volume(folder / images / name)
    return volume, read_labels_on(volume, folder / "labels" / name, resample, notify)


def read_labels_on(
    volume: Volume, path: Path, resample: bool = False, notify: Callable[[str], None] = lambda text: None
) -> np.ndarray:
    """Labels (k, j, i) from a file on the grid of a volume.

    Args:
        resample: take a file with other voxels too, each voxel of the image the label that is nearest.
        notify: told where that leaves out labels, which lie outside of the image.

    Raises:
        VolumeError: the file can't be read, has other voxels, or all its labels lie outside of the image.
    """
    labels = read_labelmap(path)
    laid = laid_on(volume, labels)
    if laid is not None:
        return laid
    if not resample:
        raise VolumeError(
            f"{path.name}: The labels lie on other voxels than those of the image.",
            "Export them on the image's voxels, or add --resample to take the nearest label.",
        )
    beyond = _share_beyond(labels, volume)
    if beyond == 1:
        raise VolumeError(
            f"{path.name}: All labels lie outside of the image.",
            "Check that they are of the same patient and of the same series.",
        )
    if beyond:
        notify(f"{path.name}: {beyond:.1%} of the labels' voxels lie outside of the image and are left out.")
    return resample_labelmap(labels.array, labels.ijk_to_ras, Grid(volume.array.shape, volume.ijk_to_ras))


def _share_beyond(labels: Volume, volume: Volume) -> float:
    """The share of the voxels with labels whose centres lie outside of a volume; 0 where there are none."""
    to_volume = np.linalg.inv(volume.ijk_to_ras) @ labels.ijk_to_ras
    size_ijk = np.array(volume.array.shape[::-1])
    count = beyond = 0
    for k, plane in enumerate(labels.array):  # all at once, coordinates would take gigabytes
        j, i = np.nonzero(plane)
        ijk = np.stack([i, j, np.full_like(i, k)], axis=-1) @ to_volume[:3, :3].T + to_volume[:3, 3]
        count += len(ijk)
        beyond += np.count_nonzero(((ijk < -0.5) | (ijk > size_ijk - 0.5)).any(axis=1))
    return beyond / count if count else 0.0


@dataclass
class Cases:
    """The cases of a folder, one after another; what a case can't be used for is told, and the others go on.

    Args:
        folder, names, images: see `find_cases`.
        resample: see `read_labels_on`.
        notify: told of each case that is left out, and of labels that a case lacks.
        left_out: file name → why.
        stopped: whether Ctrl+C has ended the work.

    Raises:
        VolumeError: as `find_cases`.
    """

    folder: Path
    names: Sequence[str] = ()
    images: str = "images"
    resample: bool = False
    notify: Callable[[str], None] = lambda text: None
    left_out: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def __post_init__(self):
        self.files = find_cases(self.folder, self.names, self.images)

    def check(self, labels: Sequence[Label]) -> None:
        """Looks at every case before the long work; tells of labels that one lacks or the bundle knows not.

        Raises:
            VolumeError: no case can be used.
        """
        names = {label.value: label.name for label in labels}
        for file, (_, truth) in self._all(lambda n, file, *found: found, self.notify):
            there = set(np.unique(truth).tolist()) - {0}
            if lacking := [names[value] for value in sorted(set(names) - there)]:
                self.notify(f"{file} has no {', '.join(lacking)}: whatever is found there counts as wrong.")
            if names and (unknown := sorted(there - set(names))):
                values = ", ".join(map(str, unknown))
                self.notify(f"{file} has label values that the model does not know: {values}.")

    def each(self, work: Callable) -> list[tuple[str, object]]:
        """What some work gives for each case that it is done for, with the case's file name.

        Ctrl+C leaves out the rest, once there is something to keep: a case may take minutes.

        Args:
            work: (number, file name, volume, labels (k, j, i)) → anything.

        Raises:
            VolumeError: it was done for none.
            KeyboardInterrupt: before it was done for one.
        """
        done = []
        try:
            for found in self._all(work):
                done.append(found)  # noqa: PERF402 (an interrupted list() keeps nothing)
        except KeyboardInterrupt:
            if not done:
                raise
            finished = {file for file, _ in done} | set(self.left_out)
            rest = [file for file in self.files if file not in finished]
            self.left_out |= dict.fromkeys(rest, "Stopped.")
            self.stopped = True
            self.notify(f"Stopped: the figures are of {len(done)} of {len(self.files)} cases.")
        return done

    @property
    def lacking(self) -> dict:
        """For the figures: {"left_out"}, and {"stopped": True} where Ctrl+C has ended the work."""
        return {"left_out": self.left_out} | ({"stopped": True} if self.stopped else {})

    def _all(
        self, work: Callable, notify: Callable[[str], None] = lambda text: None
    ) -> Iterator[tuple[str, object]]:
        """What some work gives, case by case; notify of what `read_labels_on` tells."""
        done = 0
        for n, file in enumerate(self.files):
            if file in self.left_out:
                continue
            try:
                found = work(n, file, *read_case(self.folder, file, self.images, self.resample, notify))
            except Exception as error:
                if not isinstance(error, HiDiffRefineError) and not is_memory_full(error):
                    raise
                sentence = str(error) if isinstance(error, HiDiffRefineError) else MEMORY_FULL
                self.left_out[file] = sentence
                self.notify(f"{file} is left out. {sentence}")
                continue
            done += 1
            yield file, found
        if not done:
            raise VolumeError(
                f"No case of {self.folder} can be used. The first: {next(iter(self.left_out.values()))}"
            )
