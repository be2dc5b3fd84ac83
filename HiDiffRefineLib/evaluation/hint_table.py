"""From the curves of many sessions to the JSON and the tables of the robot user."""

from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.evaluation.cells import aligned, markdown
from HiDiffRefineLib.evaluation.robot_user import Curve

# Numbers of hints that are shown; those beyond the sessions' length are left out.
COUNTS = (0, 1, 2, 3, 5, 10)

# Rows in the order of the tables, with what a reader sees.
HINT_ROWS = {
    "refiner_1_step": "refiner, 1 step",
    "refiner": "refiner, all steps",
    "more_less": "the same, best of 9 levels",
    "more_less_clumsy": "the same, a level next to it",
    "plain_refiner": "plain refiner",
    "ball": "ball of ideal radius",
    "grow_from_seeds": "Grow from seeds",
    "random_walker": "random walker",
}


def build_hints(rows: dict[str, Sequence[Curve]], prior_dice: Sequence[float] | None = None) -> dict:
    """The figures of all rows over (case, label) pairs, every pair with the same weight.

    Args:
        rows: for keys of HINT_ROWS, one curve a pair, one pair or more, all with the same number n ≥ 1 of
            hints at most.
        prior_dice: Dice of each pair's prior, from which gains are counted; None for Dice at 0 hints, which
            is that of the prior unless the sessions began with a mask already refined.

    Returns:
        {row: {"dice": {"0", "1", "2", "3", "5", "10"}, "gain": same keys, "auc", "noc85", "noc90",
        "first_hint_hurts", "satisfaction", "satisfaction_unclamped", "collateral_voxels",
        "seconds_per_hint_p50", "seconds_per_hint_p95"}}.

        dice, gain: means over pairs after so many hints, as far as n.
        auc: mean area under the Dice curve from 0 to n hints, divided by n (trapezoids).
        noc85, noc90: mean number of hints until Dice is at least .85, .90: 0 where it is so before the first
            hint, and n (not n + 1) where it is never reached.
        first_hint_hurts: share of the pairs with a hint whose Dice fell with the first one.
        satisfaction, satisfaction_unclamped: means over all hints of all pairs.
        collateral_voxels: sum over all hints of all pairs.
        seconds: percentiles over all hints of all pairs.
        None where no session has such a figure: no hint was needed, or the answers didn't tell.
    """
    return {name: _figures(rows[name], prior_dice) for name in HINT_ROWS if name in rows}


def _figures(curves: Sequence[Curve], prior_dice: Sequence[float] | None) -> dict:
    dice = np.array([curve.dice for curve in curves])  # (pairs, n + 1)
    prior = dice[:, 0] if prior_dice is None else np.asarray(prior_dice)
    counts = [count for count in COUNTS if count < dice.shape[1]]
    collateral, seconds = _all(curves, "collateral_voxels"), _all(curves, "seconds")
    return {
        "dice": {str(count): float(dice[:, count].mean()) for count in counts},
        "gain": {str(count): float((dice[:, count] - prior).mean()) for count in counts},
        "auc": float(((dice[:, 1:] + dice[:, :-1]) / 2).mean()),
        "noc85": _hints_needed(dice, 0.85),
        "noc90": _hints_needed(dice, 0.90),
        "first_hint_hurts": _mean([curve.dice[1] < curve.dice[0] for curve in curves if curve.seconds]),
        "satisfaction": _mean(_all(curves, "satisfaction")),
        "satisfaction_unclamped": _mean(_all(curves, "satisfaction_unclamped")),
        "collateral_voxels": sum(collateral) if collateral else None,
        "seconds_per_hint_p50": float(np.percentile(seconds, 50)) if seconds else None,
        "seconds_per_hint_p95": float(np.percentile(seconds, 95)) if seconds else None,
    }


def _all(curves: Sequence[Curve], figure: str) -> list:
    return [value for curve in curves for value in getattr(curve, figure)]


def _hints_needed(dice: np.ndarray, goal: float) -> float:
    reached = dice >= goal
    return float(np.where(reached.any(1), reached.argmax(1), dice.shape[1] - 1).mean())


def _mean(values: list) -> float | None:
    return float(np.mean(values)) if values else None


def format_hint_table(hints: dict) -> str:
    """The JSON of `build_hints` as plain text for a screen."""
    return aligned(_cells(hints)) + "\n"


def markdown_hint_table(hints: dict) -> str:
    """The same table in Markdown."""
    return markdown(_cells(hints)) + "\n"


def _cells(hints: dict) -> list[list[str]]:
    counts = next(iter(hints.values()))["dice"]
    head = ["Dice after hints", *counts, "AUC", "NoC 85", "NoC 90", "1st hurts", "held", "held unclamped"]
    head += ["collateral", "s/hint p50", "p95"]
    return [head] + [
        [
            HINT_ROWS[name],
            *(f"{row['dice'][count]:.3f}" for count in counts),
            f"{row['auc']:.3f}",
            f"{row['noc85']:.1f}",
            f"{row['noc90']:.1f}",
            _known(row["first_hint_hurts"], ".1%"),
            _known(row["satisfaction"], ".1%"),
            _known(row["satisfaction_unclamped"], ".1%"),
            _known(row["collateral_voxels"], "d"),
            _known(row["seconds_per_hint_p50"], ".3f"),
            _known(row["seconds_per_hint_p95"], ".3f"),
        ]
        for name, row in hints.items()
    ]


def _known(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"
