"""What a .seg.nrrd says of its segments survives reading and writing, and bad headers harm nothing."""

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.labels import TISSUE, Code
from HiDiffRefineLib.volumes.read import read_segmentation
from HiDiffRefineLib.volumes.seg_nrrd import labels_in, terminology_entry
from HiDiffRefineLib.volumes.write import write_segmentation

LABELS = load_bundle("abdomen-ct").labels


def test_names_colours_and_codes_come_back(tmp_path):
    labelmap = np.zeros((4, 5, 6), np.uint8)
    labelmap[1, 2, 3] = 6
    write_segmentation(tmp_path / "a.seg.nrrd", labelmap, np.eye(4), LABELS)
    volume, labels = read_segmentation(tmp_path / "a.seg.nrrd")
    assert np.array_equal(volume.array, labelmap)
    for found, label in zip(labels, LABELS, strict=True):
        assert (found.value, found.name, found.color) == (label.value, label.name, label.color)
        assert (found.category, found.type, found.modifier) == (label.category, label.type, label.modifier)
        assert found.tags == f"TerminologyEntry:{terminology_entry(label)}|"
    write_segmentation(tmp_path / "b.seg.nrrd", labelmap, np.eye(4), labels)
    assert read_segmentation(tmp_path / "b.seg.nrrd")[1] == labels


def test_values_without_a_name_get_one(tmp_path):
    labelmap = np.zeros((4, 5, 6), np.uint8)
    labelmap[1, 2, 3], labelmap[1, 2, 4] = 2, 7
    sitk.WriteImage(sitk.GetImageFromArray(labelmap), str(tmp_path / "a.nii.gz"))
    labels = read_segmentation(tmp_path / "a.nii.gz")[1]
    assert [(label.value, label.name, label.type) for label in labels] == [
        (2, "label 2", TISSUE),
        (7, "label 7", TISSUE),
    ]
    assert labels[0].color != labels[1].color


def nrrd(path, labelmap, *segments):
    """A .seg.nrrd whose header gives segments, (name, LabelValue), any values."""
    image = sitk.GetImageFromArray(labelmap)
    for n, (name, value) in enumerate(segments):
        image.SetMetaData(f"Segment{n}_Name", name)
        image.SetMetaData(f"Segment{n}_LabelValue", value)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize(
    "values, expected",
    [
        (("0", "1"), (8, 1)),
        (("0", "0"), (8, 9)),
        (("3", "3"), (3, 8)),
        (("", ""), (1, 8)),
        (("8", "0"), (8, 9)),
    ],
)
def test_an_empty_segment_has_a_value_of_its_own(tmp_path, values, expected):
    """Value 0 is the background's, and two of one value would be one."""
    labelmap = np.zeros((4, 5, 6), np.uint8)
    labelmap[1] = 7
    file = nrrd(tmp_path / "a.seg.nrrd", labelmap, *zip(("one", "two"), values, strict=True))
    volume, labels = read_segmentation(file)
    told = [(label.name, label.value) for label in labels]
    assert told == [*zip(("one", "two"), expected, strict=True), ("label 7", 7)]
    write_segmentation(tmp_path / "b.seg.nrrd", volume.array, np.eye(4), labels)
    again = read_segmentation(tmp_path / "b.seg.nrrd")[1]
    assert [(label.name, label.value) for label in again] == told


def test_two_segments_of_the_same_voxels_are_refused(tmp_path):
    labelmap = np.zeros((4, 5, 6), np.uint8)
    labelmap[1] = 2
    file = nrrd(tmp_path / "a.seg.nrrd", labelmap, ("one", "2"), ("two", "2"))
    with pytest.raises(
        VolumeError, match="a.seg.nrrd: .*'one' and 'two' have the same LabelValue, 2"
    ) as refused:
        read_segmentation(file)
    assert refused.value.remedy


def test_headers_that_say_little():
    (bare,) = labels_in({"Segment0_ID": "Segment_1", "Segment_Name": "not a segment's"})
    assert (bare.value, bare.name, bare.color, bare.type) == (1, "Segment_1", (128, 128, 128), TISSUE)
    fields = {
        "Segment0_Color": "nan 1 1",
        "Segment0_LabelValue": "-3",
        "Segment0_Tags": "TerminologyEntry:x~y|",
    }
    (odd,) = labels_in(fields)
    assert (odd.value, odd.color, odd.category) == (1, (128, 128, 128), TISSUE)
    (side,) = labels_in({"Segment0_Tags": "Other:1|TerminologyEntry:L~A^1^a~B^2^b~C^3^c~R~^^~^^|"})
    assert (side.category, side.modifier) == (Code("A", "1", "a"), Code("C", "3", "c"))
