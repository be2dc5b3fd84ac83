"""A written .seg.nrrd in 3D Slicer's own reader (slicer-core)."""

from pathlib import Path

import numpy as np
import pytest

from HiDiffRefineLib.volumes.labels import Code, Label
from HiDiffRefineLib.volumes.read import read_segmentation
from HiDiffRefineLib.volumes.seg_nrrd import terminology_entry
from HiDiffRefineLib.volumes.volume import Volume, laid_on
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.volumes.samples import ANATOMY, LEFT_KIDNEY, OBLIQUE_LAS, SPLEEN, affine

GALLBLADDER = Label(300, "Gallbladder", (139, 150, 98), ANATOMY, Code("SCT", "28231008", "Gallbladder"))
LABELS = [SPLEEN, LEFT_KIDNEY, GALLBLADDER]
GRIDS = {"straight": affine((1, 2, 3), origin=(5, 6, 7)), "oblique LAS": OBLIQUE_LAS}


def labelmap():
    array = np.zeros((6, 7, 8), np.uint16)  # (k, j, i); the gallbladder stays empty
    array[1:3, 2:4, 3:6] = 1
    array[4:6, 6, 7] = 3
    return array


@pytest.fixture(scope="module")
def seen_by_slicer(in_slicer, tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("segmentations")
    paths = {name: str(folder / f"{name}.seg.nrrd") for name in GRIDS}
    for name, ijk_to_ras in GRIDS.items():
        write_segmentation(paths[name], labelmap(), ijk_to_ras, LABELS)
    seen = in_slicer(Path(__file__).with_name("read_in_slicer.py"), *paths.values())
    return {name: seen[path] for name, path in paths.items()}


@pytest.mark.parametrize("grid", GRIDS)
def test_slicer_sees_the_same_segments(seen_by_slicer, grid):
    seen = seen_by_slicer[grid]
    assert seen["source"] == "Binary labelmap"
    assert [s["name"] for s in seen["segments"]] == [label.name for label in LABELS]
    for segment, label in zip(seen["segments"], LABELS, strict=True):
        np.testing.assert_allclose(np.multiply(segment["color"], 255), label.color, atol=0.01)
        assert segment["label_value"] == label.value
        assert segment["terminology"] == terminology_entry(label)
        np.testing.assert_allclose(segment["ijk_to_ras"], GRIDS[grid], atol=1e-6)
        assert segment["voxels_kji"] == np.argwhere(labelmap() == label.value).tolist()


@pytest.mark.parametrize("grid", GRIDS)
def test_what_slicer_saves_is_read_as_it_was(in_slicer, tmp_path, grid):
    path, copy = str(tmp_path / "a.seg.nrrd"), str(tmp_path / "b.seg.nrrd")
    write_segmentation(path, labelmap(), GRIDS[grid], LABELS)
    assert in_slicer(Path(__file__).with_name("save_in_slicer.py"), path, copy)["saved"]
    saved, labels = read_segmentation(copy)
    assert saved.array.shape < labelmap().shape  # Slicer crops
    image = Volume(np.zeros(labelmap().shape), GRIDS[grid])
    assert np.array_equal(laid_on(image, saved), labelmap())
    for found, label in zip(labels, LABELS, strict=True):
        assert (found.value, found.name, found.color) == (label.value, label.name, label.color)
        assert found.tags == f"TerminologyEntry:{terminology_entry(label)}|"
