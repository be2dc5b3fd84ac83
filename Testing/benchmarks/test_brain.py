"""The figures of brain-mr on the template: those of a perfect segmentor, and the goals of the weights."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.geometry.boxes import bounding_box, part_of
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.volumes.volume import Volume
from Testing.benchmarks.brain import figures, inverted, missed, template, thick

LABELS = load_bundle("brain-mr").labels
AIR = 10  # voxels


@pytest.fixture
def head():
    """Every structure a block, its grey its value; all tissue and fluid 1 mm voxels."""
    blocks = np.arange(1, 33, dtype=np.uint8).reshape(4, 2, 4)
    labelmap = np.pad(blocks.repeat(10, 0).repeat(6, 1).repeat(6, 2), 5)
    return Volume(labelmap.astype(np.float32), np.diag([1.0, 1, 1, 1]), "head"), labelmap


def test_a_segmentor_that_sees_every_grey_reaches_all_goals(head):
    volume, labelmap = head
    answers = iter([labelmap, labelmap, labelmap[2::5]])
    fluid = [label.value for label in LABELS if "ventricle" in label.name or label.name == "csf"]
    assert len(fluid) == 7
    tissue = (labelmap > 0) & ~np.isin(labelmap, fluid)
    result = figures(lambda _: next(answers), volume, tissue, LABELS)
    assert result["tissue"] == result["inverted"] == result["thick"] == 1
    assert set(result["sides"].values()) == {1.0} and len(result["sides"]) == 14
    assert missed(result) == []


def test_what_is_missed_is_named(head):
    volume, labelmap = head
    other = labelmap.copy()
    left = next(label.value for label in LABELS if label.name == "left caudate")
    other[other == left] = 0
    result = figures(
        lambda seen: other[2::5] if len(seen.array) < 20 else other, volume, labelmap > 0, LABELS
    )
    assert "no left caudate" in missed(result) and "left/right caudate 0.00" in missed(result)
    assert any(fault.startswith("tissue") for fault in missed(result))


def test_other_views_keep_air_black_and_the_place(head):
    volume, labelmap = head
    other = inverted(volume).array
    assert not other[labelmap == 0].any() and (other[labelmap > 0] > 0).all()
    slabs = thick(volume)
    assert slabs.spacing_kji.tolist() == [5, 1, 1]
    assert slabs.ijk_to_ras[:3, 3].tolist() == [0, 0, 2]
    np.testing.assert_allclose(slabs.array[1], volume.array[5:10].mean(0))


def without_air(volume, tissue):
    """The template and a little air around its tissue: one window, where all of the air takes four."""
    box = tuple(slice(max(side.start - AIR, 0), side.stop + AIR) for side in bounding_box(tissue))
    grid = part_of(Grid(volume.array.shape, volume.ijk_to_ras), box)
    return Volume(volume.array[box], grid.ijk_to_ras, volume.name, volume.modality), tissue[box]


def test_the_shipped_weights_find_every_structure_of_the_inverted_template():
    # Without its mirror image: the template is symmetric, and so would sides be.
    bundle = load_bundle("brain-mr")
    bundle.settings["mirrored"] = False
    pipeline = Pipeline(bundle, torch.device("cpu"))
    volume, tissue = without_air(*template())
    result = figures(
        lambda seen: segment(pipeline, inverted(seen), prior_only=True)[0], volume, tissue, LABELS, changes={}
    )
    assert missed(result) == []
