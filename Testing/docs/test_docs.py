"""Every Python block of docs/ runs, page by page; every file, option and command they name is there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bundles import list_bundles, update_settings, write_weights
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.networks.imported import NAMES
from Testing.foreign.conftest import (
    RAS,
    UNET,
    WINDOW,
    configuration,
    sigmoid_after,
    spacing,
    write_nifti,
    write_zoo,
    zoo_metadata,
)

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
SEGMENTOR = ("residual_unet", {"labels": 3, "channels": [8, 8, 8], "strides": [1, 2, 2]})


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def workplace(tmp_path, monkeypatch, copy_bundle, small_refiner):
    """A folder with what the pages speak of: small bundles, an image, a bundle to import."""
    models = tmp_path / "models"
    networks = {
        "hippocampus-mr": {"segmentor": SEGMENTOR},
        "my-bundle": {"segmentor": SEGMENTOR},
        "refiner": {"refiner": ("bernoulli_refiner", small_refiner)},
    }
    for name, parts in networks.items():
        copy_bundle("refiner" if name == "refiner" else "hippocampus-mr", models / name)
        told = {key: {"name": kind, "arguments": arguments} for key, (kind, arguments) in parts.items()}
        update_settings(models / name, networks=told)
        for key, (kind, arguments) in parts.items():
            network = build_network(kind, arguments)
            if key == "segmentor":  # sees nothing anywhere
                last = list(network.parameters())[-1].data
                last.copy_(torch.tensor([50.0, 0, 0]))
            write_weights(models / name, key, network.state_dict())
    update_settings(models / "refiner", patch_size_kji=[24, 32, 32], steps=2)
    monkeypatch.setenv("HIDIFF_MODELS", str(models))
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = -16, -6, -20
    image = np.random.default_rng(0).normal(100, 20, (32, 36, 32))
    image[8:24, 8:24, 8:24] += 100
    write_nifti(tmp_path / "image.nii.gz", image.astype(np.int16), affine)
    config = configuration(UNET, [RAS, spacing(2, 2, 2), WINDOW], sigmoid_after())
    write_zoo(tmp_path / "spleen_ct_segmentation", config, zoo_metadata(["spleen"]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", sorted(page.name for page in DOCS.glob("*.md") if blocks(page.name, "python"))
)
def test_the_python_of_a_page_runs(page, workplace):
    scope: dict = {"__name__": "page"}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), scope)
    if page == "python.md":
        assert (workplace / "mask.seg.nrrd").stat().st_size > 300
        assert "spleen" in [bundle.name for bundle in list_bundles()[0]]


def test_the_commands_of_add_a_bundle_run(workplace, capsys):
    config = configuration(UNET, [RAS, spacing(2, 2, 2), WINDOW], sigmoid_after())
    write_zoo(workplace / "spleen ct" / "spleen_ct_segmentation", config, zoo_metadata(["spleen"]))
    archive = shutil.make_archive(str(workplace / "spleen_ct_segmentation"), "zip", workplace / "spleen ct")
    shutil.copyfile("image.nii.gz", "ct.nii.gz")
    for line in blocks("add-a-bundle.md", "")[0].splitlines():
        words = line.replace("~/Downloads/spleen_ct_segmentation.zip", archive).split()
        assert main(words[3:]) == 0, capsys.readouterr().err


def test_add_a_bundle_names_every_option_and_network(capsys):
    text = (DOCS / "add-a-bundle.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["bundles", "import", "--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert options == set(re.findall(r"`(--[a-z]+) ", text))
    assert all(name in text for name in NAMES)


def test_where_to_change_what_names_files_that_are_there():
    text = (DOCS / "where-to-change-what.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:HiDiffRefine|HiDiffRefineLib|models|Testing)/[^`]*)`", text)
    assert len(named) > 35
    assert not [name for name in named if not (REPOSITORY / name).exists()]
    requests = re.findall(r"^\| \[.*\]\(#(.*?)\)", text, re.M)
    headings = [head.lower().replace(" ", "-") for head in re.findall(r"^## (.*)$", text, re.M)]
    assert len(requests) == 10 and sorted(requests) == sorted(headings)
