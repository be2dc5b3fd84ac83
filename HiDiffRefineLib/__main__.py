import sys

try:
    from HiDiffRefineLib.cli.streams import STOPPED, prepare

    prepare()
    from HiDiffRefineLib.cli.main import main

    status = main()
except KeyboardInterrupt:  # before a command has begun, or after it
    print("Stopped.", file=sys.stderr)
    status = STOPPED
sys.exit(status)
