"""evaluate: how good a bundle is on cases with known labels."""

import json
from pathlib import Path

from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.errors import ConfigError


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("evaluate", help="measure a bundle on cases with known labels")
    parser.add_argument("--bundle", required=True, help="name of a model bundle, or its folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds images/ and labels/")
    parser.add_argument(
        "--cases", nargs="+", default=[], metavar="NAME", help="only these (file names without suffix)"
    )
    parser.add_argument("--steps", type=int, help="reverse steps of the refiner (default: the bundle's)")
    parser.add_argument(
        "--hints", type=int, default=0, metavar="N", help="let a robot user give up to N hints to every label"
    )
    parser.add_argument(
        "--prior", choices=("segmentor", "empty"), default="segmentor", help="what --hints starts from"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--record", type=Path, metavar="BUNDLE", help="enter the figures into this bundle")
    parser.add_argument("--split", metavar="TEXT", help="with --record: which cases, unseen by which weights")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.set_defaults(run=run)


def run(options) -> None:
    """Prints the table of all rows, and writes the JSON."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.evaluation.hint_table import format_hint_table
    from HiDiffRefineLib.evaluation.hinted import evaluate_hints
    from HiDiffRefineLib.evaluation.record import record_validation
    from HiDiffRefineLib.evaluation.run import evaluate
    from HiDiffRefineLib.evaluation.table import format_table
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline

    if options.record and not options.split:
        raise ConfigError("The figures need to say what they stand for.", "Add --split with a sentence.")
    if options.hints < 0:
        raise ConfigError(
            f"{options.hints} hints are not possible.", "Choose 1 or more, or leave --hints out."
        )
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device))
    with progress_bar() as progress:
        result = evaluate(pipeline, options.data, options.cases, options.steps, progress)
    print(format_table(result))
    if options.hints:
        with progress_bar() as progress:
            result["hints"] = evaluate_hints(
                pipeline, options.data, options.hints, options.cases, options.steps, options.prior, progress
            )
        print(format_hint_table(result["hints"]))
    if options.record:
        command = f"evaluate --bundle {options.bundle} --cases {' '.join(result['cases'])}"
        record_validation(options.record, result, options.split, command)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
