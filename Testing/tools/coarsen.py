"""Packs cases anew with fewer grey values, so that they travel: coarsen.py ARCHIVE OUT --bits 6."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from HiDiffRefineLib.training.cases import load_cases, save_cases


def coarser(image: np.ndarray, bits: int) -> np.ndarray:
    """uint8 values in the middle of 2^bits steps; 0 stays, since it is air or padding."""
    step = 1 << (8 - bits)
    return np.where(image > 0, image // step * step + step // 2, 0).astype(np.uint8)


def main() -> None:
    """Reads the arguments and packs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bits", type=int, default=6, choices=range(1, 9))
    parser.add_argument("--every", type=int, default=1, help="keeps every n-th case")
    options = parser.parse_args()
    cases = load_cases(options.archive)[:: options.every]
    save_cases(options.out, [replace(case, image=coarser(case.image, options.bits)) for case in cases])


if __name__ == "__main__":
    main()
