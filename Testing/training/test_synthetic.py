"""Training on synthetic heads, and the figures it leaves."""

import json

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.training.head_maps import HeadMap, HeadMaps, save_head_maps
from HiDiffRefineLib.training.synthetic import dice_and_cross_entropy, train_synthetic


def test_loss_is_monais():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, 6, 7, generator=random)
    labels = torch.randint(3, (2, 1, 5, 6, 7), generator=random)  # the last label is absent
    terms = dice_and_cross_entropy(logits, labels)
    options = {"include_background": False, "softmax": True, "to_onehot_y": True, "batch": True}
    expected = DiceLoss(**options, smooth_nr=1.0, smooth_dr=1.0)(logits, labels)
    torch.testing.assert_close(terms["dice"], expected)
    expected = torch.nn.functional.cross_entropy(logits, labels[:, 0])
    torch.testing.assert_close(terms["cross_entropy"], expected)


def test_evened_out_a_rare_label_counts_as_much_as_its_root():
    logits = torch.zeros(1, 2, 4, 5, 5)
    logits[:, 1] = 1.0
    labels = torch.zeros(1, 1, 4, 5, 5, dtype=torch.int64)
    labels[..., 0, :3] = 1  # 12 voxels of 100
    rare, common = torch.nn.functional.cross_entropy(
        logits[0, :, 0, 0, :2].T, torch.tensor([1, 0]), reduction="none"
    )
    weights = 12 / 13**0.5, 88 / 89**0.5
    expected = (weights[0] * rare + weights[1] * common) / sum(weights)
    entropy = dice_and_cross_entropy(logits, labels, torch.tensor(0.5))["cross_entropy"]
    torch.testing.assert_close(entropy, expected)


def test_training_leaves_weights_and_dice_of_the_heads_held_out(tmp_path, copy_bundle, make_config):
    copy_bundle("brain-mr", tmp_path / "models" / "tiny")
    network = {"labels": 33, "channels": [8, 8, 8], "strides": [1, 2, 2]}
    update_settings(
        tmp_path / "models" / "tiny",
        networks={"segmentor": {"name": "residual_unet", "arguments": network}},
        patch_size_kji=[16, 16, 16],
        working_spacing_kji_mm=[12.0, 12.0, 12.0],
    )
    structures = np.ones((100, 120, 80), np.uint8)
    structures[40:60, 40:80, 30:50] = 2
    heads = [HeadMap(name, structures, np.array([50.0, 60, 40])) for name in "abcd"]
    maps = HeadMaps(np.array([0, 2, 16], np.int16), np.array([0, 1, 13], np.uint8), heads)
    save_head_maps(tmp_path / "heads.npy.xz", maps)
    config = make_config(
        bundle=str(tmp_path / "models" / "tiny"),
        cases=(str(tmp_path / "heads.npy.xz"),),
        synthetic=True,
        folds=2,
        fold=1,
        iterations=3,
    )
    train_synthetic(config)
    figures = json.loads((tmp_path / "out/dice.json").read_text(encoding="utf-8"))
    assert figures["heads"] == ["b", "d"]
    assert list(figures["per_label"]) == [label.name for label in load_bundle("brain-mr").labels]
    assert 0 <= figures["per_label"]["brain-stem"] <= 1
    assert figures["per_label"]["left caudate"] is None  # not in these heads
    assert 0 <= figures["mean"] <= 1
    assert (tmp_path / "out/weights.safetensors").is_file()


@pytest.mark.parametrize("name", ["left", "right"])
def test_every_paired_structure_of_the_bundle_has_its_side(name):
    labels = load_bundle("brain-mr").labels
    sided = [label for label in labels if label.modifier and label.modifier.meaning == name.capitalize()]
    assert len(labels) == 32 and len(sided) == 14
    assert all(label.name.startswith(name) for label in sided)
