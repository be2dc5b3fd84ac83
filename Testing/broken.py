"""Broken and odd inputs of all kinds: python -m Testing.broken COUNT SEED FOLDER

COUNT of each kind. Prints what they came to, as the table of docs/ways-in-and-out.md; what something was
wrong with stays in the folder, and the exit status is 1. The tests take a few of each, or HIDIFF_BROKEN many.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from Testing.bundles.broken import bundles
from Testing.cli.broken import commands
from Testing.dicom.broken import broken_files
from Testing.dicom.odd import odd_exports
from Testing.scene.broken import scenes
from Testing.tally import Tally
from Testing.volumes.broken import hints, images
from Testing.volumes.odd import odd_images

KINDS: dict[str, Callable[[int, int, Path], dict[str, Tally]]] = {
    "images": lambda *told: {
        "generated: odd NIfTI, NRRD, MetaImage": odd_images(*told),
        "images, masks, maps of probabilities": images(*told),
    },
    "hints": lambda *told: {"hints": hints(*told)},
    "exports": lambda *told: {"generated: exports of odd series, read back": odd_exports(*told)},
    "dicom": lambda *told: broken_files(*told),
    "bundles": lambda *told: {"weights and manifests": bundles(*told)},
    "scenes": lambda count, seed, _: {"scenes": scenes(count, seed)},
    "commands": lambda *told: {"command lines": commands(*told)},
}


def main(count: int, seed: int, folder: Path) -> int:
    total, wrong = Tally(), []
    print("| kind | inputs | read or done | refused in a sentence | wrong | s |\n|---|---|---|---|---|---|")
    for name, run in KINDS.items():
        place = folder / name
        place.mkdir(parents=True)
        started = time.monotonic()
        for kind, tally in run(count, seed, place).items():
            if tally is not None:  # slicer-core may not be installed
                _row(kind, tally, time.monotonic() - started)
                total.read, total.refused = total.read + tally.read, total.refused + tally.refused
                wrong += tally.wrong
    total.wrong = wrong
    _row("all", total)
    print("\n".join(wrong))
    return 1 if wrong else 0


def _row(kind: str, tally: Tally, seconds: float | None = None) -> None:
    time_s = "" if seconds is None else f"{seconds:.0f}"
    counts = f"{tally.inputs} | {tally.read} | {tally.refused} | {len(tally.wrong)}"
    print(f"| {kind} | {counts} | {time_s} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
