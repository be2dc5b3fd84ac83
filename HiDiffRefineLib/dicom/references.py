"""Sources as highdicom takes them, and the references of a segmentation to what really is there.

highdicom asks that all slices say the same of orientation and pixels, word for word, takes the distance of
slices from a tag that is often wrong, and knows one multi-frame object at most. So each slice, a file or a
frame of one, stands in as a single image of one pixel, whose geometry is the one that was read.
"""

import highdicom
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from HiDiffRefineLib.dicom.series import Series

_ROOT = "2.25."


def stand_ins(series: Series, identity: pydicom.Dataset) -> list[pydicom.Dataset]:
    """A header for each slice, in the order of k.

    Args:
        identity: of patient and study; see `identity_of`.
    """
    common = pydicom.Dataset()
    common.update(identity)
    common.SOPClassUID = CTImageStorage
    common.SeriesInstanceUID = series.header.SeriesInstanceUID
    common.Modality = series.modality
    common.Rows = common.Columns = 1
    distance, *spacing = np.linalg.norm(series.ijk_to_ras[:3, :3], axis=0)[::-1]
    common.ImageOrientationPatient = _numbers(series.slices[0].orientation)
    common.PixelSpacing = _numbers(spacing)
    common.SpacingBetweenSlices = _numbers([distance])[0]
    common.SliceThickness = _numbers([series.slices[0].thickness or distance])[0]
    result = []
    for k, one in enumerate(series.slices):
        header = pydicom.Dataset()
        header.update(common)
        header.SOPInstanceUID = f"{_ROOT}{k + 1}"
        header.ImagePositionPatient = _numbers(one.position)
        result.append(header)
    return result


def refer(made: highdicom.seg.Segmentation, series: Series) -> list[int]:
    """Puts the slices of the series where stand-ins are named; the k of each frame, in turn."""
    references = [
        frame.DerivationImageSequence[0].SourceImageSequence[0]
        for frame in made.PerFrameFunctionalGroupsSequence
    ]
    order = [int(one.ReferencedSOPInstanceUID.removeprefix(_ROOT)) - 1 for one in references]
    for k, reference in zip(order, references, strict=True):  # the segments' frames of a slice share one
        _name(reference, series.slices[k].header)
        if series.slices[k].frame is not None:
            reference.ReferencedFrameNumber = series.slices[k].frame + 1
    headers = {one.header.SOPInstanceUID: one.header for one in series.slices}.values()
    made.SourceImageSequence = [_name(pydicom.Dataset(), header) for header in headers]
    of_series = pydicom.Dataset()
    of_series.SeriesInstanceUID = series.header.SeriesInstanceUID
    of_series.ReferencedInstanceSequence = [_name(pydicom.Dataset(), header) for header in headers]
    made.ReferencedSeriesSequence = [of_series]
    return order


def _name(reference: pydicom.Dataset, header: pydicom.Dataset) -> pydicom.Dataset:
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference


def _numbers(values) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]
