"""Number formats of the kernel algebra, whatever the network runs in."""

import torch


def as_float(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors in float64 if one of them is float64, in float32 otherwise.

    bfloat16 rounds every probability within 0.002 of 1 to exactly 1, which locks a chain for good.
    """
    dtype = torch.float64 if any(x.dtype == torch.float64 for x in tensors) else torch.float32
    return tuple(x.to(dtype) for x in tensors)


def coefficient(value: float | torch.Tensor, like: torch.Tensor) -> float | torch.Tensor:
    """A schedule coefficient ready to be multiplied with ``like``: rounded last, after its own algebra."""
    if isinstance(value, torch.Tensor):
        # In two calls, since MPS has no float64 to pass through.
        return value.to(like.dtype).to(like.device)
    return value
