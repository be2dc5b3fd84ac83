"""Proofs by tools that are not ours: dciodvfy (dicom3tools) and dcmqi."""

import json
import re
import shutil
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.make import ENCODINGS
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.segments import Segment
from HiDiffRefineLib.volumes.itk import affine_from_itk
from HiDiffRefineLib.volumes.volume import Volume, laid_on
from Testing.dicom.made_up import series_and_segments

# dicom3tools of 2022 does not know label map segmentations, which are of 2024: it looks in vain for their
# kind of object, and wants the segment of the background, which has number 0, to have number 1.
NOT_OURS = ("Information Object Not found", "SegmentNumber not monotonically increasing from one by one")
# Read by their meaning: none is a fault. DICOMDIR wants what the source lacks.
EXPLAINED = ("would be needed to build DICOMDIR",)


@pytest.fixture(scope="module", params=["real CT", "oblique"])
def exported(request, tmp_path_factory):
    """A series, its segments, and files of all encodings by their names."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "series").mkdir()
    series, segments = series_and_segments(request, folder / "series")
    assert len(segments) > 2
    files = {}
    for encoding in ENCODINGS:
        files[encoding] = folder / f"{encoding}.dcm"
        given = segments
        if encoding == "FRACTIONAL":
            given = [Segment(s.label, s.box, s.values * np.float32(0.75)) for s in segments]
        export_seg(files[encoding], series, given, encoding)
    return series, segments, files


def run(tool: str, *arguments) -> str:
    """What a tool says; skips where it is not installed."""
    path = shutil.which(tool) or shutil.which(tool, path=sysconfig.get_path("scripts"))
    if path is None:
        pytest.skip(f"{tool} is not installed; .ci/run installs it")
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=100)
    return done.stdout + done.stderr


def whole(segment: Segment, shape) -> np.ndarray:
    mask = np.zeros(shape, np.float32)
    mask[segment.box] = segment.values
    return mask


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_dciodvfy_finds_no_error(exported, encoding, record_tool):
    told = run("dciodvfy", "-new", exported[2][encoding])
    record_tool("dicom3tools", re.search(r"\S*$", run("dpkg-query", "-W", "dicom3tools").strip()).group())
    lines = [line for line in told.splitlines() if line.startswith(("Error", "Warning"))]
    not_ours = NOT_OURS if encoding == "LABELMAP" else ()
    assert [line for line in lines if not any(words in line for words in (*not_ours, *EXPLAINED))] == []


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_dcmqi_reads_the_same_voxels(exported, encoding, tmp_path, record_tool):
    series, segments, files = exported
    told = run("segimage2itkimage", "--inputDICOM", files[encoding], "--outputDirectory", tmp_path, "-p", "s")
    record_tool("dcmqi", version("dcmqi"))
    grid = Volume(np.zeros(series.shape_kji, np.uint8), series.ijk_to_ras)
    described = json.loads(next(tmp_path.glob("*meta.json"), Path()).read_text())["segmentAttributes"]
    named = {entry["labelID"]: entry for group in described for entry in group}
    assert {entry["SegmentLabel"] for entry in named.values()} >= {s.label.name for s in segments}, told
    for number, segment in enumerate(segments, 1):
        # All segments of a label map come in one image.
        label, file = (segment.label.value, 1) if encoding == "LABELMAP" else (number, number)
        image = sitk.ReadImage(str(tmp_path / f"s-{file}.nrrd"))
        affine = affine_from_itk(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
        array = sitk.GetArrayFromImage(image)
        mask = array == label if encoding == "LABELMAP" else array > 0
        found = laid_on(grid, Volume(mask.astype(np.uint8), affine))
        np.testing.assert_array_equal(found, whole(segment, series.shape_kji))
        assert named[label]["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == segment.label.type.value
        assert named[label]["SegmentAlgorithmType"] == "SEMIAUTOMATIC"


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_what_dcmqi_writes_is_read_as_it_was(exported, kind, tmp_path):
    series, segments, _ = exported
    array = np.zeros(series.shape_kji, np.uint8)
    for number, segment in enumerate(segments, 1):
        array[segment.box][segment.values] = number
    image = sitk.GetImageFromArray(array)
    to_lps = np.diag([-1.0, -1, 1, 1]) @ series.ijk_to_ras
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "mask.nrrd"))
    meta = {
        "ContentCreatorName": "Nobody^",
        "SeriesDescription": "by dcmqi",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [[_attributes(s, n) for n, s in enumerate(segments, 1)]],
    }
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    told = run(
        *("itkimage2segimage", "--inputImageList", tmp_path / "mask.nrrd"),
        *("--inputMetadata", tmp_path / "meta.json", "--segmentationType", kind, "--skip", "1"),
        *("--inputDICOMDirectory", series.slices[0].file.parent, "--outputDICOM", tmp_path / "seg.dcm"),
        *("--referencesGeometryCheck", "0"),
    )
    assert (tmp_path / "seg.dcm").exists(), told
    found = read_seg(tmp_path / "seg.dcm", series)
    assert len(found) == len(segments)
    for one, meant in zip(found, segments, strict=True):
        np.testing.assert_array_equal(whole(one, series.shape_kji), whole(meant, series.shape_kji))
        assert (one.label.name, one.label.type) == (meant.label.name, meant.label.type)


def _attributes(segment: Segment, number: int) -> dict:
    def code(of):
        return {"CodeValue": of.value, "CodingSchemeDesignator": of.scheme, "CodeMeaning": of.meaning}

    label = segment.label
    return {
        "labelID": number,
        "SegmentLabel": label.name,
        "SegmentDescription": label.name,
        "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": code(label.category),
        "SegmentedPropertyTypeCodeSequence": code(label.type),
        "recommendedDisplayRGBValue": list(label.color),
    }
