"""The comparison with other tools runs as a program, and seeds them as it says."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.evaluation.robot_user import RobotHint
from Testing.benchmarks.peers import (
    BACKGROUND,
    BRUSH,
    CLEAR,
    ERODED,
    FAR,
    FOREGROUND,
    UNDECIDED,
    measure,
    seeder,
    walk_randomly,
)

SPACING_KJI = np.array([3.0, 1.0, 1.0])


def hint(*voxels_kji, positive):
    return RobotHint(np.array(voxels_kji), positive)


def test_seeds_follow_the_prior_and_make_way_for_hints():
    prior = np.zeros((15, 80, 80), bool)
    prior[4:11, 20:60, 20:60] = True
    seeds_of = seeder(prior, SPACING_KJI)
    plain = seeds_of([])
    line = plain[7, 40]
    assert (line[: 20 - int(FAR)] == BACKGROUND).all()
    assert (line[20 - int(FAR) : 20 + int(ERODED) - 1] == UNDECIDED).all()
    assert line[20 + int(ERODED) - 1] == line[40] == FOREGROUND

    line = seeds_of([hint((7, 40, 40), positive=False), hint((7, 40, 5), positive=True)])[7, 40]
    brush, clear = int(BRUSH), int(CLEAR)
    assert (line[40 - brush : 40 + brush + 1] == BACKGROUND).all()
    assert (line[40 + brush + 1 : 40 + clear + 1] == UNDECIDED).all()
    assert line[40 + clear + 1] == FOREGROUND
    assert (line[5 - brush : 5 + brush + 1] == FOREGROUND).all()
    assert (line[5 + brush + 1 : 20] == UNDECIDED).all()  # was background
    assert line[79] == BACKGROUND


def test_hints_hold_their_own_voxels_side_by_side():
    hints = [hint((1, 5, 5), positive=True), hint((1, 5, 6), positive=False), hint((1, 6, 5), positive=True)]
    seeds = seeder(np.zeros((3, 12, 12), bool), SPACING_KJI)(hints)
    assert (seeds[1, 5, 5], seeds[1, 5, 6], seeds[1, 6, 5]) == (FOREGROUND, BACKGROUND, FOREGROUND)
    assert seeds[0, 0, 0] == seeds[1, 11, 11] == BACKGROUND  # the faces of a small image


@pytest.fixture
def data(tmp_path):
    """Two bright blocks in noise; the priors are misplaced."""
    truth = np.zeros((12, 40, 40), np.uint8)
    truth[3:9, 6:18, 6:20] = 1
    truth[4:9, 24:36, 22:34] = 2
    rng = np.random.default_rng(0)
    image = rng.normal(100 * (truth > 0), 10).astype(np.int16)
    for folder, array in {
        "images": image,
        "labels": truth,
        "priors": np.roll(truth, (2, 2), (1, 2)),
    }.items():
        (tmp_path / folder).mkdir()
        itk = sitk.GetImageFromArray(array)
        itk.SetSpacing(SPACING_KJI[::-1].tolist())
        sitk.WriteImage(itk, str(tmp_path / folder / "blocks.nii.gz"))
    return tmp_path


def test_random_walker_finds_the_blocks_from_nothing(data):
    options = Namespace(data=data, cases=[], hints=3, prior="empty", robot="click")
    rows = measure(options, {"random_walker": walk_randomly})["hints"]
    assert list(rows) == ["ball", "random_walker"]
    assert rows["random_walker"]["dice"]["0"] == 0
    assert rows["random_walker"]["dice"]["3"] > 0.9


@pytest.mark.parametrize("robot", ["jitter", "scribble"])
def test_hints_other_than_clicks_are_those_of_evaluate(data, robot):
    options = Namespace(data=data, cases=[], hints=1, prior=data / "priors", robot=robot)
    seen = []

    def tool(image, seeds, spacing_kji):
        seen.append(seeds)
        return seeds == FOREGROUND

    result = measure(options, {"random_walker": tool})
    assert result["hints_setup"]["robot"] == robot
    assert ("ball" in result["hints"]) == (robot != "scribble")
    measure(options, {"random_walker": tool})
    np.testing.assert_array_equal(seen[0], seen[2])  # two labels a run


def test_the_program_compares_all_tools(data):
    script, output = Path(__file__).with_name("peers.py"), data / "peers.json"
    command = [sys.executable, script, "--data", data, "--hints", "3", "--json", output]
    command += ["--prior", data / "priors"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(output.read_text(encoding="utf-8"))
    assert (result["cases"], result["hints_setup"]["pairs"]) == (["blocks"], 2)
    assert result["hints_setup"]["prior"] == "priors"
    assert "random walker" in done.stdout
    rows = result["hints"]
    assert f"peers.py --data {data} --hints 3" in result["command"]
    if "Grow from seeds is left out" not in done.stderr:
        assert list(rows) == ["ball", "grow_from_seeds", "random_walker"]
    for name in set(rows) - {"ball"}:
        assert rows[name]["dice"]["0"] < 0.75 and rows[name]["dice"]["3"] > 0.9
        assert rows[name]["satisfaction"] == 1
        assert rows[name]["collateral_voxels"] is None
