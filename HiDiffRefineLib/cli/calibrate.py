"""calibrate: makes the refiner's uncertainty honest."""

from pathlib import Path

from HiDiffRefineLib.cli.progress import progress_bar


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser(
        "calibrate", help="fit the temperature of the refiner's uncertainty, and enter it into its bundle"
    )
    parser.add_argument("--bundle", required=True, help="of a segmentor, by name or folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds images/ and labels/")
    parser.add_argument(
        "--cases",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these (file names without suffix), unseen by the weights",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.set_defaults(run=run)


def run(options) -> None:
    """Prints the temperature and what it brings."""
    from HiDiffRefineLib.bundles import load_bundle, update_settings
    from HiDiffRefineLib.evaluation.calibration import calibrate
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline

    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device))
    with progress_bar() as progress:
        found = calibrate(pipeline, options.data, options.cases, progress)
    temperature = round(found["temperature"], 3)
    folder = pipeline.refiner_bundle.folder
    update_settings(folder, temperature=temperature)
    before, after = found["ece_before"], found["ece_after"]
    print(f"temperature {temperature}  calibration error near borders {before:.3f} -> {after:.3f}  {folder}")
