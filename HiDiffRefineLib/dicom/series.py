"""One image series: chosen among the files of a folder, its slices in order."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from HiDiffRefineLib.dicom.files import files_at, is_dicom, legible, read_header, unreadable
from HiDiffRefineLib.dicom.identity import named
from HiDiffRefineLib.dicom.slices import Slice, slices_of
from HiDiffRefineLib.dicom.stack import stacked
from HiDiffRefineLib.errors import VolumeError

# They have pixels, but are no images of a patient.
NO_IMAGES = ("RTDOSE", "SEG")


@dataclass(frozen=True)
class Series:
    """An image series that makes a volume.

    Args:
        slices: in the order of k.
        ijk_to_ras: 4×4, from (i, j, k, 1) to RAS mm.
    """

    slices: list[Slice]
    ijk_to_ras: np.ndarray

    @property
    def header(self) -> pydicom.Dataset:
        """Of the first slice: what all slices share stands there too."""
        return self.slices[0].header

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Voxels along (k, j, i)."""
        columns, rows = self.slices[0].size_ij
        return len(self.slices), rows, columns

    @property
    def modality(self) -> str:
        """DICOM's code, for instance CT or MR."""
        return str(self.header.get("Modality", ""))


def read_series(path: Path, wanted: str | None = None) -> Series:
    """The image series of a folder with its subfolders, of a disc, of one slice, or of a multi-frame file.

    Args:
        path: a folder, the index of a disc (DICOMDIR), a multi-frame file, or a slice, whose series lies
            beside it.
        wanted: number, description or UID of the series, where there are several.

    Raises:
        VolumeError: none, or several and none chosen; files that are damaged; slices that make no volume.
    """
    files = files_at(path)
    found = _by_series(files)
    if files != [path]:
        return _stacked(_choose(found, wanted))
    if not found:
        raise VolumeError(
            "The file holds no DICOM image.", "Choose a folder of slices, or a multi-frame file."
        )
    ((uid, [(_, header)]),) = found.items()
    if int(header.get("NumberOfFrames") or 1) == 1:  # a slice, whose series lies beside it
        found = _by_series(sorted(one for one in path.parent.iterdir() if one.is_file() and is_dicom(one)))
    return _stacked(found[uid])


def series_of(files: Iterable[Path]) -> Series:
    """The series of files that are known to belong to it; see `read_series`."""
    return _stacked((file, read_header(file)) for file in files)


def _stacked(files: Iterable[tuple[Path, pydicom.Dataset]]) -> Series:
    slices = []
    for file, header in files:
        _check_picture(file, header)
        slices += slices_of(file, header)
    return Series(*stacked(slices))


def _check_picture(file: Path, header: pydicom.Dataset) -> None:
    """Refuses colours, and many slices in one picture."""
    with legible(file):
        if "MOSAIC" in (header.get("ImageType") or []):
            raise VolumeError(
                f"{file.name} is a mosaic, all slices in one picture ({named('ImageType')}).",
                "Convert it with dcm2niix and use the NIfTI file, or have the scanner send single slices.",
            )
        shown = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
        if int(header.get("SamplesPerPixel") or 1) > 1 or not shown.startswith("MONOCHROME"):
            raise VolumeError(
                f"{file.name} is a colour image ({named('PhotometricInterpretation')} is {shown}).",
                "Choose a series of grey images.",
            )


def _by_series(files: Iterable[Path]) -> dict[str, list[tuple[Path, pydicom.Dataset]]]:
    """The images among files, by the UID of their series."""
    found = defaultdict(list)
    for file in files:
        try:
            header = read_header(file)
        except VolumeError:
            if file.name.upper() != "DICOMDIR":
                raise
            continue  # a damaged index, which we can do without
        if "Rows" not in header or header.get("Modality") in NO_IMAGES:
            continue
        if not header.get("SeriesInstanceUID"):
            raise unreadable(file)
        found[str(header.SeriesInstanceUID)].append((file, header))
    return found


def _choose(
    found: dict[str, list[tuple[Path, pydicom.Dataset]]], wanted: str | None
) -> list[tuple[Path, pydicom.Dataset]]:
    if not found:
        raise VolumeError(
            "The folder holds no DICOM images.", "Choose the folder that holds the slices of a series."
        )
    fits = [uid for uid, files in found.items() if wanted is None or wanted in (uid, *_names(files[0][1]))]
    if len(fits) == 1:
        return found[fits[0]]
    listed = "; ".join(_describe(files) for files in found.values())
    if fits or wanted is None:
        raise VolumeError(
            f"The folder holds {len(fits)} DICOM series: {listed}.",
            "Choose one by its number, its description or its UID (--series), or put its files into a folder"
            " of their own.",
        )
    raise VolumeError(f"The folder has no series '{wanted}'.", f"It holds: {listed}.")


def _names(header: pydicom.Dataset) -> tuple[str, str]:
    """Number and description of a series as a user reads them."""
    number, description = header.get("SeriesNumber"), header.get("SeriesDescription")
    return "" if number is None else str(number), str(description or "").strip()


def _describe(files: list[tuple[Path, pydicom.Dataset]]) -> str:
    with legible(files[0][0]):
        number, description = _names(files[0][1])
    # Letters that could not be decoded are surrogates, which no terminal prints.
    text = (description or "no description").encode(errors="replace").decode()
    return f"{f'series {number}, ' if number else ''}'{text}' ({len(files)} files)"
