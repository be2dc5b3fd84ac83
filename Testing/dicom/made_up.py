"""DICOM series that tests write with pydicom, slice by slice."""

from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STORED = np.arange(6 * 4 * 5, dtype=np.int16).reshape(6, 4, 5)  # (k, j, i)
SPACING_KJI = (2.5, 0.8, 0.7)


@dataclass
class Stack:
    """Where the slices of a series lie."""

    orientation: tuple = (1, 0, 0, 0, 1, 0)
    origin: tuple = (-10.0, -20.0, 30.0)

    def position(self, slices: float):
        """LPS mm, so many slice distances along the normal."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.array(self.origin) + slices * SPACING_KJI[0] * normal


def write_slice(path, pixels, position, orientation=(1, 0, 0, 0, 1, 0), series="1.2.3", **tags):
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2", "SeriesInstanceUID": series, "Modality": "CT",
        "Rows": pixels.shape[0], "Columns": pixels.shape[1], "PixelSpacing": list(SPACING_KJI[1:]),
        "ImageOrientationPatient": [f"{c:.10f}" for c in orientation],
        "ImagePositionPatient": [f"{p:.6f}" for p in position],
        "RescaleSlope": 1, "RescaleIntercept": -1024, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "PixelData": pixels.astype("<i2").tobytes(),
    }  # fmt: skip
    for keyword, value in {**values, **tags}.items():
        if value is not None:
            setattr(file, keyword, value)
    file.save_as(path, enforce_file_format=True)


def write_series(folder, places=range(6), stack=None, **tags):
    """One slice for each place, a multiple of the slice distance; file names in reverse order."""
    stack = stack or Stack()
    for k, place in enumerate(places):
        write_slice(
            folder / f"IM{99 - k}", STORED[k], stack.position(place), orientation=stack.orientation, **tags
        )
    return folder
