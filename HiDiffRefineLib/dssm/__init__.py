"""DSSM: segmentation from the joint distribution of classes and features.

Built from a paper's abstract alone; README.md beside this file says which parts are the abstract's, which
come from related work and which are ours. Arrays are (B, C, k, j, i); a 2-D network has flat kernels, k = 1.
"""

from HiDiffRefineLib.dssm.inference import Answer, markov_steps
from HiDiffRefineLib.dssm.network import DSSM

__all__ = ["DSSM", "Answer", "markov_steps"]
