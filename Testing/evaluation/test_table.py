"""From cases to JSON, tables and a bundle's metadata; missing organs and empty predictions are counted."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.evaluation.record import record_validation
from HiDiffRefineLib.evaluation.table import build_result, case_row, format_table, markdown_table
from HiDiffRefineLib.volumes.labels import Code, Label

MODELS = Path(__file__).parents[2] / "models"
STRUCTURE, ORGAN = Code("SCT", "123037004", "Anatomical Structure"), Code("SCT", "10200004", "Liver")
LIVER, SPLEEN = (Label(v, n, (0, 0, 0), STRUCTURE, ORGAN) for v, n in ((1, "liver"), (2, "spleen")))
SHAPE, SPACING_KJI = (4, 6, 6), (2.0, 1.0, 1.0)
DIAGONAL_MM = math.sqrt(8**2 + 6**2 + 6**2)


def labelmap(liver: bool, spleen: bool) -> np.ndarray:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:3, 1:3, 1:3] = liver * LIVER.value
    labels[1:3, 4:, 4:] = spleen * SPLEEN.value
    return labels


def judge(prediction, truth, probability=0.9, seconds=2.0):
    def probabilities(value):
        return np.where(prediction == value, np.float32(probability), np.float32(1) - probability)

    return case_row(prediction, probabilities, truth, (LIVER, SPLEEN), SPACING_KJI, seconds)


def test_a_perfect_case():
    row = judge(labelmap(True, True), labelmap(True, True))
    for figures in row["labels"].values():
        assert (figures["dice"], figures["hd95_mm"]) == (1, 0)
        assert figures["ece"] == pytest.approx(0.1, abs=1e-6)
        assert math.isnan(figures["error_auroc"])  # nothing is wrong, so there is nothing to detect
        assert not figures["missing"] and not figures["empty"]


def test_missing_organs_and_empty_predictions_are_told_apart():
    both, liver, nothing = labelmap(True, True), labelmap(True, False), labelmap(False, False)
    missed = judge(liver, both)["labels"]["spleen"]
    assert (missed["dice"], missed["missing"], missed["empty"]) == (0, False, True)
    assert missed["hd95_mm"] == pytest.approx(DIAGONAL_MM)
    invented = judge(both, liver)["labels"]["spleen"]
    assert (invented["dice"], invented["missing"], invented["empty"]) == (0, True, False)
    assert invented["hd95_mm"] == pytest.approx(DIAGONAL_MM)
    assert math.isnan(invented["ece"])
    rightly_absent = judge(nothing, nothing)["labels"]["spleen"]
    assert (rightly_absent["dice"], rightly_absent["hd95_mm"]) == (1, 0)
    assert (rightly_absent["missing"], rightly_absent["empty"]) == (True, False)


def test_uncertainty_is_judged_by_the_errors_it_finds():
    truth = labelmap(True, True)
    prediction = truth.copy()
    prediction[1, 1:3, 1:3] = 0  # half of the liver
    wrong = prediction != truth
    # Sure everywhere but where it is wrong, and the other way round (all exact floats).
    for right, wrong_there, expected in ((1.0, 0.75, 1.0), (0.75, 1.0, 0.0), (0.75, 0.75, 0.5)):
        probability = np.where(wrong, np.float32(wrong_there), np.float32(right))
        found = judge(prediction, truth, probability)["labels"]["liver"]["error_auroc"]
        assert found == expected


@pytest.fixture
def result():
    both, liver = labelmap(True, True), labelmap(True, False)
    good = [judge(both, both, seconds=1), judge(liver, liver, seconds=3)]
    poor = [judge(liver, both), judge(liver, liver)]
    return build_result("abdomen-ct", ["a", "b"], {"refiner": good, "segmentor": poor})


def test_result_has_the_agreed_form(result):
    assert set(result) == {"bundle", "cases", "rows"}
    assert list(result["rows"]) == ["segmentor", "refiner"]
    poor, good = result["rows"].values()
    assert poor["dice"] == {"mean": 0.75, "per_label": {"liver": 1.0, "spleen": 0.5}}
    assert poor["hd95_mm"]["per_label"]["spleen"] == pytest.approx(DIAGONAL_MM / 2)
    assert poor["hd95_mm"]["mean"] == pytest.approx(DIAGONAL_MM / 4)
    assert (poor["missing_organs"], poor["empty_predictions"]) == (1, 1)
    assert (good["missing_organs"], good["empty_predictions"]) == (1, 0)
    assert good["seconds_per_case"] == 2
    assert good["ece"] == pytest.approx(0.1, abs=1e-6)
    assert good["error_auroc"] is None
    assert 0 <= poor["error_auroc"] <= 1
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_tables_show_every_row_and_label(result):
    text = format_table(result)
    assert "abdomen-ct: 2 cases; 1 of 4 labels absent from the truth." in text
    lines = {line.split("  ")[0]: line for line in text.splitlines() if line}
    assert "0.750" in lines["segmentor"] and "1.000" in lines["refiner, all steps"]
    assert "–" in lines["refiner, all steps"]
    assert lines["spleen"].split() == ["spleen", "0.500", "/", "5.8", "1.000", "/", "0.0"]
    markdown = markdown_table(result)
    assert "| refiner, all steps | 1.000 | 0.0 |" in markdown
    assert markdown.count("---:") == 9 + 2


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "tested"
    shutil.copytree(MODELS / "abdomen-ct", target, ignore=shutil.ignore_patterns("*.safetensors"))
    return target


def test_validation_is_recorded_in_metadata_and_card(folder, result):
    for _ in range(2):  # a second recording replaces the first
        record_validation(folder, result, "2 of 2 invented cases.", "evaluate --bundle abdomen-ct")
    validation = load_bundle(folder).settings["validation"]
    assert validation["rows"] == result["rows"]
    assert validation["cases"] == ["a", "b"]
    card = (folder / "docs/README.md").read_text(encoding="utf-8")
    assert card.count(markdown_table(result)) == 1
    assert "## Use" in card


def test_a_card_without_a_place_for_figures_is_refused(folder, result):
    before = load_bundle(folder).metadata
    (folder / "docs/README.md").write_text("# No place\n")
    with pytest.raises(BundleError, match="'tested' has no place for validation figures"):
        record_validation(folder, result, "split", "command")
    assert load_bundle(folder).metadata == before
