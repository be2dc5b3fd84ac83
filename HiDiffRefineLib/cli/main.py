"""Commands, their arguments, and how errors reach the user."""

import argparse
import io
import os
import sys

from HiDiffRefineLib import __version__
from HiDiffRefineLib.cli import (
    bundles,
    calibrate,
    evaluate,
    export_dicom,
    import_dicom,
    refine,
    segment,
    train,
)
from HiDiffRefineLib.errors import MAKE_ROOM, MEMORY_FULL, HiDiffRefineError, is_memory_full

COMMANDS = (bundles, segment, refine, export_dicom, import_dicom, evaluate, calibrate, train)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        the exit status: 0 done, 1 refused with a sentence, 130 stopped by Ctrl+C, 141 output unread.
    """
    # A log file on Windows lacks most letters: the name of a segment must not end the work.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="python -m HiDiffRefineLib", description="Segment and refine volumes."
    )
    parser.add_argument("--version", action="version", version=f"HiDiffRefine {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    options = parser.parse_args(_with_bound_regions(sys.argv[1:] if arguments is None else arguments))
    try:
        options.run(options)
        sys.stdout.flush()
    except HiDiffRefineError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # Such as head, which has enough. Python's own last words would go there too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        if not is_memory_full(error):
            raise
        print(f"Error: {MEMORY_FULL} {MAKE_ROOM}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


def _with_bound_regions(arguments: list[str]) -> list[str]:
    """--roi -28,... as --roi=-28,..., which argparse would take for an option."""
    bound = []
    for argument in arguments:
        if bound and bound[-1] == "--roi":
            bound[-1] = f"--roi={argument}"
        else:
            bound.append(argument)
    return bound
