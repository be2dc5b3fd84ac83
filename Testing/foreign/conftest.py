"""Bundles in the layout of MONAI's Model Zoo, written here, and MONAI's own answer for them."""

import json
from pathlib import Path

import monai.networks.nets as nets
import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import decollate_batch, list_data_collate

RAS = {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"}
WINDOW = {
    "_target_": "ScaleIntensityRanged", "keys": "@image_key",
    "a_min": -100, "a_max": 300, "b_min": 0.0, "b_max": 1.0, "clip": True,
}  # fmt: skip
SEGRESNET = {
    "_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "init_filters": 8,
    "blocks_down": [1, 1], "blocks_up": [1],
}  # fmt: skip
UNET = {
    "_target_": "monai.networks.nets.UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1,
    "channels": [8, 16, 16], "strides": [2, 2], "num_res_units": 1, "norm": "batch",
}  # fmt: skip


def spacing(*steps: float) -> dict:
    return {"_target_": "Spacingd", "keys": "@image_key", "pixdim": list(steps), "mode": "bilinear"}


def softmax_after() -> list[dict]:
    return [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
            "nearest_interp": False, "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    ]  # fmt: skip


def sigmoid_after() -> list[dict]:
    first, invert, _ = softmax_after()
    first = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
    return [first, invert, {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}]


def configuration(network: dict, before: list[dict], after: list[dict], **inferer) -> dict:
    """As the Model Zoo's bundles have it, with what they would run and what refers to it."""
    inferer = {"roi_size": [32, 32, 32], "overlap": "@displayable_configs#sw_overlap", **inferer}
    return {
        "imports": ["$import glob", "$import os"],
        "displayable_configs": {"sw_overlap": 0.5},
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "@image_key"},
                {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
                *before,
                {"_target_": "EnsureTyped", "keys": "@image_key", "device": "@device"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "sw_batch_size": 4, **inferer},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [*after, {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"}],
        },
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "amp": True},
    }


def zoo_metadata(names: list[str], modality: str = "CT") -> dict:
    return {
        "version": "0.2.0",
        "task": "Decathlon spleen segmentation",
        "authors": "MONAI team",
        "copyright": "Copyright (c) MONAI Consortium",
        "data_source": "Task09_Spleen.tar",
        "network_data_format": {
            "inputs": {"image": {"type": "image", "modality": modality, "num_channels": 1}},
            "outputs": {"pred": {"channel_def": {str(n): name for n, name in enumerate(names)}}},
        },
    }


def decisive(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights that are as sure as trained ones."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if "running_var" in name:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(
                noise / max(tensor[0].numel(), 1) ** 0.5 if tensor.dim() > 1 else tensor + 0.1 * noise
            )
    last = [module for module in network.modules() if isinstance(module, torch.nn.Conv3d)][-1]
    probe = torch.nn.functional.interpolate(
        torch.rand(1, 1, 8, 8, 8, generator=generator), size=[32] * 3, mode="trilinear"
    )
    with torch.no_grad():
        # Each channel wins somewhere.
        logits = network.eval()(probe).transpose(0, 1).flatten(1)
        scale, mean = 6 / logits.std(1), logits.mean(1)
        last.bias.copy_((last.bias - mean) * scale)
        last.weight.mul_(scale.view(-1, 1, 1, 1, 1))
    return network


def write_zoo(
    folder: Path, config: dict, metadata: dict, torchscript: bool = False, yaml: bool = False
) -> Path:
    """A bundle's folder with a network of random weights."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    if yaml:
        import yaml as writer

        (folder / "configs/inference.yaml").write_text(writer.safe_dump(config, sort_keys=False))
    else:
        (folder / "configs/inference.json").write_text(json.dumps(config))
    (folder / "configs/metadata.json").write_text(json.dumps(metadata))
    entry = {key: value for key, value in config["network_def"].items() if key != "_target_"}
    torch.manual_seed(0)
    network = decisive(getattr(nets, config["network_def"]["_target_"].rpartition(".")[2])(**entry))
    if torchscript:
        torch.jit.script(network).save(folder / "models/model.ts")
    else:
        torch.save(network.state_dict(), folder / "models/model.pt")
    return folder


def monai_answer(config: dict, state: dict, image: Path) -> np.ndarray:
    """What MONAI itself makes of an image by a configuration: (k, j, i), channels before it if several."""
    parser = ConfigParser({**config, "device": "cpu"})
    before = parser.get_parsed_content("preprocessing")
    parser["postprocessing"]["transforms"] = parser["postprocessing"]["transforms"][:-1]  # saves nothing
    network, inferer = (parser.get_parsed_content(key) for key in ("network_def", "inferer"))
    network.load_state_dict(state)
    batch = list_data_collate([before({"image": str(image)})])
    with torch.no_grad():
        batch["pred"] = inferer(batch["image"], network.eval())
    found = parser.get_parsed_content("postprocessing")(decollate_batch(batch)[0])["pred"]
    return found.numpy().transpose(0, 3, 2, 1)


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """An array (i, j, k) in RAS mm."""
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def models(tmp_path, monkeypatch, copy_bundle) -> Path:
    """An empty models folder but for a refiner, where the library looks for bundles."""
    folder = tmp_path / "models here"
    copy_bundle("refiner", folder / "refiner")
    monkeypatch.setenv("HIDIFF_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    """A made-up CT, oblique, anisotropic, of odd sizes, stored toward L, A and I."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (53, 47, 31)), indexing="ij"), -1)
    array = np.full(places.shape[:3], -1000.0)
    array[(places**2).sum(-1) < 0.8] = 40
    for middle, radius, value in (((0.2, 0.3, 0), 0.35, 120), ((-0.4, -0.2, 0.2), 0.3, 250)):
        array[((places - middle) ** 2).sum(-1) < radius**2] = value
    array += rng.normal(0, 15, array.shape)
    c, s = np.cos(0.15), np.sin(0.15)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([-1.3, 1.1, -2.4])
    affine[:3, 3] = 30, -20, 40
    return write_nifti(tmp_path_factory.mktemp("ct") / "ct.nii.gz", array.astype(np.int16), affine)
