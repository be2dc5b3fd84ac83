"""calibrate: makes the refiner's uncertainty honest, and tells DSSM which images are known to it."""

from pathlib import Path

from HiDiffRefineLib.cli.outputs import check_complete
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import warn
from HiDiffRefineLib.inference.checks import MODES


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser(
        "calibrate", help="fit the refiner's temperature, or DSSM's limit of unlike images, and enter it"
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="segmentor",
        help="segmentor: the temperature of the refiner's uncertainty;"
        " dssm: its own temperature, and beyond what an image is unlike",
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
    """Fits and enters what the mode asks for."""
    (_calibrate_dssm if options.mode == "dssm" else _calibrate_refiner)(options)


def _calibrate_dssm(options) -> None:
    from HiDiffRefineLib.bundles import load_bundle, update_settings
    from HiDiffRefineLib.evaluation.one_shot import calibrate_dssm
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline

    bundle = load_bundle(options.bundle)
    pipeline = Pipeline(bundle, choose_device(options.device), "dssm")
    with progress_bar() as progress:
        found = calibrate_dssm(pipeline, options.data, options.cases, progress, warn)
    fitted = {"temperature": round(found["temperature"], 3), "typical": found["typical"]}
    print(f"temperature {fitted['temperature']}")
    print(f"images beyond {found['typical']['limit']:.2f} spreads from the mean are unlike  {bundle.folder}")
    _check_complete(found)
    update_settings(bundle.folder, dssm={**bundle.settings.get("dssm", {}), **fitted})


def _calibrate_refiner(options) -> None:
    from HiDiffRefineLib.bundles import load_bundle, update_settings
    from HiDiffRefineLib.evaluation.calibration import calibrate
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline

    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device))
    with progress_bar() as progress:
        found = calibrate(pipeline, options.data, options.cases, progress, warn)
    temperature = round(found["temperature"], 3)
    folder = pipeline.refiner_bundle.folder
    before, after = found["ece_before"], found["ece_after"]
    print(f"temperature {temperature}  calibration error near borders {before:.3f} -> {after:.3f}  {folder}")
    _check_complete(found)
    update_settings(folder, temperature=temperature)


def _check_complete(found: dict) -> None:
    """Refuses to enter what lacks cases; it is printed all the same."""
    if found["left_out"]:
        warn("Nothing is entered into the bundle.")
    check_complete(found)
