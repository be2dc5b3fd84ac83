"""Bernoulli diffusion between a segmentation (t = 0) and a segmentor's prior (t = T).

HiDiff, arXiv 2407.03548: https://arxiv.org/abs/2407.03548
"""

from HiDiffRefineLib.bernoulli import categorical, kernels
from HiDiffRefineLib.bernoulli.chain import BernoulliChain, step_kernel
from HiDiffRefineLib.bernoulli.kernels import clamp_prior, draw
from HiDiffRefineLib.bernoulli.losses import kl_divergence_bernoulli, posterior_kl
from HiDiffRefineLib.bernoulli.sampler import reverse, seeded_noise
from HiDiffRefineLib.bernoulli.schedules import SCHEDULES, alpha_bar

__all__ = [
    "SCHEDULES",
    "BernoulliChain",
    "alpha_bar",
    "categorical",
    "clamp_prior",
    "draw",
    "kernels",
    "kl_divergence_bernoulli",
    "posterior_kl",
    "reverse",
    "seeded_noise",
    "step_kernel",
]
