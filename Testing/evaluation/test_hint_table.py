"""From curves to the robot user's JSON and table."""

import json

import pytest

from HiDiffRefineLib.evaluation.hint_table import build_hints, format_hint_table, markdown_hint_table
from HiDiffRefineLib.evaluation.robot_user import Curve

RISING = Curve(
    dice=[0.5, 0.6, 0.7, 0.86, 0.9, 0.92],
    satisfaction=[1.0] * 5,
    satisfaction_unclamped=[1.0, 0.5, 1.0, 1.0, 1.0],
    changed_voxels=[9] * 5,
    collateral_voxels=[0, 0, 2, 0, 1],
    seconds=[0.1, 0.2, 0.3, 0.4, 0.5],
)
FALLING = Curve(
    dice=[0.4, 0.3, 0.3, 0.3, 0.3, 0.3],
    satisfaction=[0.0] * 5,
    satisfaction_unclamped=[0.0] * 5,
    changed_voxels=[1] * 5,
    collateral_voxels=[0] * 5,
    seconds=[0.3] * 5,
)
PERFECT = Curve(dice=[1.0] * 6)


def test_figures_of_a_row():
    row = build_hints({"refiner": [RISING, FALLING, PERFECT]})["refiner"]
    assert row["dice"] == pytest.approx(
        {"0": 1.9 / 3, "1": 1.9 / 3, "2": 2 / 3, "3": 2.16 / 3, "5": 2.22 / 3}
    )
    assert row["gain"] == pytest.approx({"0": 0, "1": 0, "2": 0.1 / 3, "3": 0.26 / 3, "5": 0.32 / 3})
    assert row["auc"] == pytest.approx((0.754 + 0.31 + 1) / 3)
    assert row["noc85"] == pytest.approx((3 + 5 + 0) / 3)
    assert row["noc90"] == pytest.approx((4 + 5 + 0) / 3)
    assert row["first_hint_hurts"] == 1 / 2  # of the pairs that had a hint
    assert row["satisfaction"] == 0.5
    assert row["satisfaction_unclamped"] == pytest.approx(0.45)
    assert row["collateral_voxels"] == 3
    assert row["seconds_per_hint_p50"] == 0.3
    assert row["seconds_per_hint_p95"] == pytest.approx(0.455)


def test_gain_is_counted_from_the_prior():
    row = build_hints({"refiner": [RISING, FALLING]}, prior_dice=[0.4, 0.4])["refiner"]
    assert row["gain"]["0"] == pytest.approx(0.05)
    assert row["gain"]["5"] == pytest.approx(0.21)


def test_json_has_the_agreed_form():
    ten = Curve(dice=[0.5] * 11)
    hints = build_hints({"ball": [ten], "refiner": [ten]})
    assert list(hints) == ["refiner", "ball"]
    for row in hints.values():
        assert set(row) == {
            "dice", "gain", "auc", "noc85", "noc90", "first_hint_hurts", "satisfaction",
            "satisfaction_unclamped", "collateral_voxels", "seconds_per_hint_p50", "seconds_per_hint_p95",
        }  # fmt: skip
        assert list(row["dice"]) == list(row["gain"]) == ["0", "1", "2", "3", "5", "10"]
        assert row["noc90"] == 10
        assert row["satisfaction"] is row["seconds_per_hint_p50"] is row["collateral_voxels"] is None
    assert json.loads(json.dumps(hints, allow_nan=False)) == hints


def test_tables_show_every_row():
    hints = build_hints({"refiner": [RISING], "ball": [PERFECT]})
    lines = format_hint_table(hints).splitlines()
    assert lines[0].split()[:8] == ["Dice", "after", "hints", "0", "1", "2", "3", "5"]
    assert lines[2].split()[3:] == [
        "0.500", "0.600", "0.700", "0.860", "0.920", "0.754", "3.0", "4.0", "0.0%", "100.0%", "90.0%", "3",
        "0.300", "0.480",
    ]  # fmt: skip
    assert lines[3].startswith("ball of ideal radius") and "–" in lines[3]
    assert "| ball of ideal radius | 1.000 |" in markdown_hint_table(hints)
