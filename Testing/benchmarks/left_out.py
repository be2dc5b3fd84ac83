"""What a refiner does on a set that it was not trained on: structures of packed cases started from nothing.

    python Testing/benchmarks/left_out.py runs/data/mr_acdc.npy.xz all=WEIGHTS without=WEIGHTS … [--hints 5]

Prints, for every NAME=WEIGHTS (shipped= for the bundle's own), the robot user's mean Dice after its clicks on
the held-out fold. Its networks are trained with the shipped configuration, less one set and with fewer steps
(those of the model card at commit 9cded16, where a session had up to 6 hints, each number as often):

    python -m HiDiffRefineLib train models/refiner/configs/train.json --set output=runs/without-mr_acdc \\
        cases='[…]' priors='[…]' warm_start=null \\
        empty_share=0.2 batch=4 learning_rate=0.0012 ema=0.998 minutes=60 iterations=900
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import multiprocessing

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.outputs import write_json
from HiDiffRefineLib.evaluation.hinted import answered, previews
from HiDiffRefineLib.evaluation.robot_user import play
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.edit import Segment
from HiDiffRefineLib.inference.models import choose_device
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.inference.segmentor import prior_of_labels
from HiDiffRefineLib.training.cases import Case, load_cases, split_cases
from HiDiffRefineLib.training.loop import load_half

FOLDS, FOLD = 4, 0


def curves(weights: str, hints: int, case: Case) -> list[list[float]]:
    """Dice after 0, 1, … hints for every label of a case, each started from nothing.

    Args:
        weights: of a refiner, as trained; empty for the shipped ones.
        hints: clicks at most.
    """
    device = choose_device()
    pipeline = Pipeline(load_bundle("refiner"), device)
    network = pipeline.network("refiner")
    if weights:
        load_half(network, weights)
    image = torch.from_numpy(case.image)[None].to(device).float() / 255
    grid = Grid(case.labels.shape, case.ijk_to_ras)
    nothing = np.zeros(case.labels.shape, bool)
    segment = Segment(image, grid, prior_of_labels(nothing, grid, 3, device), 1, foreign=True)
    steps = pipeline.check(None, ["refiner"])

    def refine(mask, given):
        edit = previews(pipeline, segment, network, pipeline.chain, steps, mask, given)
        return answered(mask, edit, steps)

    labels = np.unique(case.labels[case.labels > 0])
    return [play(refine, nothing, case.labels == n, grid.spacing_kji, hints).dice for n in labels]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path, help="packed")
    parser.add_argument("networks", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--hints", type=int, default=5)
    parser.add_argument("--most", type=int, help="at most so many cases")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    _, held_out = split_cases(load_cases(options.cases), FOLDS, FOLD)
    held_out = held_out[: options.most]
    found = {}
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(options.processes, torch.set_num_threads, (1,)) as pool:
        for name, _, weights in (network.partition("=") for network in options.networks):
            cases = pool.map(partial(curves, weights, options.hints), held_out, chunksize=1)
            dice = np.array([curve for case in cases for curve in case])
            found[name] = {"dice": dice.mean(0).tolist(), "structures": len(dice), "cases": len(held_out)}
            row = " | ".join(f"{value:.3f}" for value in dice.mean(0))
            print(f"| {options.cases.name.partition('.')[0]} | {name} | {row} |", flush=True)
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
