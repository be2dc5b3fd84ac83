"""Figures of trained DSSMs on the held-out fold of a packed data set, ablations and unlike images included.

    python Testing/benchmarks/dssm.py BUNDLE runs/data/X.npy.xz runs/X/weights.safetensors --json figures.json

Packed data hold pictures and volumes alike, and need neither SimpleITK nor the data sets where this runs.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import multiprocessing

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.outputs import write_json
from HiDiffRefineLib.evaluation.one_shot import (
    FOREIGN,
    case_figures,
    known_profiles,
    left_out_figures,
    spoilt_profiles,
)
from HiDiffRefineLib.evaluation.table import build_result, format_table
from HiDiffRefineLib.evaluation.unlike import foreign_scan
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.inference.models import choose_device
from HiDiffRefineLib.inference.one_shot import profile_of
from HiDiffRefineLib.inference.pipeline import Pipeline, Scan
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import Case, load_cases, split_cases
from HiDiffRefineLib.training.loop import load_half


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("cases", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--network", type=json.loads, default={}, help="as in the training's config")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--most", type=int, help="at most so many cases")
    parser.add_argument("--unlike", nargs="*", type=Path, default=[], help="packed sets of other kinds")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args(arguments)
    _, held_out = split_cases(load_cases(options.cases), options.folds, options.fold)
    held_out = held_out[: options.most]
    jobs = [(options, held_out[n :: options.processes]) for n in range(options.processes)]
    if options.processes > 1:
        spawn = multiprocessing.get_context("spawn")
        with spawn.Pool(options.processes, torch.set_num_threads, (1,)) as pool:
            parts = pool.starmap(judged, jobs)
    else:
        parts = [judged(*jobs[0])]
    found = sorted((case for part in parts for case in part), key=lambda case: case[0])
    rows = {row: [figures[row] for _, figures, *_ in found] for row in found[0][1]}
    others = {kind: [case[3][kind] for case in found] for kind in found[0][3]}
    pipeline, like = prepared(options), scan_of(held_out[0], choose_device()).grid
    for archive in options.unlike:
        scans = (
            foreign_scan(case.image, case.ijk_to_ras, like, pipeline.device)
            for case in load_cases(archive)[:FOREIGN]
        )
        others[archive.name.partition(".")[0]] = [profile_of(pipeline.one_shot(scan)) for scan in scans]
    result = build_result(pipeline.bundle.name, [name for name, *_ in found], rows)
    result |= left_out_figures([case[2][0] for case in found], others)
    result["profiles"] = {name: [one.tolist() for one in known] for name, _, known, _ in found}
    print(format_table(result))
    write_json(options.json, result)


def prepared(options) -> Pipeline:
    """A pipeline of the bundle with the weights to be judged."""
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(), "dssm")
    name, known = pipeline.bundle.network("dssm")
    network = build_network(name, known | options.network)
    load_half(network, options.weights)
    network = network.to(pipeline.device, memory_format=torch.channels_last_3d).eval()
    pipeline._networks["dssm"] = network
    return pipeline


def judged(options, cases: list[Case]) -> list[tuple]:
    """(name, rows, profiles of the case as known, profiles of it spoilt) of each case."""
    pipeline, found = prepared(options), []
    for n, case in enumerate(cases):
        scan = scan_of(case, pipeline.device)
        figures, _ = case_figures(pipeline, scan, case.labels, ablations=True)
        known = known_profiles(pipeline, scan, seed=n)
        found.append((case.name, figures, known, spoilt_profiles(pipeline, scan, seed=n)))
        print(case.name, f"{figures['dssm']['seconds']:.2f} s", file=sys.stderr, flush=True)
    return found


def scan_of(case: Case, device: torch.device) -> Scan:
    """A packed case as `Pipeline.scan` would show it."""
    grid = Grid(case.image.shape, case.ijk_to_ras)
    return Scan(torch.from_numpy(case.image)[None].to(device).float() / 255, grid, grid.bounds_ras())


if __name__ == "__main__":
    main()
