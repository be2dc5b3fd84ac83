"""Commands, their arguments, and how errors reach the user."""

import argparse
import errno
import io
import sys
from pathlib import Path

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
from HiDiffRefineLib.cli.streams import STOPPED, give_up_output
from HiDiffRefineLib.errors import MAKE_ROOM, MEMORY_FULL, HiDiffRefineError, is_memory_full

UNREAD = 141
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
        return 0
    except HiDiffRefineError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # such as head, which has enough
        give_up_output()
        return UNREAD
    except (MemoryError, RuntimeError, OSError) as error:
        if is_memory_full(error):
            print(f"Error: {MEMORY_FULL} {MAKE_ROOM}", file=sys.stderr)
        elif isinstance(error, OSError) and isinstance(error.filename, str):
            print(f"Error: {Path(error.filename).name}: {error.strerror}.", file=sys.stderr)
        elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            # Files have sentences of their own: what is left is the standard output.
            print(f"Error: The standard output can't be written ({error.strerror}).", file=sys.stderr)
            give_up_output()
        else:
            raise
        return 1


def _with_bound_regions(arguments: list[str]) -> list[str]:
    """--roi -28,... as --roi=-28,..., which argparse would take for an option."""
    bound = []
    for argument in arguments:
        if bound and bound[-1] == "--roi":
            bound[-1] = f"--roi={argument}"
        else:
            bound.append(argument)
    return bound
