import sys

from HiDiffRefineLib.cli.main import main

sys.exit(main())
