"""python -m HiDiffRefineLib, and the console script hidiffrefine."""

import sys


def run() -> None:
    """Runs the command line and ends with its exit status."""
    try:
        from HiDiffRefineLib.cli.streams import STOPPED, prepare

        prepare()
        from HiDiffRefineLib.cli.main import main

        status = main()
    except KeyboardInterrupt:  # before a command has begun, or after it
        print("Stopped.", file=sys.stderr)
        status = STOPPED
    sys.exit(status)


if __name__ == "__main__":
    run()
