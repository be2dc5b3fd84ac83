"""Affines and labels that several tests use."""

import numpy as np

from HiDiffRefineLib.volumes.labels import Code, Label


def affine(spacing=(1.0, 1.0, 1.0), degrees=(0.0, 0.0, 0.0), flips=(1, 1, 1), origin=(0.0, 0.0, 0.0)):
    """4×4 from (i, j, k, 1) to RAS mm: axes flipped, scaled by mm, turned about R, A and S, then moved."""
    turned = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[a, b], [a, b]] = np.cos(angle)
        turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
        turned = turn @ turned
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = turned * (np.array(flips) * spacing)
    ijk_to_ras[:3, 3] = origin
    return ijk_to_ras


OBLIQUE_LAS = affine((0.8, 0.9, 2.5), (10, -20, 30), (-1, 1, 1), (5.0, -60.25, 7.0))

ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
SPLEEN = Label(1, "Spleen", (157, 108, 162), ANATOMY, Code("SCT", "78961009", "Spleen"))
KIDNEY = Code("SCT", "64033007", "Kidney")
LEFT_KIDNEY = Label(3, "Left kidney", (185, 102, 83), ANATOMY, KIDNEY, Code("SCT", "7771000", "Left"))
