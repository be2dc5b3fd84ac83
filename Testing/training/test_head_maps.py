"""Label maps of heads: read as they lie in space, packed without loss, numbered by name."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.training.head_maps import load_head_maps, read_head_maps, save_head_maps


@pytest.fixture
def folder(tmp_path):
    """A data set of one small head: left caudate low, right caudate high, a lesion, an eye (506)."""
    array = np.zeros((8, 9, 10), np.int16)  # k up, j backwards, i to the left
    array[2, 4, 7], array[5, 4, 2], array[3, 3, 7], array[6, 2, 5] = 11, 50, 25, 506
    image = sitk.GetImageFromArray(array)  # stored as LPS
    (tmp_path / "labels").mkdir()
    sitk.WriteImage(image, str(tmp_path / "labels" / "head.nii.gz"))
    names = load_bundle("brain-mr").labels
    numbers = [2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 26, 28]
    numbers += [41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60]
    labels = {str(number): label.name for number, label in zip(numbers, names, strict=True)}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    return tmp_path


def test_maps_lie_along_s_a_r_and_count_as_the_bundles_labels(folder, tmp_path):
    bundle = load_bundle("brain-mr")
    save_head_maps(tmp_path / "heads.npy.xz", read_head_maps(folder, bundle))
    maps = load_head_maps(tmp_path / "heads.npy.xz")
    assert maps.values.tolist() == [0, 11, 25, 50, 506]
    names = {label.value: label.name for label in bundle.labels}
    assert [names.get(int(target)) for target in maps.targets] == [
        None,
        "left caudate",
        "left cerebral white matter",  # what a lesion counts as
        "right caudate",
        None,
    ]
    assert maps.mirrored.tolist() == [0, 3, 2, 1, 4]  # the lesion has no counterpart in this data set
    assert maps.unsided.tolist() == [0, 11, 25, 11, 506]
    (head,) = maps.heads
    assert head.name == "head"
    # Cropped to what is there; rows and columns turned from LPS to RAS.
    where = {int(maps.values[head.structures[tuple(at)]]): at for at in np.argwhere(head.structures)}
    assert {value: at.tolist() for value, at in where.items()} == {
        11: [0, 0, 0],
        50: [3, 0, 5],
        25: [1, 1, 0],
        506: [4, 2, 2],
    }
    np.testing.assert_allclose(head.center_kji, np.mean([[0, 0, 0], [3, 0, 5], [1, 1, 0]], axis=0))


def test_a_label_that_no_number_is_named_after_is_refused(folder):
    (folder / "dataset.json").write_text(json.dumps({"labels": {"11": "left caudate"}}))
    with pytest.raises(ConfigError, match="names no 'left cerebral white matter'"):
        read_head_maps(folder, load_bundle("brain-mr"))


def test_missing_maps_and_archives_are_refused(folder, tmp_path):
    (folder / "labels" / "head.nii.gz").unlink()
    with pytest.raises(ConfigError, match="holds no label maps"):
        read_head_maps(folder, load_bundle("brain-mr"))
    with pytest.raises(ConfigError, match="no archive"):
        load_head_maps(tmp_path / "none.npy.xz")
