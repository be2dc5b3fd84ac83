"""The step of the chain as the denoiser sees it: sines and cosines of many wavelengths."""

import math

import torch

# The longest wavelength is this many times 2π steps.
LONGEST = 10_000


def step_embedding(steps: torch.Tensor, width: int) -> torch.Tensor:
    """cos(s f_n), then sin(s f_n), with f_n = LONGEST^(-n / h), n = 0 … h - 1, h = width // 2.

    DDPM (arXiv 2006.11239, appendix B) after the Transformer's positions (arXiv 1706.03762, section 3.5).
    Order and exponent are those of MONAI's `get_timestep_embedding`, to the last bit: weights were trained
    with it. It is not imported because all of MONAI comes along, more than the time that torch takes.

    Args:
        steps: (B,) float.
        width: of the embedding; the last entry of an odd one is 0.

    Returns:
        float32 (B, width).
    """
    half = width // 2
    exponents = -math.log(LONGEST) * torch.arange(half, dtype=torch.float32, device=steps.device)
    angles = steps.float()[:, None] * torch.exp(exponents / half)
    embedding = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
    return torch.nn.functional.pad(embedding, (0, width % 2))
