"""make demo with a brain segmentor: what it leaves in the folder demo."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.cli import demo
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.volumes.read import read_segmentation, read_volume


@pytest.fixture
def brain(small_models, copy_bundle):
    """The bundle "brain-mr" with a tiny network of random weights."""
    network = {
        "name": "residual_unet",
        "arguments": {"labels": 33, "channels": [8, 8, 8], "strides": [1, 2, 2]},
    }
    copy_bundle("brain-mr", small_models / "brain-mr")
    settings = {"networks": {"segmentor": network}, "patch_size_kji": [16, 16, 16]}
    update_settings(small_models / "brain-mr", **settings, working_spacing_kji_mm=[12.0, 12.0, 12.0])
    torch.manual_seed(0)
    write_weights(small_models / "brain-mr", "segmentor", build_network(**network).state_dict())
    return small_models / "brain-mr"


@pytest.fixture
def head(tmp_path, monkeypatch):
    """A head of noise in place of the template, around the origin of RAS."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).normal(100, 20, (30, 36, 30)).astype(np.float32)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((6.0, 6.0, 6.0))
    image.SetOrigin((-86.0, -88.0, -86.0))  # no hint on a border between voxels
    sitk.WriteImage(image, str(tmp_path / "head.nii.gz"))
    monkeypatch.setattr(demo, "template", lambda: tmp_path / "head.nii.gz")
    return tmp_path / "head.nii.gz"


def test_with_a_brain_segmentor_the_demo_corrects_a_hippocampus(brain, head, tmp_path, capsys):
    assert demo.main([]) == 0
    volume = read_volume(head)
    prior, refined = (
        read_segmentation(tmp_path / "demo" / f"head_{what}.seg.nrrd")[0] for what in ("prior", "refined")
    )
    value = next(one.value for one in load_bundle("brain-mr").labels if one.name == "left hippocampus")
    np.testing.assert_allclose(refined.ijk_to_ras, volume.ijk_to_ras, atol=1e-3)
    ras_to_ijk = np.linalg.inv(volume.ijk_to_ras)
    for hint in demo.HINTS:
        i, j, k = np.rint((ras_to_ijk @ [*hint.point_ras, 1])[:3]).astype(int)
        assert (refined.array[k, j, i] == value) == hint.positive
    others = (prior.array != value) & (refined.array != value)
    np.testing.assert_array_equal(prior.array[others], refined.array[others])
    with (tmp_path / "demo/volumes.csv").open(newline="") as file:
        rows = {row["segment"]: int(row["voxels"]) for row in csv.DictReader(file)}
    assert len(rows) == 32 and rows["left hippocampus"] == np.count_nonzero(refined.array == value)
    assert (tmp_path / "demo/head.png").stat().st_size > 10_000
    assert "2 of 2 hints met" in capsys.readouterr().out


def test_without_its_weights_the_demo_keeps_to_the_hippocampi(brain, head, monkeypatch, capsys):
    update_settings(brain, weights={})
    asked = []
    monkeypatch.setattr(demo, "demo", lambda image, bundle: asked.append((image, bundle)))
    assert demo.main([]) == 0
    assert demo.main(["--input", "x.nii", "--bundle", "abdomen-ct"]) == 0
    assert [(str(image), bundle) for image, bundle in asked] == [
        ("None", "hippocampus-mr"),
        ("x.nii", "abdomen-ct"),
    ]
