"""What fits into the memory that is free, before a run, and what a GPU cannot do."""

from math import prod

import torch

from HiDiffRefineLib.errors import is_memory_full

GPU_FULL = "The GPU is full; this runs on the processor and takes longer."
GPU_LACKS = "The GPU lacks an operation that this needs; this runs on the processor and takes longer."
# Windows at a time on a GPU: more are no faster.
MOST_WINDOWS = 4
# Peak memory of a forward pass, bytes per voxel of a window: 353 in bfloat16 and twice that in float32 by
# torch's profiler for the segmentors that are shipped; cuDNN's workspaces come on top.
WINDOW_BYTES = 800
# The stitched logits in float32, then their softmax in float16, and the weights of the windows.
STITCH_BYTES_PER_LABEL = 8
# What the driver and other programs may take in the meantime.
MARGIN = 0.9


def window_batch(device: torch.device, shape_kji, patch_kji, labels: int) -> int:
    """How many windows of a segmentor to run at a time.

    Args:
        shape_kji: of the working grid.
        patch_kji: of a window.
        labels: background included.

    Raises:
        torch.cuda.OutOfMemoryError: not even one fits.
    """
    if device.type != "cuda":
        return 1
    free = MARGIN * free_bytes(device) - STITCH_BYTES_PER_LABEL * labels * prod(shape_kji)
    fitting = int(free // (WINDOW_BYTES * prod(patch_kji)))
    if fitting < 1:
        raise torch.cuda.OutOfMemoryError(f"{free / 2**20:.0f} MiB are left for a window")
    return min(fitting, MOST_WINDOWS)


def why_on_processor(error: Exception) -> str | None:
    """What to say of an error of a GPU where the processor can do the same; None of any other error."""
    if isinstance(error, NotImplementedError):  # as torch says it on Apple's
        return GPU_LACKS
    return GPU_FULL if is_memory_full(error) else None


def free_bytes(device: torch.device) -> int:
    """Memory of a CUDA device that this process can still have, torch's own reserve included."""
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reserve
