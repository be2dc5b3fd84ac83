"""Images of any kind for the commands: files, and DICOM series."""

import os
from pathlib import Path

from HiDiffRefineLib.dicom.files import is_dicom
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
        found = read_series(path, series)
        if len(found.slices) < 2:
            raise VolumeError("The DICOM series has a single slice.", "Choose the series of a 3-D volume.")
        volume = Volume(read_voxels(found), found.ijk_to_ras, title(path), found.modality)
        check_intensities(volume.array)
    return volume
