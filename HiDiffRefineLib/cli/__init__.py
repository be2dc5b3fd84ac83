"""The command line: python -m HiDiffRefineLib."""
