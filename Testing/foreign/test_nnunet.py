"""Results of nnU-Net v2: after the import they say what its published steps give, written down here apart."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from skimage.transform import resize

from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.foreign.importing import import_bundle
from HiDiffRefineLib.foreign.model import Given
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.volumes.read import read_volume
from Testing.foreign.conftest import write_nifti
from Testing.foreign.plain_unet import PlainUnet
from Testing.foreign.test_zoo import dice

CHANNELS, KERNELS = [6, 8, 10], [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
NORMS = {"mean": 60.0, "std": 90.0, "percentile_00_5": -90.0, "percentile_99_5": 280.0}
TRAINER = "nnUNetTrainer__nnUNetPlans__3d_fullres"


def plans(transpose=(0, 1, 2), scheme="CTNormalization", spacing=(2.4, 1.6, 1.7), in_mask=False) -> dict:
    """Spacing and patch along the axes (k, j, i), which the plan holds transposed."""
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 3, "features_per_stage": CHANNELS, "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": KERNELS, "strides": STRIDES, "n_conv_per_stage": [2, 2, 2],
            "n_conv_per_stage_decoder": [2, 2], "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }  # fmt: skip
    fullres = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [(16, 32, 24)[axis] for axis in transpose],
        "spacing": [spacing[axis] for axis in transpose],
        "normalization_schemes": [scheme],
        "use_mask_for_norm": [in_mask],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "architecture": architecture,
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset003_Liver",
        "plans_name": "nnUNetPlans",
        "transpose_forward": list(transpose),
        "image_reader_writer": "SimpleITKIO",
        "configurations": {"2d": {"patch_size": [32, 24]}, "3d_fullres": fullres},
        "foreground_intensity_properties_per_channel": {"0": NORMS},
    }


DATASET = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "liver": 1, "tumour": 2},
    "numTraining": 4,
    "file_ending": ".nii.gz",
}


def taught(image: np.ndarray, order) -> PlainUnet:
    """Trained for a moment to tell three ranges of a normalised image (k, j, i) apart."""
    torch.manual_seed(0)
    network = PlainUnet(CHANNELS, KERNELS, STRIDES, 3)
    seen = torch.from_numpy(np.ascontiguousarray(image)).float()
    seen = seen[8:24, 12:36, 12:36].permute(*order)
    target = (seen > 0.3).long() + (seen > 1.3)
    weights = 1 / torch.bincount(target.ravel(), minlength=3).float()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(seen[None, None]), target[None], weights).backward()
        optimizer.step()
    return network.eval()


def write_results(
    folder: Path, plan: dict, network: PlainUnet, dataset: dict = DATASET, folds=("0",)
) -> Path:
    """As training leaves them: a checkpoint with optimizer, logs of NumPy's numbers, and arguments."""
    for fold in folds:
        (folder / f"fold_{fold}").mkdir(parents=True)
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": torch.optim.SGD(network.parameters(), 0.01, momentum=0.99).state_dict(),
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.5)]]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1000,
            "init_args": {"configuration": "3d_fullres", "fold": 0, "plans": plan},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    (folder / "plans.json").write_text(json.dumps(plan))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


def normalised(values: np.ndarray, plan: dict) -> np.ndarray:
    scheme = plan["configurations"]["3d_fullres"]["normalization_schemes"][0]
    if scheme == "CTNormalization":
        values = np.clip(values, NORMS["percentile_00_5"], NORMS["percentile_99_5"])
        return (values - NORMS["mean"]) / NORMS["std"]
    return (values - values.mean()) / values.std()


