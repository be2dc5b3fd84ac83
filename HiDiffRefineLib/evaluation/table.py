"""From single cases to the evaluation's JSON and its tables.

`case_row` judges one case in one row, `build_result` makes the JSON of all rows, `format_table` shows it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from HiDiffRefineLib.evaluation.cells import aligned, markdown
from HiDiffRefineLib.evaluation.metrics import (
    auroc,
    border_zone,
    dice,
    expected_calibration_error,
    hausdorff95_mm,
    overlaps,
)
from HiDiffRefineLib.volumes.labels import Label

# Rows in the order of the tables, with what a reader sees.
ROWS = {
    "segmentor": "segmentor",
    "refiner_1_step": "refiner, 1 step",
    "refiner": "refiner, all steps",
    "plain_refiner": "plain refiner",
    "dssm": "DSSM",
    "dssm_tau0": "DSSM, head alone",
    "dssm_k1": "DSSM, 1 step",
    "dssm_k2": "DSSM, 2 steps",
    "dssm_k3": "DSSM, 3 steps",
    "dssm_k4": "DSSM, 4 steps",
    "dssm_gamma0": "DSSM, density alone",
    "dssm_gamma_half": "DSSM, head at half weight",
    "dssm_tau_half": "DSSM, density at half weight",
    "dssm_tau_double": "DSSM, density at twice the weight",
}


def case_row(
    labelmap: np.ndarray,
    probabilities: Callable[[int], np.ndarray],
    truth: np.ndarray,
    labels: Sequence[Label],
    spacing_kji: Sequence[float],
    seconds: float,
) -> dict:
    """The figures of one case in one row.

    Dice and distance judge the labelmap; calibration and error detection judge P(label) in the zone within
    9 mm of the label's true surface, where an error is a voxel with (P ≥ 0.5) ≠ truth and 1 − |2P − 1| is to
    tell it.

    Args:
        labelmap: predicted label values, (k, j, i).
        probabilities: label value → P(label), (k, j, i) in 0…1; called once a label, so that one map at a
            time is in memory.
        truth: true label values, (k, j, i).
        labels: the labels judged.
        spacing_kji: voxel size in mm.
        seconds: what the prediction took.

    Returns:
        {"seconds", "labels": {name: {"dice", "iou", "precision", "recall", "hd95_mm", "ece", "error_auroc",
        "missing", "empty"}}}: missing if the truth lacks the label, empty if only the prediction does. ece
        and error_auroc are nan where they have no meaning: the label is missing, or (error_auroc) every voxel
        of the zone is right.
    """
    figures = {}
    for label in labels:
        predicted, true = labelmap == label.value, truth == label.value
        zone = border_zone(true, spacing_kji)
        p = probabilities(label.value)[zone]
        missing = not true.any()
        figures[label.name] = {
            "dice": dice(predicted, true),
            **overlaps(predicted, true),
            "hd95_mm": hausdorff95_mm(predicted, true, spacing_kji),
            "ece": expected_calibration_error(p, true[zone]),
            "error_auroc": auroc(1 - np.abs(2 * p - 1), (p >= 0.5) != true[zone]),
            "missing": missing,
            "empty": not missing and not predicted.any(),
        }
    return {"seconds": float(seconds), "labels": figures}


def build_result(bundle: str, cases: Sequence[str], rows: dict[str, list[dict]]) -> dict:
    """The evaluation's JSON.

    Dice and distance: mean over cases for each label, then over labels; every case counts, by the rules for
    empty masks in metrics.py. ece and error_auroc: mean over all labels of all cases that have one.

    Args:
        bundle: name of the bundle.
        cases: names of the cases, one or more.
        rows: for keys of ROWS, one `case_row` a case, in the order of `cases`.

    Returns:
        {"bundle", "cases": [...], "rows": {row: {"dice": {"mean", "per_label": {name: …}},
        "hd95_mm": {"mean", "per_label"}, "miou", "precision", "recall", "ece", "error_auroc",
        "seconds_per_case", "missing_organs", "empty_predictions"}}}. ece and error_auroc are None if no case
        has one. missing_organs counts labels that a case's truth lacks, empty_predictions labels it has but
        the prediction lacks, over all cases.
    """
    return {
        "bundle": bundle,
        "cases": list(cases),
        "rows": {name: _summary(rows[name]) for name in ROWS if name in rows},
    }


def _summary(cases: list[dict]) -> dict:
    figures = [figure for case in cases for figure in case["labels"].values()]
    return {
        "dice": _by_label(cases, "dice"),
        "hd95_mm": _by_label(cases, "hd95_mm"),
        "miou": float(np.mean([figure["iou"] for figure in figures])),
        "precision": float(np.mean([figure["precision"] for figure in figures])),
        "recall": float(np.mean([figure["recall"] for figure in figures])),
        "ece": _mean_of_known([figure["ece"] for figure in figures]),
        "error_auroc": _mean_of_known([figure["error_auroc"] for figure in figures]),
        "seconds_per_case": float(np.mean([case["seconds"] for case in cases])),
        "missing_organs": sum(figure["missing"] for figure in figures),
        "empty_predictions": sum(figure["empty"] for figure in figures),
    }


def _by_label(cases: list[dict], figure: str) -> dict:
    per_label = {
        name: float(np.mean([case["labels"][name][figure] for case in cases])) for name in cases[0]["labels"]
    }
    return {"mean": float(np.mean(list(per_label.values()))), "per_label": per_label}


def _mean_of_known(values: list[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else None


def format_table(result: dict) -> str:
    """The result as plain text for a screen: one table of rows, one of Dice and distance by label."""
    tables = "\n\n".join(aligned(cells) for cells in (_overview(result), _by_label_cells(result)))
    return f"{result['bundle']}: {_scope(result)}\n\n{tables}\n{_unlike(result)}"


def markdown_table(result: dict) -> str:
    """The same two tables in Markdown."""
    tables = "\n\n".join(markdown(cells) for cells in (_overview(result), _by_label_cells(result)))
    return f"{_scope(result)}\n\n{tables}\n{_unlike(result)}"


def _unlike(result: dict) -> str:
    if "ood_auroc" not in result:
        return ""
    kinds = ", ".join(f"{kind} {value:.3f}" for kind, value in result["ood_auroc_by_kind"].items())
    return f"\nUnlike images told from these, AUROC {result['ood_auroc']:.3f}: {kinds}.\n"


def _scope(result: dict) -> str:
    row = next(iter(result["rows"].values()))
    cases, missing = len(result["cases"]), row["missing_organs"]
    pairs = cases * len(row["dice"]["per_label"])
    return f"{cases} case{'s' * (cases != 1)}; {missing} of {pairs} labels absent from the truth."


def _overview(result: dict) -> list[list[str]]:
    overlap = ["mIoU", "precision", "recall"]
    head = ["", "Dice", "HD95 (mm)", *overlap, "ECE", "error AUROC", "s/case", "empty predictions"]
    return [head] + [
        [
            ROWS[name],
            f"{row['dice']['mean']:.3f}",
            f"{row['hd95_mm']['mean']:.1f}",
            *(f"{row[name]:.3f}" for name in ("miou", "precision", "recall")),
            _known(row["ece"]),
            _known(row["error_auroc"]),
            f"{row['seconds_per_case']:.1f}",
            str(row["empty_predictions"]),
        ]
        for name, row in result["rows"].items()
    ]


def _by_label_cells(result: dict) -> list[list[str]]:
    rows = result["rows"]
    names = next(iter(rows.values()))["dice"]["per_label"]
    head = ["Dice / HD95 (mm)", *(ROWS[name] for name in rows)]
    return [head] + [[label, *(_dice_and_distance(row, label) for row in rows.values())] for label in names]


def _dice_and_distance(row: dict, label: str) -> str:
    return f"{row['dice']['per_label'][label]:.3f} / {row['hd95_mm']['per_label'][label]:.1f}"


def _known(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
