"""Bundles of MONAI's Model Zoo: after the import they say what MONAI itself says, voxel by voxel."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion
from scipy.ndimage import label as pieces_of

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.errors import BundleError, FileError
from HiDiffRefineLib.foreign.importing import import_bundle
from HiDiffRefineLib.foreign.model import Given
from HiDiffRefineLib.inference.pipeline import Pipeline, segment
from HiDiffRefineLib.inference.prepared_volume import PreparedVolume, PriorCache
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.volumes.read import read_labelmap, read_volume
from Testing.foreign.conftest import (
    RAS,
    SEGRESNET,
    UNET,
    WINDOW,
    configuration,
    decisive,
    monai_answer,
    sigmoid_after,
    softmax_after,
    spacing,
    write_zoo,
    zoo_metadata,
)
from Testing.volumes.full_disk import full_after

THREE, ONE = ["background", "liver", "spleen"], ["tumour"]
STANDARDISED = {
    "_target_": "NormalizeIntensityd",
    "keys": "@image_key",
    "nonzero": True,
    "channel_wise": True,
}
CROPPED = {"_target_": "CropForegroundd", "keys": "@image_key", "source_key": "image"}
LAYOUTS = {
    "spleen": configuration(SEGRESNET, [RAS, spacing(1.5, 1.5, 2), WINDOW], softmax_after()),
    "as stored, cropped": configuration(
        SEGRESNET, [WINDOW, spacing(1.6, 1.4, 2.2), CROPPED], softmax_after(), overlap=0.25, mode="gaussian"
    ),
    "whole body": configuration(
        SEGRESNET,
        [
            {**RAS, "axcodes": "LPS"},
            spacing(2, 2, 2),
            STANDARDISED,
            {"_target_": "ScaleIntensityd", "keys": "@image_key", "minv": -1.0, "maxv": 1.0},
        ],
        softmax_after(),
        padding_mode="replicate",
    ),
    "sigmoid": configuration(
        UNET, [{**RAS, "axcodes": "PLI"}, spacing(1.9, 1.7, 2.1), WINDOW], sigmoid_after()
    ),
    "percentiles": configuration(
        UNET,
        [
            RAS,
            spacing(2.1, 1.9, 2.9),
            {
                "_target_": "ScaleIntensityRangePercentilesd", "keys": "@image_key",
                "lower": 5, "upper": 95, "b_min": 0, "b_max": 1, "clip": True,
            },
            {"_target_": "NormalizeIntensityd", "keys": "@image_key"},
        ],
        sigmoid_after(),
    ),
}  # fmt: skip


def ours(bundle, image) -> np.ndarray:
    labelmap, _ = segment(Pipeline(bundle, torch.device("cpu")), read_volume(image))
    return labelmap


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / max(np.count_nonzero(a) + np.count_nonzero(b), 1)


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_imported_bundle_says_what_monai_says(tmp_path, models, phantom, name):
    config = LAYOUTS[name]
    names = ONE if config["network_def"]["out_channels"] == 1 else THREE
    source = write_zoo(tmp_path / name, config, zoo_metadata(names))
    bundle = import_bundle(source)
    assert [label.name for label in bundle.labels] == [one for one in names if one != "background"]
    state = torch.load(source / "models/model.pt", weights_only=True)
    expected, found = monai_answer(config, state, phantom)[0], ours(bundle, phantom)
    if (
        "cropped" in name
    ):  # MONAI's inverse has a rim of labels around what it cropped, where nothing is known
        inside = binary_erosion(read_volume(phantom).array > -100, iterations=3)
        expected, found = expected[inside], found[inside]
    for label in bundle.labels:
        assert np.count_nonzero(expected == label.value) > 500
        assert dice(found == label.value, expected == label.value) > 0.999
    assert np.mean(found == expected) > 0.9995


def test_overlapping_sigmoids_become_labels_of_which_the_likeliest_wins(tmp_path, models, phantom):
    config = configuration(
        {**UNET, "out_channels": 2}, [RAS, spacing(2.1, 1.9, 1.7), WINDOW], sigmoid_after()
    )
    source = write_zoo(tmp_path / "two", config, zoo_metadata(["whole", "core"]))
    bundle = import_bundle(source)
    assert "overlap" in bundle.settings["limits"]
    state = torch.load(source / "models/model.pt", weights_only=True)
    channels, found = monai_answer(config, state, phantom) > 0.5, ours(bundle, phantom)
    # Two labels of .9 leave less to the background than one, which moves the border by a part of a voxel.
    alone, any_of = channels.sum(0) == 1, channels.any(0)
    assert alone.sum() > 5000 and np.mean((found > 0) == any_of) > 0.98
    assert np.mean(channels[1][alone] == (found[alone] == 2)) > 0.95


def test_a_torchscript_a_yaml_file_and_a_zip_give_the_same_bundle(tmp_path, models):
    weights = []
    for name, kind in (("a", {}), ("b", {"torchscript": True}), ("c", {"yaml": True})):
        source = write_zoo(tmp_path / "in" / name, SPLEEN, zoo_metadata(THREE), **kind)
        if name == "c":
            source = shutil.make_archive(str(tmp_path / "c"), "zip", source.parent, "c")
        bundle = import_bundle(source)
        assert bundle.name == name
        weights.append(bundle.settings["weights"]["segmentor"]["sha256"])
    assert len(set(weights)) == 1


@pytest.mark.parametrize("fault", [500, 60_000, "fsync", "rename"])
def test_on_a_full_disk_there_is_no_bundle_and_nothing_is_left(tmp_path, models, monkeypatch, fault):
    source = write_zoo(tmp_path / "some", SPLEEN, zoo_metadata(THREE))
    before = sorted(models.rglob("*"))

    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FileError, match="could not be written") as caught:
        if isinstance(fault, int):
            with full_after(fault):
                import_bundle(source)
        else:
            monkeypatch.setattr(os, fault, fails)
            import_bundle(source)
    assert "space left" in caught.value.remedy and sorted(models.rglob("*")) == before


def test_the_command_imports_and_segments(tmp_path, models, phantom, capsys):
    source = write_zoo(tmp_path / "spleen_ct", SPLEEN, zoo_metadata(THREE))
    (source / "LICENSE").write_text("Apache-2.0 or so\n")
    assert main(["bundles", "import", str(source)]) == 0
    said = capsys.readouterr().out
    assert "SegResNet, softmax, CT" in said and "axes RAS, 1.5 × 1.5 × 2 mm" in said
    assert main(["bundles"]) == 0
    assert "spleen_ct (segmentor): Decathlon spleen segmentation" in capsys.readouterr().out
    assert (models / "spleen_ct" / "LICENSE").read_text() == "Apache-2.0 or so\n"
    out = tmp_path / "mask.nii.gz"
    command = ["segment", str(phantom), "--bundle", "spleen_ct", "--output", str(out), "--roi=0,0,0,30"]
    assert main(command) == 0
    assert "research use only" in capsys.readouterr().out
    assert set(np.unique(read_labelmap(out).array)) == {0, 1, 2}
    assert main(["bundles", "import", str(source)]) == 1
    assert "There is a bundle 'spleen_ct' already" in capsys.readouterr().err


SPLEEN = LAYOUTS["spleen"]


def bare(**changes) -> dict:
    """A configuration without what the user then has to say."""
    config = configuration(SEGRESNET, [RAS, WINDOW], softmax_after())
    return config | changes


LACKING = [
    ("voxel size", "--spacing", bare(), zoo_metadata(THREE), Given()),
    ("what kind of image", "--modality", SPLEEN, zoo_metadata(THREE, "?"), Given()),
    ("what the 2 labels", "--labels", SPLEEN, zoo_metadata([]), Given()),
    ("3 were given", "--labels", SPLEEN, zoo_metadata([]), Given(labels=["a", "b", "c"])),
    ("exclude each other", "--channels", SPLEEN | {"postprocessing": None}, zoo_metadata(THREE), Given()),
    ("how large", "--patch", SPLEEN | {"inferer": None}, zoo_metadata(THREE), Given()),
]  # fmt: skip


@pytest.mark.parametrize(
    "what, option, config, metadata, given", LACKING, ids=[row[1] + row[0] for row in LACKING]
)
def test_what_is_missing_is_asked_for(tmp_path, models, what, option, config, metadata, given):
    source = write_zoo(tmp_path / "some", config, metadata)
    with pytest.raises(BundleError, match=what) as caught:
        import_bundle(source, given)
    assert option in caught.value.remedy
    assert not (models / "some").exists()


def test_what_the_user_says_fills_in_and_wins(tmp_path, models):
    config = SPLEEN | {"postprocessing": None, "inferer": None}
    config["preprocessing"] = json.loads(
        json.dumps(config["preprocessing"]).replace("[1.5, 1.5, 2]", '"$pick()"')
    )
    source = write_zoo(tmp_path / "some", config, {})
    given = Given(["a", "b"], (1.5, 1.5, 3), (64, 64, 32), "MR", "softmax")
    bundle = import_bundle(source, given, "other name")
    assert bundle.working_spacing_kji_mm == (3, 1.5, 1.5) and bundle.patch_size_kji == (32, 64, 64)
    assert [label.name for label in bundle.labels] == ["a", "b"] and bundle.settings["modality"] == "MR"
    assert bundle.settings["intensity"]["rule"] == "percentiles"
    assert load_bundle("other name").name == "other name"


def before(*transforms: dict) -> dict:
    return configuration(SEGRESNET, [RAS, spacing(1, 1, 1), *transforms], softmax_after())


def after(*transforms: dict) -> dict:
    return configuration(SEGRESNET, [RAS, spacing(1, 1, 1)], [*softmax_after(), *transforms])


REFUSED = {
    "transform Lambdad before": before({"_target_": "Lambdad", "keys": "image", "func": "$lambda x: 1 / x"}),
    "transform scripts.mine.Scale before": before({"_target_": "scripts.mine.Scale", "keys": "image"}),
    "CropForeground with margin = 10": before({**CROPPED, "margin": 10}),
    "CropForeground with select_fn": before({**CROPPED, "select_fn": "odd"}),
    "Spacing with mode = nearest": configuration(SEGRESNET, [{**spacing(1, 1, 1), "mode": "nearest"}], []),
    "Spacing with pixdim": configuration(SEGRESNET, [spacing(1, 1, -1)], softmax_after()),
    "Orientation after Spacing": configuration(SEGRESNET, [spacing(1, 1, 1), RAS], softmax_after()),
    "Orientation with axcodes = RRS": before({**RAS, "axcodes": "RRS"})
    | configuration(SEGRESNET, [{**RAS, "axcodes": "RRS"}], softmax_after()),
    "ScaleIntensityRange with the argument odd": before({**WINDOW, "odd": 1}),
    "transform FillHolesd after": after({"_target_": "FillHolesd", "keys": "pred"}),
    "of the labels [2] alone": after(
        {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [2]}
    ),
    "AsDiscrete with threshold = 0.3": configuration(
        UNET, [RAS, spacing(1, 1, 1)], [{"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.3}]
    ),
    "SlidingWindowInferer with cval = 1": before() | configuration(
        SEGRESNET, [RAS, spacing(1, 1, 1)], softmax_after(), cval=1
    ),
    "of 4 images at once": configuration({**SEGRESNET, "in_channels": 4}, [], []),
    "in 2 dimensions": configuration({**SEGRESNET, "spatial_dims": 2}, [], []),
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_mapped_is_refused_by_name(tmp_path, models, sentence):
    config = REFUSED[sentence]
    names = ONE if config["network_def"]["out_channels"] == 1 else THREE
    # What is refused has no weights that MONAI could make here.
    whole = write_zoo(tmp_path / "whole", SPLEEN, zoo_metadata(names))
    (whole / "configs/inference.json").write_text(json.dumps(config))
    with pytest.raises(BundleError) as caught:
        import_bundle(whole)
    assert sentence in caught.value.message and caught.value.remedy


def test_transforms_that_are_off_and_within_others_count(tmp_path, models):
    off = {"_target_": "Lambdad", "keys": "image", "func": "$1", "_disabled_": True}
    config = configuration(
        SEGRESNET,
        [off, {"_target_": "Compose", "transforms": [RAS, spacing(1, 2, 3), WINDOW]}],
        softmax_after(),
    )
    bundle = import_bundle(write_zoo(tmp_path / "some", config, zoo_metadata(THREE)))
    assert bundle.settings["imported"]["axes"] == "RAS" and bundle.working_spacing_kji_mm == (3, 2, 1)
    assert bundle.settings["intensity"] == {"rule": "hu_window", "low": -100, "high": 300}


def test_the_largest_piece_alone_stays_where_the_bundle_says_so(tmp_path, models, phantom):
    config = LAYOUTS["sigmoid"]
    largest = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1]}
    config = config | {"postprocessing": {"transforms": [*config["postprocessing"]["transforms"], largest]}}
    bundle = import_bundle(write_zoo(tmp_path / "some", config, zoo_metadata(ONE)))
    pieces, count = pieces_of(ours(bundle, phantom), np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(pieces.ravel())[1:])
    assert count == 1 or sizes[-2] < 0.01 * sizes[-1]  # what interpolation leaves of a rim


@pytest.mark.parametrize(
    "folder, which, size",
    # The second MR is stored in float, with exact zeros, at the very spacing that is asked for.
    [("mr_hippocampus", 0, (1, 1, 1)), ("mr_hippocampus", 1, (1, 1, 1)), ("ct_openkbp", 0, (4, 4, 4))],
)
def test_on_a_real_case_it_says_what_monai_says(tmp_path, models, data_dir, folder, which, size):
    image = sorted((data_dir / folder / "images").iterdir())[which]
    modality, scaled = ("CT", WINDOW) if "ct" in folder else ("MR", STANDARDISED)
    config = configuration(SEGRESNET, [RAS, spacing(*size), scaled], softmax_after())
    source = write_zoo(tmp_path / folder, config, zoo_metadata(THREE, modality))
    state = torch.load(source / "models/model.pt", weights_only=True)
    bundle = import_bundle(source)
    expected, found = monai_answer(config, state, image)[0], ours(bundle, image)
    for label in bundle.labels:
        assert np.count_nonzero(expected == label.value) > 1000
        assert dice(found == label.value, expected == label.value) > 0.999


def test_networks_of_other_kinds_and_former_arguments(tmp_path, models):
    unet = {**UNET, "dimensions": 3, "out_channels": 3}
    del unet["spatial_dims"]
    dyn = {
        "_target_": "DynUNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3,
        "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [8, 8, 8],
        "deep_supervision": True, "deep_supr_num": 1,
    }  # fmt: skip
    for name, entry in (("unet", unet), ("dyn", dyn)):
        config = configuration(entry, [RAS, spacing(1, 1, 1), WINDOW], softmax_after())
        written = dict(entry)
        written["spatial_dims"] = written.pop("dimensions", 3)
        source = write_zoo(tmp_path / name, {**config, "network_def": written}, zoo_metadata(THREE))
        (source / "configs/inference.json").write_text(json.dumps(config))
        bundle = import_bundle(source)
        network = Pipeline(bundle, torch.device("cpu")).network("segmentor")
        names = [key for key in network.state_dict() if "input_block" in key or "deep" in key]
        assert not names
        import monai.networks.nets as nets

        kind = written.pop("_target_").rpartition(".")[2]
        torch.manual_seed(0)
        theirs = decisive(getattr(nets, kind)(**written))
        image = torch.rand(1, 1, 16, 24, 32)
        with torch.inference_mode():
            expected = theirs(image.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2)
            assert torch.allclose(network(image), expected, atol=1e-4)


def test_edits_start_from_the_same_answer_as_segment(tmp_path, models, phantom):
    config = configuration(SEGRESNET, [RAS, spacing(3, 3, 3), WINDOW], softmax_after())
    bundle = import_bundle(write_zoo(tmp_path / "some", config, zoo_metadata(THREE)))
    pipeline, volume = Pipeline(bundle, torch.device("cpu")), read_volume(phantom)

    class Kept(PriorCache):
        def __init__(self):
            self.content = {}

        def load(self, roi, shape):
            found = self.content.get(roi)
            assert found is None or found.shape == shape
            return found

        def save(self, roi, probabilities):
            self.content[roi] = probabilities

    kept = Kept()
    region = RegionOfInterest((0.0, 0.0, 0.0), 20.0)
    for roi in (None, region):
        expected = pipeline.prior(pipeline.scan(volume, roi))
        found, again = (PreparedVolume(volume, pipeline, kept).prior(roi) for _ in range(2))
        assert torch.equal(found.probabilities, expected.probabilities)
        assert torch.equal(again.probabilities, expected.probabilities)
        assert np.array_equal(again.grid.ijk_to_ras, expected.grid.ijk_to_ras)


def test_an_8_bit_display_of_the_window_is_brought_back_to_hounsfield_units(tmp_path, models, phantom):
    bundle = import_bundle(write_zoo(tmp_path / "some", SPLEEN, zoo_metadata(THREE)))
    volume, pipeline = read_volume(phantom), Pipeline(bundle, torch.device("cpu"))
    shown = np.rint((np.clip(volume.array, -100, 300) + 100.0) * 255 / 400).astype(np.uint8)
    seen, from_display = (pipeline.scan(v).prepared()[0] for v in (volume, volume.like(shown)))
    inside = binary_erosion(seen > 0.1, iterations=2)
    assert inside.sum() > 3000 and np.abs(seen - from_display)[inside].max() < 0.1
