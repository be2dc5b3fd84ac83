"""bundles: what models there are, what they may be used for and how good they are."""

import sys


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("bundles", help="list the model bundles")
    parser.set_defaults(run=run)


def run(options) -> None:
    """Prints every bundle; broken ones go to stderr."""
    from HiDiffRefineLib.bundles import list_bundles

    bundles, errors = list_bundles()
    for bundle in bundles:
        settings = bundle.settings
        print(f"{bundle.name} ({bundle.kind}): {bundle.metadata['task']}")
        if bundle.labels:
            print(f"  labels    {', '.join(label.name for label in bundle.labels)}")
        print(f"  training  {'; '.join(map(_training, settings['training_data']))}")
        for name, row in (settings.get("validation") or {}).get("rows", {}).items():
            print(f"  {name:<16}Dice {row['dice']['mean']:.3f}  HD95 {row['hd95_mm']['mean']:.1f} mm")
        print(f"  licence   {settings['license']}{' - research use only' if bundle.research_only else ''}")
        print(f"  limits    {settings['limits']}")
    for error in errors:
        print(f"Error: {error}", file=sys.stderr)


def _training(data: dict) -> str:
    return f"{data['name']} ({data['cases']} cases)"
