"""Tables of the robot user in a bundle: beside each other, and joined by other tools' rows."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.errors import BundleError, ConfigError
from HiDiffRefineLib.evaluation.hint_table import build_hints
from HiDiffRefineLib.evaluation.record import add_to_hints, record_hints
from HiDiffRefineLib.evaluation.robot_user import Curve

REPOSITORY = Path(__file__).parents[2]
SETUP = {"data": "ct", "prior": "segmentor", "robot": "click", "count": 2, "pairs": 1}
PEER = {"cases": ["a"], "hints_setup": SETUP | {"prior": "fold0"}, "command": "python peers.py"}


def curve(*dice):
    steps = len(dice) - 1
    return Curve(list(dice), [1.0] * steps, [0.9] * steps, [5] * steps, [0] * steps, [0.1] * steps)


def measured(*dice, **setup):
    hints = build_hints({name: [curve(*dice)] for name in ("refiner", "ball")})
    return {"cases": ["a"], "hints": hints, "hints_setup": SETUP | {"steps": 2, "device": "cpu"} | setup}


@pytest.fixture(params=["abdomen-ct", "refiner"])
def folder(request, tmp_path):
    """A bundle whose hints were not measured yet."""
    target = tmp_path / "tested"
    ignored = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(REPOSITORY / "models" / request.param, target, ignore=ignored)
    metadata = target / "configs/metadata.json"
    manifest = json.loads(metadata.read_text(encoding="utf-8"))
    manifest["hidiffrefine"].pop("hints", None)
    metadata.write_text(json.dumps(manifest), encoding="utf-8")
    begin, end = "<!-- hints: begin -->", "<!-- hints: end -->"
    before, _, rest = card(target).partition(begin)
    text = f"{before}{begin}\nNot measured yet.\n{end}{rest.partition(end)[2]}"
    (target / "docs/README.md").write_text(text, encoding="utf-8")
    return target


def card(folder) -> str:
    return (folder / "docs/README.md").read_text(encoding="utf-8")


def test_tables_stand_side_by_side_and_a_new_one_replaces_its_like(folder):
    record_hints(folder, measured(0.5, 0.6, 0.7), "Case a, unseen.", "evaluate --first")
    record_hints(folder, measured(0.5, 0.6, 0.8, robot="jitter"), "Case a, unseen.", "evaluate --second")
    record_hints(folder, measured(0.5, 0.6, 0.8, prior="others"), "Case a, unseen.", "evaluate --other")
    record_hints(folder, measured(0.5, 0.6, 0.9), "Case a, unseen.", "evaluate --third")
    tables = load_bundle(folder).settings["hints"]
    commands = [table["commands"] for table in tables]
    assert commands == [["evaluate --second"], ["evaluate --other"], ["evaluate --third"]]
    assert tables[2]["rows"]["refiner"]["dice"]["2"] == 0.9
    told = card(folder)
    assert told.count("**ct, from the segmentor's masks**: up to 2 clicks") == 2
    assert "**ct, from the masks 'others'**" in told and "2 reverse steps, seconds on cpu" in told
    assert "Case a, unseen." in told and "evaluate --first" not in told and "Not measured yet" not in told
    assert "| refiner, all steps | 0.500 | 0.600 | 0.900 |" in told


def test_other_tools_join_the_table_of_the_same_sessions(folder, tmp_path, monkeypatch):
    record_hints(folder, measured(0.5, 0.6, 0.7), "Case a.", "evaluate")
    rows = build_hints({name: [curve(0.5, 0.55, 0.6)] for name in ("random_walker", "ball")})
    file = tmp_path / "peers.json"
    file.write_text(json.dumps(PEER | {"hints": rows}))
    script = REPOSITORY / "Testing/benchmarks/record_peers.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(file), "--bundle", str(folder)])
    for _ in range(2):
        runpy.run_path(str(script), run_name="__main__")
    (table,) = load_bundle(folder).settings["hints"]
    assert list(table["rows"]) == ["refiner", "ball", "random_walker"]
    assert table["rows"]["ball"]["dice"]["2"] == 0.7  # evaluate's own
    assert table["commands"] == ["evaluate", "python peers.py"]
    assert "| random walker | 0.500 | 0.550 | 0.600 |" in card(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"cases": ["b"]},
        {"hints_setup": SETUP | {"robot": "jitter"}},
        {"hints_setup": SETUP | {"count": 3}},
        {"hints": build_hints({"random_walker": [curve(0.6, 0.6, 0.6)]})},  # from other masks
    ],
)
def test_figures_of_other_sessions_are_refused(folder, change):
    record_hints(folder, measured(0.5, 0.6, 0.7), "Case a.", "evaluate")
    rows = build_hints({"random_walker": [curve(0.5, 0.55, 0.6)]})
    with pytest.raises(ConfigError, match="no table of the sessions"):
        add_to_hints(folder, PEER | {"hints": rows} | change, "peers")


def test_a_card_without_a_place_for_hints_is_refused(folder):
    before = load_bundle(folder).metadata
    (folder / "docs/README.md").write_text("# No place\n")
    with pytest.raises(BundleError, match="'tested' has no place for hints figures"):
        record_hints(folder, measured(0.5, 0.6, 0.7), "Case a.", "evaluate")
    assert load_bundle(folder).metadata == before
