"""Images of any kind for the commands: files, and DICOM series."""

import os
from pathlib import Path

from HiDiffRefineLib.dicom.files import dicom_files, is_dicom
from HiDiffRefineLib.dicom.pixels import read_voxels
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.checks import check_intensities
from HiDiffRefineLib.volumes.read import EXTENSIONS, named, read_volume, title, unknown
from HiDiffRefineLib.volumes.volume import Volume


def read_image(path: str | os.PathLike, series: str | None = None) -> Volume:
    """Reads a grey image.

    Args:
        path: a file that `read_volume` reads, or what `read_series` takes.
        series: number, description or UID of the series, where the folder holds several.

    Returns:
        The volume, array (k, j, i); of DICOM with rescaled values (CT: HU), k along the slices' normal.

    Raises:
        VolumeError: as `read_volume`, `read_series` and `read_voxels`, or a single slice.
    """
    path = Path(path).absolute()
    if not path.exists() or path.name.lower().endswith(EXTENSIONS):
        return read_volume(path)
    with named(path):
        if path.is_file() and not is_dicom(path):
            raise unknown()
        _check_folder(path)
        found = read_series(path, series)
        if len(found.slices) < 2:
            raise VolumeError("The DICOM series has a single slice.", "Choose the series of a 3-D volume.")
        volume = Volume(read_voxels(found), found.ijk_to_ras, title(path), found.modality)
        check_intensities(volume.array)
    return volume


def _check_folder(path: Path) -> None:
    """Refuses (VolumeError) a folder of NIfTI, NRRD or MHA files, which are images one by one."""
    there = sorted(
        name
        for _, _, names in os.walk(path)
        for name in names
        if name.lower().endswith(EXTENSIONS) and not name.startswith("._")  # macOS's
    )
    if there and not dicom_files(path):
        more = f" and {len(there) - 1} more" if there[1:] else ""
        raise VolumeError(
            f"This is a folder without DICOM images; it holds {there[0]}{more}.",
            "Choose one of these files, not the folder.",
        )
