"""DICOM series that tests write with pydicom, slice by slice, and segments on them."""

from dataclasses import dataclass

import highdicom
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.dicom.segments import segments_of
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume
from HiDiffRefineLib.volumes.volume import Volume, laid_on
from Testing.volumes.samples import OBLIQUE_LAS

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
        "ImagePositionPatient": [p if isinstance(p, str) else f"{p:.6f}" for p in position],
        "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "PixelData": pixels.astype("<i2").tobytes(),
        "FrameOfReferenceUID": "1.2.9", "PositionReferenceIndicator": "", "SliceThickness": SPACING_KJI[0],
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "Manufacturer": "Maker", "KVP": "",
        "AcquisitionNumber": 1,
        "PatientID": "P1", "PatientName": "Miller^Anna", "PatientBirthDate": "19700101", "PatientSex": "F",
        "AccessionNumber": "A1", "StudyID": "S1", "StudyDate": "20260102", "StudyTime": "030405",
        "ReferringPhysicianName": "Doctor^Dora", "SeriesNumber": 2, "InstanceNumber": 1,
        "StationName": "STATION", "InstitutionName": "Hospital",
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


def enhanced(folder):
    """The series as one multi-frame object, frames in the order of the file names."""
    files = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    for n, file in enumerate(files):
        file.InstanceNumber = n + 1
    uids = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    return highdicom.legacy.LegacyConvertedEnhancedCTImage(files, uids[0], 5, uids[1], 1)


def write_volume(folder, array, ijk_to_ras, **tags):
    """A volume (k, j, i) of whole numbers on any right-angled grid as a CT series, one file a slice.

    Returns the folder. DICOM has no left-handed stack: read again, k may run the other way.
    """
    series, study = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    ijk_to_lps = np.diag([-1.0, -1, 1, 1]) @ ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    axes = ijk_to_lps[:3, :3] / spacing
    for k, pixels in enumerate(array):
        write_slice(
            folder / f"{k:03}.dcm",
            pixels,
            [f"{p:.10g}"[:16] for p in ijk_to_lps[:3, :3] @ (0, 0, k) + ijk_to_lps[:3, 3]],
            orientation=axes[:, :2].T.ravel(),
            series=series,
            **{
                "StudyInstanceUID": study,
                "PixelSpacing": [f"{s:.10g}" for s in spacing[1::-1]],
                "SliceThickness": f"{spacing[2]:.10g}",
                "InstanceNumber": k + 1,
                **tags,
            },
        )
    return folder


def series_and_segments(request, folder, slices=12):
    """A series with its organs, none of them empty: oblique and made up, or real, as request.param says."""
    if request.param == "oblique":
        labelmap = np.random.default_rng(0).integers(0, 4, (5, 24, 32)).astype(np.uint8)
        write_volume(folder, labelmap.astype(int) * 100, OBLIQUE_LAS)
        mask = Volume(labelmap, OBLIQUE_LAS)
    else:
        mask = real_series(folder, request.getfixturevalue("data_dir"), slices)
    series = read_series(folder)
    grid = Volume(np.zeros(series.shape_kji, np.uint8), series.ijk_to_ras)
    segments = segments_of(laid_on(grid, mask), load_bundle("abdomen-ct").labels)
    return series, [segment for segment in segments if not segment.empty]


def real_series(folder, data_dir, slices=12):
    """Some slices of a real abdominal CT as a series, and a labelmap (k, j, i) of its organs there."""
    file = sorted((data_dir / "ct_btcv" / "images").iterdir())[0].name
    image, labels = (
        read(data_dir / "ct_btcv" / part / file)
        for part, read in (("images", read_volume), ("labels", read_labelmap))
    )
    counts = [len(np.unique(labels.array[k])) for k in range(len(labels.array))]
    first = int(np.clip(np.argmax(counts) - slices // 2, 0, len(counts) - slices))
    part = slice(first, first + slices)
    ijk_to_ras = image.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] = -100, -120, 1000.5
    hounsfield = image.array[part].astype(float) * 400 / 255 - 125
    write_volume(folder, np.round(hounsfield).astype(np.int16) + 1024, ijk_to_ras)
    return Volume(labels.array[part], ijk_to_ras)
