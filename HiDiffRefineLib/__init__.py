"""HiDiffRefine: interactive refinement of segmentation masks by Bernoulli diffusion."""

__version__ = "0.1.0"
