"""bundles: what models there are and how good they are; bundles import: one more, from elsewhere."""

import argparse
import sys
from pathlib import Path


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("bundles", help="list the model bundles, or import one")
    parser.set_defaults(run=run)
    more = parser.add_subparsers(metavar="import")
    importing = more.add_parser("import", help="make a bundle of a segmentor from elsewhere")
    importing.set_defaults(run=run_import)
    importing.add_argument(
        "source",
        type=Path,
        help="folder or .zip: a MONAI bundle as in the Model Zoo, or results of nnU-Net v2",
    )
    importing.add_argument("--name", help="of the new bundle (default: that of the folder or zip)")
    importing.add_argument(
        "--labels", nargs="+", metavar="NAME", help="of the network's labels, in order, without background"
    )
    importing.add_argument(
        "--spacing", type=three(float), metavar="I,J,K", help="voxel size that the network works at, mm"
    )
    importing.add_argument(
        "--patch", type=three(int), metavar="I,J,K", help="voxels that the network sees at a time"
    )
    importing.add_argument("--modality", choices=("CT", "MR"), help="what images the network is for")
    importing.add_argument(
        "--channels",
        choices=("softmax", "sigmoid"),
        help="whether labels exclude each other, background first, or stand alone",
    )
    importing.add_argument("--fold", help="of results of nnU-Net, for instance 0 or all")
    importing.add_argument(
        "--models",
        type=Path,
        help="folder that the bundle comes to lie in (default: where bundles are found)",
    )


def three(kind: type):
    """A reader of "I,J,K", three numbers above 0."""

    def read(text: str) -> tuple:
        try:
            values = tuple(kind(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != 3 or not all(0 < value < 1e4 for value in values):
            raise argparse.ArgumentTypeError(f"'{text}' is not three numbers above 0, for instance 1,1,2")
        return values

    return read


def run_import(options) -> None:
    """Makes a bundle and says what it was taken for."""
    from HiDiffRefineLib.foreign.importing import import_bundle
    from HiDiffRefineLib.foreign.model import Given

    given = Given(
        labels=options.labels,
        spacing_ijk_mm=options.spacing,
        patch_ijk=options.patch,
        modality=options.modality,
        channels=options.channels,
        fold=options.fold,
    )
    bundle = import_bundle(options.source, given, options.name, options.models)
    rules = bundle.settings["imported"]
    network = bundle.settings["networks"]["segmentor"]["arguments"]
    spacing = " × ".join(f"{step:g}" for step in bundle.working_spacing_kji_mm[::-1])
    patch = " × ".join(str(size) for size in bundle.patch_size_kji[::-1])
    print(f"Imported '{bundle.name}' from a {rules['from']} into {bundle.folder}.")
    print(f"  labels    {', '.join(label.name for label in bundle.labels)}")
    print(f"  network   {network['network']}, {network['channels']}, {bundle.settings['modality']}")
    print(f"  image     axes {rules.get('axes', 'as stored')}, {spacing} mm, windows of {patch} voxels")
    print(f"  steps     {'; '.join(map(_step, rules['steps']))}")
    print(f"  limits    {bundle.settings['limits']}")
    print(
        f"Try it: python -m HiDiffRefineLib segment IMAGE --bundle {_address(bundle)} --output mask.seg.nrrd"
    )


def _address(bundle) -> str:
    from HiDiffRefineLib.bundles import models_folder

    here = bundle.folder.parent == models_folder().resolve()
    return f"'{bundle.name if here else bundle.folder}'"


def _step(step: dict) -> str:
    what = ", ".join(f"{key} {value}" for key, value in step.items() if key != "step")
    return f"{step['step']} ({what})" if what else step["step"]


def run(options) -> None:
    """Prints every bundle; broken ones go to stderr."""
    from HiDiffRefineLib.bundles import list_bundles

    bundles, errors = list_bundles()
    for bundle in bundles:
        settings = bundle.settings
        print(f"{bundle.name} ({bundle.kind}): {bundle.metadata['task']}")
        if bundle.labels:
            print(f"  labels    {', '.join(label.name for label in bundle.labels)}")
        print(f"  training  {'; '.join(map(_training, settings['training_data'])) or 'not told'}")
        for name, row in (settings.get("validation") or {}).get("rows", {}).items():
            print(f"  {name:<16}Dice {row['dice']['mean']:.3f}  HD95 {row['hd95_mm']['mean']:.1f} mm")
        print(f"  licence   {settings['license']}{' - research use only' if bundle.research_only else ''}")
        print(f"  limits    {settings['limits']}")
    for error in errors:
        print(f"Error: {error}", file=sys.stderr)


def _training(data: dict) -> str:
    return f"{data['name']} ({data['cases']} cases)"