def published_answer(network: PlainUnet, values: np.ndarray, spacing_kji, plan: dict) -> np.ndarray:
    """The labels of an image by nnU-Net's steps: crop, normalise, resample, windows, back, argmax."""
    order, settings = plan["transpose_forward"], plan["configurations"]["3d_fullres"]
    found = np.zeros(values.shape, np.uint8)
    places = np.argwhere(values != 0)
    box = tuple(slice(a, b + 1) for a, b in zip(places.min(0), places.max(0), strict=True))
    image = normalised(values[box].astype(float), plan).transpose(order)
    spacing = np.array(spacing_kji)[order]
    shape = [
        round(n * old / new) for n, old, new in zip(image.shape, spacing, settings["spacing"], strict=True)
    ]
    seen = torch.from_numpy(resize(image, shape, 3, mode="edge", anti_aliasing=False)).float()
    with torch.no_grad():
        logits = sliding_window_inference(
            seen[None, None], settings["patch_size"], 1, network, overlap=0.5, mode="gaussian"
        )
    shares = torch.softmax(logits[0], 0).numpy()
    back = np.stack([resize(one, image.shape, 1, mode="edge", anti_aliasing=False) for one in shares])
    found[box] = back.argmax(0).transpose(np.argsort(order))
    return found


@pytest.fixture(scope="module")
def blackened(phantom, tmp_path_factory) -> Path:
    """The phantom with nothing around it, as after a skull stripping."""
    import nibabel

    loaded = nibabel.load(phantom)
    array = np.asanyarray(loaded.dataobj) + 1000
    array[array < 200] = 0
    return write_nifti(tmp_path_factory.mktemp("mr") / "mr.nii.gz", array.astype(np.int16), loaded.affine)


CASES = {
    "ct": (plans(), DATASET),
    "transposed": (plans(transpose=(2, 0, 1)), DATASET),
    "mr, cropped": (plans(scheme="ZScoreNormalization"), DATASET | {"channel_names": {"0": "MRI"}}),
}


@pytest.mark.parametrize("name", CASES)
def test_imported_results_say_what_the_published_steps_give(tmp_path, models, phantom, blackened, name):
    plan, dataset = CASES[name]
    file = blackened if name.startswith("mr") else phantom
    volume, order = read_volume(file), plan["transpose_forward"]
    network = taught(normalised(volume.array.astype(float), plan), order)
    bundle = import_bundle(write_results(tmp_path / TRAINER, plan, network, dataset), name="mine")
    assert bundle.working_spacing_kji_mm == (2.4, 1.6, 1.7) and bundle.patch_size_kji == (16, 32, 24)
    assert [label.name for label in bundle.labels] == ["liver", "tumour"]
    expected = published_answer(network, volume.array, volume.spacing_kji, plan)
    found, _ = segment(Pipeline(bundle, torch.device("cpu")), volume)
    for label in bundle.labels:
        assert np.count_nonzero(expected == label.value) > 300
        assert dice(found == label.value, expected == label.value) > 0.999


