"""evaluate --hints: every start, every way to give hints, with and without a segmentor."""

import importlib
import json

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.evaluation import small

KEYS = {"bundle", "cases", "hints", "hints_setup", "small_lesions", "voxel_sizes", "left_out"}

ROWS = {"refiner_1_step", "refiner", "more_less", "more_less_clumsy", "plain_refiner"}


@pytest.fixture
def cases(image, tmp_path):
    """Two cases alike: label 1 is a ball, label 7 a box, of which the masks in priors/ lack a part."""
    source = sitk.ReadImage(str(image))
    truth = (sitk.GetArrayFromImage(source) > 250).astype(np.uint8)
    truth[1:4, 2:8, 2:8] = 7
    prior = np.where(np.arange(20)[:, None, None] < 11, truth, 0).astype(np.uint8)
    folder = tmp_path / "cases"
    for name, array in (("images", None), ("labels", truth), ("priors", prior)):
        (folder / name).mkdir(parents=True)
        stored = source if array is None else sitk.GetImageFromArray(array)
        for case in ("one", "two"):
            sitk.WriteImage(stored, str(folder / name / f"{case}.nii.gz"))
    (folder / "dataset.json").write_text('{"labels": {"1": "ball"}}')
    return folder


@pytest.fixture
def measure(small_models, cases, tmp_path, monkeypatch):
    """(arguments) → exit status and the JSON, None where there is none."""
    monkeypatch.setattr(small, "SIZES_MM", (0.02, 2.0))
    monkeypatch.setattr(small, "BODIES", (3,))
    monkeypatch.setattr(small, "BALLS", (2,))

    def run(*more):
        file = tmp_path / "figures.json"
        command = ["evaluate", "--data", str(cases), "--device", "cpu", "--json", str(file), *map(str, more)]
        status = main(command)
        return status, json.loads(file.read_text()) if file.exists() else None

    return run


def test_the_refiner_alone_corrects_every_label_from_nothing(measure, capsys):
    status, result = measure("--bundle", "refiner-only", "--hints", 1, "--cases", "two")
    assert status == 0
    assert set(result) == KEYS
    # Ten lesions find no room in 30 voxels.
    assert list(result["small_lesions"]) == ["balls_in_noise"]
    assert set(result["voxel_sizes"]) == {"dice", "largest_difference"}
    assert (result["bundle"], result["cases"]) == ("refiner-only", ["two"])
    assert result["hints_setup"] == {
        "data": "cases", "prior": "empty", "robot": "click", "count": 1, "pairs": 2, "steps": 2,
        "device": "cpu",
    }  # fmt: skip
    assert set(result["hints"]) == {*ROWS, "ball"}
    for row in result["hints"].values():
        assert list(row["dice"]) == ["0", "1"] and row["dice"]["0"] == 0 and row["satisfaction"] == 1
    # Of one answer the best level is no worse than the answer itself.
    assert result["hints"]["more_less"]["dice"]["1"] >= result["hints"]["refiner"]["dice"]["1"]
    assert result["hints"]["more_less"]["dice"]["1"] >= result["hints"]["more_less_clumsy"]["dice"]["1"]
    assert "ball of ideal radius" in capsys.readouterr().out


@pytest.mark.parametrize("bundle, pairs", [("refiner-only", 4), ("hippocampus-mr", 2)])
def test_masks_from_elsewhere_as_priors(measure, cases, bundle, pairs):
    more = ("--hints", 1, "--prior", cases / "priors", "--robot", "scribble")
    status, result = measure("--bundle", bundle, *more)
    assert status == 0
    # The ball lacks its upper half, the box nothing; hippocampus-mr knows no label 7.
    assert result["hints_setup"]["pairs"] == pairs
    first = result["hints"]["refiner"]["dice"]["0"]
    assert (first > 0.8) if pairs == 4 else (0.6 < first < 0.8)
    assert set(result["hints"]) == ROWS
    assert ("rows" in result) == (bundle != "refiner-only")


