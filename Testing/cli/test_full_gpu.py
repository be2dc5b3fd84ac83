"""Commands on a GPU whose memory is full: the processor does the work, and the user is told."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.evaluation import small
from HiDiffRefineLib.inference.memory import GPU_FULL
from HiDiffRefineLib.networks.build import build_network

SMALL = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}
# As torch on CUDA, the CUDA driver, Apple's, cuDNN and cuBLAS say it.
ERRORS = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    "CUDA": RuntimeError("CUDA error: out of memory"),
    "MPS": RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, other allocations: 1 KB)"),
    "cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}
HINTS = ["evaluate", "--data", "{data}", "--hints", "1", "--hints-only"]
COMMANDS = {
    "segment": ["segment", "{data}/images/one.nii.gz", "--output", "{out}.nii.gz"],
    "refine": [
        *("refine", "{data}/images/one.nii.gz", "{data}/labels/one.nii.gz"),
        *("--hints", "{clicks}", "--output", "{out}.nii.gz"),
    ],
    "evaluate": ["evaluate", "--data", "{data}", "--cases", "one"],
    "evaluate hints": [*HINTS, "--robot", "off"],
    "evaluate small": [*HINTS, "--cases", "one"],
    "evaluate dssm": ["evaluate", "--data", "{data}", "--mode", "dssm", "--unlike", "{data}"],
    "calibrate": ["calibrate", "--data", "{data}"],
    "calibrate dssm": ["calibrate", "--data", "{data}", "--mode", "dssm"],
}


@pytest.fixture
def places(small_models, randomise, image, tmp_path, monkeypatch):
    """Two cases of one image, two clicks, and a bundle with every network."""
    folder = small_models / "hippocampus-mr"
    networks = load_bundle(folder).settings["networks"] | {"dssm": {"name": "dssm", "arguments": SMALL}}
    typical = {"mean": [-1e4] * 5, "spread": [1.0] * 5, "limit": 3.0}
    update_settings(folder, networks=networks, dssm={"typical": typical})
    write_weights(folder, "dssm", randomise(build_network("dssm", SMALL)).state_dict())
    monkeypatch.setattr(small, "SIZES_MM", (2.0,))
    monkeypatch.setattr(small, "BODIES", (3,))
    monkeypatch.setattr(small, "BALLS", (2,))
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(image)))
    for part, content in (("images", array), ("labels", (array > 300).astype(np.uint8))):
        (tmp_path / "data" / part).mkdir(parents=True)
        for case in ("one", "two"):
            path = tmp_path / "data" / part / f"{case}.nii.gz"
            sitk.WriteImage(sitk.GetImageFromArray(content), str(path))
    clicks = tmp_path / "positive.mrk.json"
    points = [{"label": "F", "position": [15.0, 15.0, z]} for z in (10.0, 14.0)]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points}
    clicks.write_text(json.dumps({"markups": [markup]}))
    return {"data": tmp_path / "data", "clicks": clicks, "out": tmp_path / "out"}


@pytest.fixture
def full_gpu(monkeypatch):
    """(error) → a device that has no room for any network, and says it so."""

    def make(error):
        move = torch.nn.Module.to

        def to(network, *arguments, **named):
            if torch.device("meta") in arguments:
                raise error
            return move(network, *arguments, **named)

        monkeypatch.setattr(torch.nn.Module, "to", to)
        device = torch.device("meta")
        monkeypatch.setattr("HiDiffRefineLib.inference.models.choose_device", lambda name: device)

    return make


@pytest.mark.parametrize(
    "command, error",
    [(command, "torch") for command in COMMANDS]
    + [(command, error) for command in ("segment", "refine", "evaluate") for error in list(ERRORS)[1:]],
)
def test_the_processor_does_it_and_the_user_is_told_once(places, full_gpu, capsys, command, error):
    full_gpu(ERRORS[error])
    words = [word.format(**places) for word in COMMANDS[command]]
    assert main([*words, "--bundle", "hippocampus-mr"]) == 0
    told = capsys.readouterr().err
    assert f"Warning: {GPU_FULL}" in told
    assert command not in ("segment", "refine") or told.count(GPU_FULL) == 1
    assert "Traceback" not in told