def test_thick_slices_are_interpolated_within_not_across(tmp_path, models, phantom):
    """As nnU-Net does beyond a ratio of 3; and plans of its first releases name the network otherwise."""
    plan = plans(spacing=(2.6, 1.0, 0.8))
    fullres = plan["configurations"]["3d_fullres"]
    del fullres["architecture"]
    fullres |= {
        "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 8, "unet_max_num_features": 16,
        "n_conv_per_stage_encoder": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2],
        "pool_op_kernel_sizes": STRIDES, "conv_kernel_sizes": KERNELS,
    }  # fmt: skip
    torch.manual_seed(0)
    network = PlainUnet([8, 16, 16], KERNELS, STRIDES, 3)
    bundle = import_bundle(write_results(tmp_path / TRAINER, plan, network))
    volume = read_volume(phantom)
    seen, grid = Pipeline(bundle, torch.device("cpu")).scan(volume).prepared()
    values = normalised(volume.array.astype(float), plan)
    shape = [
        round(n * old / new)
        for n, old, new in zip(values.shape, volume.spacing_kji, (2.6, 1, 0.8), strict=True)
    ]
    assert seen.shape == tuple(shape)
    source = np.floor((np.arange(shape[0]) + 0.5) * len(values) / shape[0]).astype(int)
    for k in (0, shape[0] // 2, shape[0] - 1):
        expected = resize(values[source[k]], shape[1:], 3, mode="edge", anti_aliasing=False)
        assert np.abs(seen[k] - expected).max() < 1e-4
    assert np.allclose(grid.bounds_ras(), volume_bounds(volume), atol=1e-6)


def volume_bounds(volume) -> np.ndarray:
    from HiDiffRefineLib.geometry.grids import Grid

    return Grid(volume.array.shape, volume.ijk_to_ras).bounds_ras()


def test_the_command_takes_the_folder_above_and_asks_for_the_fold(tmp_path, models, capsys):
    network = PlainUnet(CHANNELS, KERNELS, STRIDES, 3)
    above = tmp_path / "Dataset003_Liver"
    write_results(above / TRAINER, plans(), network, folds=("0", "1"))
    assert main(["bundles", "import", str(above), "--name", "liver"]) == 1
    assert "which fold to take of fold_0, fold_1. Add --fold" in capsys.readouterr().err
    assert main(["bundles", "import", str(above), "--name", "liver", "--fold", "1"]) == 0
    assert "from a nnU-Net v2" in capsys.readouterr().out
    assert main(["bundles", "import", str(above), "--name", "other", "--fold", "7"]) == 1
    assert "has no fold_7/checkpoint_final.pth" in capsys.readouterr().err


def changed(where: str, **changes) -> dict:
    plan = plans()
    fullres = plan["configurations"]["3d_fullres"]
    {"plan": plan, "fullres": fullres, "network": fullres["architecture"]["arch_kwargs"]}[where].update(
        changes
    )
    return plan


RESIDUAL = {"network_class_name": "a.ResidualEncoderUNet", "arch_kwargs": {}}
US = DATASET | {"channel_names": {"0": "US"}}
REFUSED = {
    "images at once": (plans(), DATASET | {"channel_names": {"0": "T1", "1": "T2"}}),
    "The region 'whole'": (plans(), DATASET | {"labels": {"background": 0, "whole": [1, 2], "core": 2}}),
    "a.ResidualEncoderUNet": (changed("fullres", architecture=RESIDUAL), DATASET),
    "dropout_op = torch.nn.Dropout3d": (changed("network", dropout_op="torch.nn.Dropout3d"), DATASET),
    "norm_op = torch.nn.BatchNorm3d": (changed("network", norm_op="torch.nn.BatchNorm3d"), DATASET),
    "RGBTo01Normalization": (changed("fullres", normalization_schemes=["RGBTo01Normalization"]), DATASET),
    "resample_torch_fornnunet": (changed("fullres", resampling_fn_data="resample_torch_fornnunet"), DATASET),
    "Tiff3DIO": (changed("plan", image_reader_writer="Tiff3DIO"), DATASET),
    "whether its images, 'US', are": (changed("fullres", normalization_schemes=["ZScoreNormalization"]), US),
    "not as nnU-Net v2 writes it": (changed("fullres", spacing=None), DATASET),
    "no configuration 3d_fullres": (changed("plan", configurations={}), DATASET),
    "previous_stage|cascade": (changed("fullres", previous_stage="3d_lowres"), DATASET),
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_mapped_is_refused_by_name(tmp_path, models, sentence):
    network = PlainUnet(CHANNELS, KERNELS, STRIDES, 3)
    source = write_results(tmp_path / TRAINER, *[(REFUSED[sentence][0])], network, REFUSED[sentence][1])
    with pytest.raises(BundleError) as caught:
        import_bundle(source, name="mine")
    assert any(part in caught.value.message for part in sentence.split("|")) and caught.value.remedy
    assert not (models / "mine").exists()


def test_weights_of_another_network_are_refused(tmp_path, models):
    source = write_results(tmp_path / TRAINER, plans(), PlainUnet([6, 8, 12], KERNELS, STRIDES, 3))
    with pytest.raises(BundleError, match="does not fit the PlainConvUNet"):
        import_bundle(source, Given(fold="0"), "mine")
