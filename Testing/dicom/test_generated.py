"""Readers that are not ours agree with us on generated exports; HIDIFF_EXPORTS says on how many."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.seg import segread

from HiDiffRefineLib.volumes.itk import LPS_TO_RAS, affine_from_itk
from Testing.dicom.generated import Export, generated
from Testing.dicom.test_tools import EXPLAINED, NOT_OURS, run

COUNT = int(os.environ.get("HIDIFF_EXPORTS", 40))


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    made = []
    for number in range(COUNT):
        folder = tmp_path_factory.mktemp("export")
        made.append(generated(folder, number))
        for part in folder.iterdir():  # a thousand series would fill a disk
            if part.is_dir():
                shutil.rmtree(part)
    return made


@pytest.fixture(scope="module")
def by_dcmqi(exports):
    """What dcmqi makes of each: labels by the file's number of the image, and the image of each segment."""
    found = []
    for export in exports:
        folder = export.file.parent / "dcmqi"
        folder.mkdir()
        told = run("segimage2itkimage", "--inputDICOM", export.file, "--outputDirectory", folder, "-p", "s")
        files = []
        for number, segment in enumerate(export.segments, 1):
            labelmap = export.encoding == "LABELMAP"
            file = folder / f"s-{1 if labelmap else number}.nrrd"
            assert file.exists(), (export.told, told)
            files.append((file, segment.label.value if labelmap else None))
        found.append(files)
    return found


def agrees(export: Export, segment, mask, ijk_to_ras) -> bool:
    found = export.on_grid(mask, ijk_to_ras)
    return found is not None and np.array_equal(found > 0, export.mask(segment))


def test_highdicom_agrees(exports):
    for export in exports:
        file = segread(export.file)
        for number, segment in enumerate(export.segments, 1):
            wanted = segment.label.value if export.encoding == "LABELMAP" else number
            volume = file.get_volume(segment_numbers=[wanted], rescale_fractional=False)
            ijk_to_lps = volume.affine[:, [2, 1, 0, 3]]  # its arrays run k, j, i, and so do its axes
            assert agrees(export, segment, volume.array[..., 0] > 0, LPS_TO_RAS @ ijk_to_lps), export.told
            assert file.get_segment_description(wanted).segment_label == segment.label.name, export.told


def test_dcmqi_agrees(exports, by_dcmqi):
    for export, files in zip(exports, by_dcmqi, strict=True):
        for segment, (file, value) in zip(export.segments, files, strict=True):
            image = sitk.ReadImage(str(file))
            array = sitk.GetArrayFromImage(image)
            affine = affine_from_itk(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
            assert agrees(export, segment, array > 0 if value is None else array == value, affine), (
                export.told
            )
        described = json.loads(next(files[0][0].parent.glob("*meta.json")).read_text())["segmentAttributes"]
        named = {entry["labelID"]: entry["SegmentLabel"] for group in described for entry in group}
        for number, segment in enumerate(export.segments, 1):
            label = segment.label.value if export.encoding == "LABELMAP" else number
            assert named[label] == segment.label.name, export.told


def test_slicer_agrees(exports, by_dcmqi, in_slicer, tmp_path):
    """Slicer's DICOM plugin reads what dcmqi made of the file."""
    asked = [[str(file), value] for files in by_dcmqi for file, value in files]
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    script = Path(__file__).with_name("labelmaps_in_slicer.py")
    answers = iter(in_slicer(script, str(tmp_path / "asked.json")))
    for export in exports:
        for segment in export.segments:
            answer = next(answers)
            mask = np.zeros(answer["shape_kji"], bool)
            mask[tuple(np.reshape(answer["voxels_kji"], (-1, 3)).T.astype(int))] = True
            assert agrees(export, segment, mask, np.array(answer["ijk_to_ras"])), export.told


def test_dciodvfy_finds_no_error(exports):
    for export in exports:
        lines = run("dciodvfy", "-new", export.file).splitlines()
        lines = [line for line in lines if re.match("Error|Warning", line)]
        fine = (*EXPLAINED, *(NOT_OURS if export.encoding == "LABELMAP" else ()))
        assert [line for line in lines if not any(words in line for words in fine)] == [], export.told