def test_a_union_of_labels_in_other_images_from_coarse_masks(measure, small_models, cases):
    (cases / "images").rename(cases / "t1c")
    target = small_models / "refiner"
    more = ("--images", "t1c", "--structure", "both=1+7", "--prior", "coarse", "--hints", 1, "--cases", "one")
    command = ("--bundle", "refiner-only", *more, "--record", target, "--split", "One.")
    status, result = measure(*command)
    assert status == 0
    assert result["hints_setup"]["data"] == "cases, t1c, both" and result["hints_setup"]["pairs"] == 1
    assert 0 < result["hints"]["refiner"]["dice"]["0"] < 1
    (table,) = load_bundle(target).settings["hints"]
    assert table["commands"][0].endswith("--prior coarse --robot click --images t1c --structure both=1+7")
    assert "from ellipsoids" in (target / "docs/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["tumour", "=1", "tumour=", "tumour=1+x", "tumour=0+1"])
def test_a_structure_that_says_too_little_is_a_usage_error(measure, text):
    with pytest.raises(SystemExit):
        measure("--bundle", "refiner-only", "--hints", 1, "--structure", text)


def test_the_table_without_hints_can_be_left_out(measure, small_models, cases, capsys):
    more = ("--hints", 1, "--hints-only", "--cases", "one")
    record = ("--record", small_models / "hippocampus-mr", "--split", "One, unseen.")
    before = load_bundle(small_models / "hippocampus-mr").settings["validation"]
    status, result = measure("--bundle", "hippocampus-mr", *more, *record)
    assert status == 0 and set(result) == KEYS
    assert result["cases"] == ["one"] and "95 %" not in capsys.readouterr().out
    settings = load_bundle(small_models / "hippocampus-mr").settings
    assert settings["validation"] == before
    assert settings["hints"][0]["commands"][0].endswith("--hints-only")


def test_the_number_of_hints_does_not_depend_on_the_prior(measure):
    for more in (("--prior", "empty"), ("--prior", "segmentor", "--robot", "jitter")):
        status, result = measure("--bundle", "hippocampus-mr", "--hints", 1, "--cases", "one", *more)
        assert status == 0 and list(result["hints"]["refiner"]["dice"]) == ["0", "1"]
        assert result["hints_setup"]["robot"] == ("jitter" if "jitter" in more else "click")


def test_figures_are_recorded_with_the_command(measure, small_models, cases):
    target = small_models / "refiner"
    more = ("--hints", 1, "--cases", "one", "--record", target, "--split", "One, unseen.")
    status, result = measure("--bundle", "refiner-only", *more)
    assert status == 0
    (table,) = load_bundle(target).settings["hints"]
    assert table["rows"] == result["hints"] and table["setup"] == result["hints_setup"]
    assert table["commands"] == [
        f"python -m HiDiffRefineLib evaluate --bundle refiner-only --data {cases.name} --cases one --hints 1"
        " --prior empty --robot click"
    ]
    card = (target / "docs/README.md").read_text(encoding="utf-8")
    assert table["commands"][0] in card and "One, unseen." in card


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--bundle", "refiner-only"), "nothing to measure but hints. Add --hints 10."),
        (("--bundle", "refiner-only", "--hints", 1, "--prior", "segmentor"), "has no prior of its own"),
        (("--bundle", "refiner-only", "--hints", 1, "--prior", "nowhere"), "no mask 'one.nii.gz' in nowhere"),
        (("--bundle", "hippocampus-mr", "--hints-only"), "leaves nothing to measure. Add --hints 10."),
        (("--bundle", "hippocampus-mr", "--hints", -1), "-1 hints are not possible"),
        (("--bundle", "hippocampus-mr", "--json", "no/such/f.json"), "its folder does not exist"),
        (("--bundle", "hippocampus-mr", "--json", "."), "it is a folder"),
        (("--bundle", "hippocampus-mr", "--hints", 1, "--images", "t1c"), "Add --hints-only."),
        (
            ("--bundle", "hippocampus-mr", "--hints", 1, "--hints-only", "--structure", "a=1"),
            "can't be joined",
        ),
        (("--bundle", "refiner-only", "--hints", 1, "--images", "t1c"), "with t1c/ and labels/"),
        (("--bundle", "hippocampus-mr", "--record", "nothing", "--split", "x"), "no model bundle 'nothing'"),
    ],
)
def test_bad_wishes_are_refused_before_any_work(measure, monkeypatch, capsys, more, sentence):
    monkeypatch.setattr("HiDiffRefineLib.evaluation.cases.read_case", None)
    status, result = measure(*more)
    error = capsys.readouterr().err
    assert status == 1 and result is None
    assert sentence in error and "Traceback" not in error


