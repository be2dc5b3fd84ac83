"""Where the time of a training step on editing sessions goes.

    python Testing/benchmarks/session_training.py --cases ARCHIVE [--batch 12] [--eager] [--device cuda]

One table: the card's matrix product and the network's convolutions against it, forward and backward passes of
the whole network, then the parts of a session, each alone. ARCHIVE is packed by `train --pack`.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from HiDiffRefineLib.networks.edit_refiner import CONDITION_CHANNELS, EditRefiner
from HiDiffRefineLib.networks.evidence import hint_evidence
from HiDiffRefineLib.training.cases import load_cases
from HiDiffRefineLib.training.device_volumes import device_volume
from HiDiffRefineLib.training.edit_samples import EditSamples
from HiDiffRefineLib.training.edit_sessions import (
    SessionHints,
    answer_losses,
    condition_of,
    give_hint,
    merged,
)
from HiDiffRefineLib.training.session_loop import optimizers

MATRIX = 8192
# Widths of convolutions, and sides of the cubes that they see at a patch of 48 × 96 × 96.
CONVOLUTIONS = ((48, 48), (64, 48), (96, 24), (192, 12), (256, 6))


def timed(device: torch.device, call: Callable[[], object], count: int) -> float:
    """Seconds a call, after two calls to warm up."""
    for n in range(count + 2):
        if n == 2:
            _wait(device)
            started = time.perf_counter()
        call()
    _wait(device)
    return (time.perf_counter() - started) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def row(name: str, seconds: float, tflop: float = 0.0, rate: float = 0.0) -> float:
    """Prints one row; the rate in TFLOP/s."""
    reached = tflop / seconds
    share = f"{reached:9.0f}{reached / rate:8.0%}" if rate else f"{reached:9.0f}" if tflop else ""
    print(f"{name:34s}{1000 * seconds:9.1f}{share}", flush=True)
    return reached


def convolution_rows(device: torch.device, batch: int, count: int, matrix: int) -> float:
    """The matrix product, and every convolution forward and backward; the product's rate."""
    x = torch.randn(matrix, matrix, device=device, dtype=torch.bfloat16)
    rate = row(f"matrix product {matrix}", timed(device, lambda: x @ x, count), 2e-12 * matrix**3)
    for width, side in CONVOLUTIONS:
        layer = nn.Conv3d(width, width, 3, padding=1, bias=False).to(device, torch.bfloat16)
        layer = layer.to(memory_format=torch.channels_last_3d)
        shown = torch.randn(batch, width, side, side, side, device=device, dtype=torch.bfloat16)
        shown = shown.to(memory_format=torch.channels_last_3d).requires_grad_()
        tflop = 3 * 2e-12 * 27 * width**2 * side**3 * batch

        def step(layer=layer, shown=shown):
            layer(shown).backward(shown.detach())

        row(f"convolution {width} at {side}, both ways", timed(device, step, count), tflop, rate)
    return rate


def network_row(device: torch.device, batch: int, patch_kji, count: int, compiled: bool, rate: float) -> None:
    """One forward and backward pass and the optimisers' step, of one reverse step."""
    network = EditRefiner().to(device, memory_format=torch.channels_last_3d)
    parts = optimizers(network, 1e-4, 0.01)
    condition = torch.rand(batch, CONDITION_CHANNELS, *patch_kji, device=device)
    condition = condition.contiguous(memory_format=torch.channels_last_3d)
    mask, t = (condition[:, :1] > 0.5).float(), torch.rand(batch, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.denoise(mask[:1], mask[:1], t[:1], network.encode(condition[:1]))
    if compiled:
        network.encoder.compile()
        network.denoiser.compile()

    def learn():
        with torch.autocast(device.type, torch.bfloat16):
            logits = network.denoise(mask, mask, t, network.encode(condition))
            F.binary_cross_entropy_with_logits(logits, mask).backward()

    def step():
        for part in parts:
            part.step()

    tflop = 3e-12 * counter.get_total_flops() * batch
    row(f"network, both ways, batch {batch}", timed(device, learn, count), tflop, rate)
    row("optimisers' step", timed(device, step, count))


def session_rows(samples: EditSamples, batch: int, count: int) -> None:
    """The parts of a session."""
    device, rng = samples.device, np.random.default_rng(0)
    found = samples.batch(batch)
    mask, hints = (found.prior > 0.5).float(), SessionHints(found.prior)
    give_hint(hints, mask, found.truth, rng)
    said, told = torch.rand_like(mask), torch.ones(batch, device=device)
    parts = {
        "samples": partial(samples.batch, batch),
        "hint": lambda: give_hint(SessionHints(mask), mask, found.truth, rng),
        "evidence of the hint": partial(hint_evidence, found.image, hints.newest),
        "condition": partial(condition_of, found, mask, hints),
        "merge": partial(merged, hints, mask, said),
        "losses": partial(answer_losses, said, found.truth, mask, hints, told, True),
    }
    with torch.no_grad():
        for name, call in parts.items():
            row(name, timed(device, call, count))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--patch", type=int, nargs=3, default=(48, 96, 96))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--matrix", type=int, default=MATRIX)
    parser.add_argument("--eager", action="store_true", help="not compiled")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True
    print(f"{'':34s}{'ms':>9s}{'TFLOP/s':>9s}{'share':>8s}")
    rate = convolution_rows(device, options.batch, options.count, options.matrix)
    network_row(device, options.batch, options.patch, options.count, not options.eager, rate)
    rng = np.random.default_rng(0)
    volumes = [device_volume(case, device, rng) for case in load_cases(options.cases)]
    session_rows(EditSamples([volumes], [1], options.patch, device, 0), options.batch, options.count)


if __name__ == "__main__":
    main()
