"""segment, evaluate, calibrate in mode dssm."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.bundles import load_bundle, update_settings, write_weights
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.volumes.provenance import TYPE, tags_in
from HiDiffRefineLib.volumes.read import read_segmentation

SMALL = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}


@pytest.fixture
def models(small_models, randomise):
    folder = small_models / "hippocampus-mr"
    networks = load_bundle(folder).settings["networks"] | {"dssm": {"name": "dssm", "arguments": SMALL}}
    update_settings(folder, networks=networks)
    write_weights(folder, "dssm", randomise(build_network("dssm", SMALL)).state_dict())
    return small_models


@pytest.fixture
def cases(tmp_path, image):
    """Two cases of one image."""
    picture = sitk.ReadImage(str(image))
    array = sitk.GetArrayFromImage(picture)
    for folder, content in (("images", array), ("labels", (array > 300).astype(np.uint8))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for case in ("one", "two"):
            path = tmp_path / "data" / folder / f"{case}.nii.gz"
            sitk.WriteImage(sitk.GetImageFromArray(content), str(path))
    return tmp_path / "data"


def test_calibration_then_evaluation_then_the_card(models, cases, tmp_path, capsys):
    bundle, data = ["--bundle", "hippocampus-mr"], ["--data", str(cases)]
    file = tmp_path / "figures.json"
    evaluate = ["evaluate", *bundle, *data, "--mode", "dssm", "--device", "cpu", "--json", str(file)]
    assert main([*evaluate, "--cases", "one"]) == 0
    assert "ood_auroc" not in json.loads(file.read_text())
    assert main(["calibrate", *bundle, *data, "--mode", "dssm", "--device", "cpu"]) == 0
    found = load_bundle("hippocampus-mr").settings["dssm"]
    typical = found["typical"]
    assert typical["limit"] > 0 and found["temperature"] > 0
    target = models / "hippocampus-mr"
    more = ["--unlike", str(cases), "--ablations", "--record", str(target), "--split", "Two."]
    assert main([*evaluate, *more]) == 0
    result = json.loads(file.read_text())
    assert {"dssm", "dssm_tau0", "dssm_k1", "dssm_k4"} <= set(result["rows"])
    wanted = {"dice", "hd95_mm", "miou", "precision", "recall", "ece"}
    assert all(wanted <= set(row) for row in result["rows"].values())
    assert 0 <= result["ood_auroc"] <= 1
    assert set(result["ood_auroc_by_kind"]) == {"noise", "streaks", "inverted", "data"}
    settings = load_bundle("hippocampus-mr").settings["dssm"]
    assert settings["typical"] == typical and settings["validation"]["rows"] == result["rows"]
    card = (target / "docs/README.md").read_text(encoding="utf-8")
    assert "DSSM, head alone" in card and "--mode dssm --ablations" in card
    assert "AUROC" in capsys.readouterr().out


def test_segment_takes_hints_and_warns(models, image, tmp_path, capsys):
    typical = {"mean": [-1e4] * 5, "spread": [1.0] * 5, "limit": 3.0}
    update_settings(models / "hippocampus-mr", dssm={"typical": typical})
    clicks = tmp_path / "clicks.mrk.json"
    point = {"label": "positive", "position": [15.0, 15.0, 10.0], "positionStatus": "defined"}
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [point]}
    clicks.write_text(json.dumps({"markups": [markup]}))
    output = tmp_path / "out.seg.nrrd"
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--mode", "dssm", "--output", str(output)]
    command += ["--device", "cpu", "--prior-only"]
    hints = ["--hints", f"posterior hippocampus={clicks}"]
    assert main([*command, *hints]) == 0
    assert {tags_in(label.tags)[TYPE] for label in read_segmentation(output)[1]} == {"SEMIAUTOMATIC"}
    assert "Warning: This image is unlike the training data of this model: " in capsys.readouterr().err
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(output)))[10, 15, 15] == 2
    assert b"bundle=hippocampus-mr (dssm); seed=0; steps=0" in output.read_bytes()
    assert main([*command, "--hints", f"posterior hippocampus={output}"]) == 1
    assert "would overwrite" in capsys.readouterr().err
    assert main([*command, "--hints", f"liver={clicks}"]) == 1
    assert "knows no 'liver'" in capsys.readouterr().err
    assert main([*(word for word in command if word != "dssm" and word != "--mode"), *hints]) == 1
    assert "Only DSSM takes hints" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [["--mode", "dssm", "--hints", "3"], ["--mode", "dssm", "--images", "t1c"], ["--ablations"]]
)
def test_wishes_of_the_other_mode_are_refused(models, cases, capsys, more):
    assert main(["evaluate", "--bundle", "hippocampus-mr", "--data", str(cases), *more]) == 1
    assert "DSSM" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["spoilt_profiles", "foreign_scans"])
def test_ctrl_c_keeps_the_rows_of_dssm(models, cases, tmp_path, capsys, monkeypatch, place):
    typical = {"mean": [-1e4] * 5, "spread": [1.0] * 5, "limit": 3.0}
    update_settings(models / "hippocampus-mr", dssm={"typical": typical})
    calls, file = [], tmp_path / "figures.json"

    def stop(*arguments, **named):
        calls.append(1)
        if place == "foreign_scans" or len(calls) == 2:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(f"HiDiffRefineLib.evaluation.one_shot.{place}", stop)
    command = ["evaluate", "--bundle", "hippocampus-mr", "--data", str(cases), "--unlike", str(cases)]
    assert main([*command, "--mode", "dssm", "--device", "cpu", "--json", str(file)]) == 130
    result = json.loads(file.read_text())
    assert result["stopped"] and "ood_auroc" not in result and "dssm" in result["rows"]
    assert result["cases"] == (["one", "two"] if place == "foreign_scans" else ["one"])
    assert capsys.readouterr().err.endswith("Stopped.\n")