def test_cases_without_labels_are_refused(measure, cases, capsys):
    for case in ("one", "two"):
        sitk.WriteImage(sitk.Image(30, 30, 20, sitk.sitkUInt8), str(cases / "labels" / f"{case}.nii.gz"))
    assert measure("--bundle", "refiner-only", "--hints", 1)[0] == 1
    assert "no case with a label to correct" in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--bundle", "refiner-only"), ("--bundle", "hippocampus-mr")])
def test_a_bad_case_leaves_the_figures_of_the_others(measure, cases, small_models, capsys, more):
    (cases / "labels" / "one.nii.gz").write_bytes(b"nonsense")
    status, result = measure(*more, "--hints", 1, "--record", small_models / "refiner", "--split", "none")
    told = capsys.readouterr()
    assert status == 1 and result["cases"] == ["two"] and list(result["left_out"]) == ["one.nii.gz"]
    assert "Warning: one.nii.gz is left out." in told.err
    assert "The figures lack 1 case: one.nii.gz." in told.err
    assert load_bundle("refiner").settings["hints"] == []


@pytest.fixture
def interrupt(monkeypatch):
    """(name in `HiDiffRefineLib.evaluation`, call) → Ctrl+C comes with that call of it."""

    def during(name, call):
        place = f"HiDiffRefineLib.evaluation.{name}"
        module, _, function = place.rpartition(".")
        plain, calls = getattr(importlib.import_module(module), function), []

        def called(*arguments, **named):
            calls.append(1)
            if len(calls) == call:
                raise KeyboardInterrupt
            return plain(*arguments, **named)

        monkeypatch.setattr(place, called)

    return during


@pytest.mark.parametrize(
    ("place", "call", "cases_done", "tables"),
    [
        ("run.answers", 2, ["one"], {"rows"}),
        ("hinted.starter", 1, ["one", "two"], {"rows"}),
        ("hinted.starter", 2, ["one"], {"rows", "hints"}),
        ("small.size_figures", 1, ["one", "two"], {"rows", "hints"}),
    ],
)
def test_ctrl_c_keeps_what_is_done(measure, interrupt, small_models, capsys, place, call, cases_done, tables):
    interrupt(place, call)
    more = [
        "--bundle",
        "hippocampus-mr",
        "--hints",
        1,
        "--record",
        small_models / "refiner",
        "--split",
        "none",
    ]
    status, result = measure(*more)
    told = capsys.readouterr()
    assert status == 130 and told.err.endswith("Stopped.\n") and "Dice" in told.out
    assert result["stopped"] and result["cases"] == cases_done
    assert result.keys() & {"rows", "hints", "small_lesions"} == tables
    assert ("Stopped: the figures are of 1 of 2 cases." in told.err) == (cases_done == ["one"])
    assert list(result["left_out"]) == ["two.nii.gz"][: 2 - len(cases_done)]
    assert load_bundle("refiner").settings["hints"] == []


def test_ctrl_c_before_anything_is_done_writes_nothing(measure, interrupt):
    interrupt("run.answers", 1)
    assert measure("--bundle", "hippocampus-mr") == (130, None)


def test_a_case_that_fails_in_the_last_table_loses_none(measure, monkeypatch, capsys):
    """Such as an image that can't be read any more, or a full memory."""
    figures = small.lesion_figures

    def failing(pipeline, volume, *more):
        if volume.name == "two":
            raise MemoryError
        return figures(pipeline, volume, *more)

    monkeypatch.setattr(small, "lesion_figures", failing)
    status, result = measure("--bundle", "hippocampus-mr", "--hints", 1)
    told = capsys.readouterr()
    assert status == 1 and "The figures lack 1 case: two.nii.gz" in told.err
    assert result.keys() >= {"rows", "hints", "small_lesions"} and list(result["left_out"]) == ["two.nii.gz"]


def test_small_things_are_looked_at_in_the_cases_that_are_left(measure, cases):
    (cases / "images" / "two.nii.gz").write_bytes(b"damaged")
    status, result = measure("--bundle", "hippocampus-mr", "--hints", 1)
    assert status == 1 and result["cases"] == ["one"] and "small_lesions" in result
