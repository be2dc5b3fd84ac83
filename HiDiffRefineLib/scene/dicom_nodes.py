"""From nodes to DICOM: the files that a volume came from, and the segments on the grid of their series."""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import vtk

from HiDiffRefineLib.dicom.checks import Check
from HiDiffRefineLib.dicom.masks import GEOMETRY
from HiDiffRefineLib.dicom.segments import NOWHERE, Segment
from HiDiffRefineLib.dicom.series import Series
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.lattice import laid
from HiDiffRefineLib.scene.matrices import as_array
from HiDiffRefineLib.scene.segmentation_nodes import count_voxels, label_of, segment_ids, segment_mask
from HiDiffRefineLib.scene.volume_nodes import volume_of

# Share of a voxel: where a scanner rounds positions, Slicer takes another mean of the slice distance.
LOADED_OFF = 0.3


def source_files(volume_node, database) -> list[Path]:
    """The DICOM files that a volume was loaded from.

    Args:
        database: Slicer's (ctkDICOMDatabase).

    Raises:
        VolumeError: it was not loaded from the database, or files are gone since.
    """
    name = volume_node.GetName()
    uids = (volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
    if not uids:
        raise VolumeError(
            f"'{name}' was not loaded from the DICOM database: a DICOM segmentation needs its series.",
            "Import the series in the DICOM module, load it from there, and choose it as the volume.",
        )
    files = [Path(database.fileForInstance(uid) or "") for uid in uids]
    gone = sum(not file.is_file() for file in files)
    if gone:
        raise VolumeError(
            f"{gone} of the {len(uids)} DICOM files of '{name}' are gone from the database.",
            "Import the series again in the DICOM module.",
        )
    return files


def segments_on(
    series: Series, segmentation_node, volume_node
) -> Generator[None, None, tuple[list[Segment], Check]]:
    """The segments of a node on the grid of a series, and what there is to say of their geometry.

    None comes after each segment: the user interface may look at its user meanwhile.

    Args:
        volume_node: what was loaded from the series. Whatever moves it in the scene moves the patient along.
    """
    volume = volume_of(volume_node)
    whole = _on(series, volume_node, volume.array, (0, 0, 0))
    if whole is None or whole[0].shape != series.shape_kji or whole[1].any():
        return [], Check(
            f"'{volume.name}' is not as it was loaded: it was moved, cropped or resampled.",
            False,
            "Load the series again from the DICOM module, and segment that; transforms do no harm.",
        )
    segments = []
    for value, segment_id in enumerate(segment_ids(segmentation_node), 1):
        label = label_of(segmentation_node, segment_id, value)
        try:
            found = segment_mask(segmentation_node, segment_id, volume)
        except VolumeError as error:
            return [], Check(f"{label.name}: {error.message}", False, error.remedy)
        nothing = NOWHERE, np.zeros((0, 0, 0), bool)
        box, mask = found or nothing
        lost = count_voxels(segmentation_node, segment_id) - np.count_nonzero(mask)
        if lost:
            return [], Check(
                f"{label.name}: {lost} voxels lie outside the volume.",
                False,
                "Erase them with the Segment Editor's scissors, or choose the volume that was segmented.",
            )
        if mask.any():
            mask, first = _on(series, volume_node, mask, [side.start for side in box])
            box = tuple(slice(int(a), int(a) + n) for a, n in zip(first, mask.shape, strict=True))
        else:
            box, mask = nothing  # the box is not one of the series' grid
        segments.append(Segment(label, box, mask))
        yield
    return segments, GEOMETRY


def _on(series: Series, volume_node, array: np.ndarray, start_kji) -> tuple[np.ndarray, np.ndarray] | None:
    """A part of a volume node's voxels on the grid of its series; see `lattice.laid`."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    ijk_to_ras = as_array(matrix)
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ start_kji[::-1]
    return laid(array, ijk_to_ras, series.ijk_to_ras, LOADED_OFF)
