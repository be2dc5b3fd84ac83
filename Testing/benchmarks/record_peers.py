"""Enters the peers' rows into the table of the same sessions that a bundle has recorded.

    python Testing/benchmarks/record_peers.py FILE … --bundle models/abdomen-ct

FILE is what peers.py wrote with --json. The bundle must hold the table of `evaluate --hints … --record` with
the same cases, prior, robot and number of hints; its metadata.json and its model card then show all rows.
"""

import argparse
import json
import sys
from pathlib import Path

from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.evaluation.record import add_to_hints


def main() -> None:
    parser = argparse.ArgumentParser(description="enter the peers' rows into a bundle's table of hints")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="of peers.py --json")
    parser.add_argument("--bundle", type=Path, required=True, help="folder or name of the bundle")
    options = parser.parse_args()
    for file in options.files:
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
            add_to_hints(options.bundle, result, result["command"])
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"{file} holds no figures of peers.py ({error}).")
        except HiDiffRefineError as error:
            sys.exit(f"{file}: {error}")


if __name__ == "__main__":
    main()
