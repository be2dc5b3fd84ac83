"""evaluate: how good a bundle is on cases with known labels."""

import argparse
import shlex
from functools import cache
from pathlib import Path

from HiDiffRefineLib.cli.outputs import check_complete, write_json
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import warn
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.inference.checks import MODES
from HiDiffRefineLib.volumes.new_files import check_writable


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("evaluate", help="measure a bundle on cases with known labels")
    parser.add_argument(
        "--bundle",
        required=True,
        help="name of a model bundle, or its folder; refiner-only: any labels, refiner alone (with --hints)",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds images/ and labels/")
    parser.add_argument(
        "--cases", nargs="+", default=[], metavar="NAME", help="only these (file names without suffix)"
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="segmentor",
        help="segmentor: it and every way to refine it; dssm: the one-shot network (default: segmentor)",
    )
    parser.add_argument(
        "--unlike",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="with --mode dssm: images of other kinds, which it should tell from those of --data",
    )
    parser.add_argument(
        "--ablations", action="store_true", help="with --mode dssm: rows for other steps, gamma and tau"
    )
    parser.add_argument("--steps", type=int, help="reverse steps of the refiner (default: the bundle's)")
    parser.add_argument(
        "--hints",
        type=int,
        default=0,
        metavar="N",
        help="let a robot user give up to N hints to every label, after the table without hints, which takes"
        " minutes a CT of the abdomen (--hints-only skips it); then, with --robot click, to small lesions"
        " drawn into the images, and to balls in voxels of many sizes",
    )
    parser.add_argument(
        "--hints-only", action="store_true", help="with --hints: no table without hints, in the JSON neither"
    )
    parser.add_argument(
        "--prior",
        metavar="segmentor|empty|coarse|DIR",
        help="what --hints starts from; coarse is an ellipsoid at the structure's place, DIR holds masks with"
        " the labels' file names and values (default: segmentor, or empty where there is none)",
    )
    parser.add_argument(
        "--robot",
        choices=("click", "jitter", "random", "off", "scribble"),
        default="click",
        help="how --hints are given: at the deepest point of the largest error, up to 5 mm off it, anywhere"
        " in the error, up to 3 voxels off the deepest point in the error or not, or drawn along its middle",
    )
    parser.add_argument(
        "--images", default="images", metavar="NAME", help="with --hints-only: the folder of images in DIR"
    )
    parser.add_argument(
        "--structure",
        type=union,
        metavar="NAME=V+V…",
        help="with --hints-only: judge these label values as one, such as 'whole tumour=1+2+3+4'",
    )
    parser.add_argument(
        "--resample",
        action="store_true",
        help="take labels on other voxels than the image's too",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--record", type=Path, metavar="BUNDLE", help="enter the figures into this bundle")
    parser.add_argument("--split", metavar="TEXT", help="with --record: which cases, unseen by which weights")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.set_defaults(run=run)


def union(text: str) -> tuple[str, tuple[int, ...]]:
    """The name and the label values of a structure from "NAME=V+V…"."""
    name, _, values = text.partition("=")
    try:
        found = tuple(int(value) for value in values.split("+"))
    except ValueError:
        found = ()
    if not name or not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=V+V…, for instance 'tumour core=1+3+4'")
    return name, found


def run(options) -> None:
    """Prints the tables of all rows, writes the JSON and enters both into a bundle."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.evaluation.cases import Subject, find_cases
    from HiDiffRefineLib.evaluation.hint_table import format_hint_table
    from HiDiffRefineLib.evaluation.hinted import check_prior, check_subject, evaluate_hints
    from HiDiffRefineLib.evaluation.record import record_hints, record_validation
    from HiDiffRefineLib.evaluation.run import evaluate
    from HiDiffRefineLib.evaluation.small import evaluate_small, format_small
    from HiDiffRefineLib.evaluation.table import format_table
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline
    from HiDiffRefineLib.volumes.read import title

    _check_wishes(options)
    if options.mode == "dssm":
        _run_dssm(options)
        return
    told = cache(warn)  # both tables look at the cases, and one warning is enough
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device), notify=told)
    alone = pipeline.bundle.kind == "refiner"
    if alone and not options.hints:
        raise ConfigError("Without a segmentor there is nothing to measure but hints.", "Add --hints 10.")
    hints_only = alone or options.hints_only
    subject = Subject(options.images, *(options.structure or ()))
    if not hints_only and subject != Subject():
        raise ConfigError("Only hints are measured on other images and structures.", "Add --hints-only.")
    check_subject(subject, pipeline)
    files = find_cases(options.data, options.cases, options.images)
    options.prior = options.prior or ("empty" if alone else "segmentor")
    check_prior(options.prior, files, pipeline)
    result = {"bundle": options.bundle, "cases": [title(Path(file)) for file in files], "left_out": {}}
    try:
        if not hints_only:
            with progress_bar() as progress:
                result = evaluate(
                    pipeline, options.data, options.cases, options.steps, progress, told, options.resample
                )
            print(format_table(result))
        if options.hints and not result.get("stopped"):
            with progress_bar() as progress:
                found = evaluate_hints(
                    pipeline,
                    options.data,
                    options.hints,
                    options.cases,
                    options.steps,
                    options.prior,
                    options.robot,
                    progress,
                    subject,
                    told,
                    options.resample,
                )
            left_out = result["left_out"] | found["left_out"]
            done = [name for name in result["cases"] if name not in {title(Path(file)) for file in left_out}]
            result |= found | {"left_out": left_out, "cases": done}
            print(format_hint_table(result["hints"]))
        # No robot's way to click has a part in these.
        if options.hints and options.robot == "click" and not result.get("stopped"):
            with progress_bar() as progress:
                found = evaluate_small(
                    pipeline,
                    options.data,
                    result["cases"],
                    options.steps,
                    progress,
                    subject,
                    told,
                    options.resample,
                )
            result |= found | {"left_out": result["left_out"] | found["left_out"]}
            print(format_small(result))
    except KeyboardInterrupt:
        if not result.keys() & {"rows", "hints"}:
            raise
        result["stopped"] = True  # the tables that are done are kept
    if options.json:
        write_json(options.json, result)
    check_complete(result)
    if options.record and not hints_only:
        record_validation(options.record, result, options.split, _command(options, result["cases"]))
    if options.record and options.hints:
        command = _command(options, result["cases"], hints=True)
        record_hints(options.record, result, options.split, command)


def _run_dssm(options) -> None:
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.evaluation.one_shot import evaluate_dssm
    from HiDiffRefineLib.evaluation.record import record_dssm
    from HiDiffRefineLib.evaluation.table import format_table
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline

    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device), "dssm")
    with progress_bar() as progress:
        result = evaluate_dssm(
            pipeline,
            options.data,
            options.cases,
            options.unlike,
            options.ablations,
            progress,
            warn,
            options.resample,
        )
    print(format_table(result))
    if options.json:
        write_json(options.json, result)
    check_complete(result)
    if options.record:
        record_dssm(options.record, result, options.split, _command(options, result["cases"]))


def _check_wishes(options) -> None:
    """Refuses what can't be done, before long work."""
    elsewhere = options.structure or options.images != "images"
    if options.mode == "dssm" and (options.hints or options.steps or elsewhere):
        raise ConfigError(
            "DSSM is measured on images/, label by label, without hints and steps of the refiner.",
            "Leave them out.",
        )
    if options.mode != "dssm" and (options.unlike or options.ablations):
        raise ConfigError("--unlike and --ablations are about DSSM.", "Add --mode dssm.")
    if options.record:
        from HiDiffRefineLib.bundles import load_bundle

        load_bundle(options.record)
        if not options.split:
            raise ConfigError("The figures need to say what they stand for.", "Add --split with a sentence.")
    if options.hints < 0:
        raise ConfigError(
            f"{options.hints} hints are not possible.", "Choose 1 or more, or leave --hints out."
        )
    if options.hints_only and not options.hints:
        raise ConfigError("Without hints, --hints-only leaves nothing to measure.", "Add --hints 10.")
    if options.json:
        check_writable(options.json)


def _command(options, cases: list[str], hints: bool = False) -> str:
    """What to type for the same figures again; folders by their names, for others keep theirs elsewhere."""
    words = ["python", "-m", "HiDiffRefineLib", "evaluate", "--bundle", Path(options.bundle).name]
    words += ["--data", options.data.name, "--cases", *cases]
    words += ["--steps", str(options.steps)] if options.steps else []
    words += ["--resample"] if options.resample else []
    if options.mode == "dssm":
        words += ["--mode", "dssm", *(["--ablations"] if options.ablations else [])]
        words += ["--unlike", *(folder.name for folder in options.unlike)] if options.unlike else []
    if hints:
        prior = Path(options.prior).name
        words += ["--hints", str(options.hints), "--prior", prior, "--robot", options.robot]
        words += ["--hints-only"] if options.hints_only else []
        words += ["--images", options.images] if options.images != "images" else []
    if options.structure:
        name, values = options.structure
        words += ["--structure", f"{name}={'+'.join(map(str, values))}"]
    return shlex.join(words)
