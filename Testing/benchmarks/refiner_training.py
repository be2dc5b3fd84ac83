"""How fast the refiner trains on a GPU, by batch and compilation.

    python Testing/benchmarks/refiner_training.py [--batch 4 8] [--eager] [--count 20]

Whole editing sessions as in training, on random blobs that lie on the device already: answers, hints, the
losses' backward pass and the optimiser's steps, without the drawing of patches.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.training.refiner import chain_losses

PATCH_KJI = (48, 96, 96)
ROW = "{:>6}{:>12}{:>12}{:>12}{:>9}{:>7}"


def blobs(batch: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Image, prior, others and truth, each (batch, 1, *PATCH_KJI): wavy balls, an image of noise."""
    k, j, i = (torch.linspace(-1, 1, n, device="cuda") for n in PATCH_KJI)
    radius = (k[:, None, None] ** 2 + j[:, None] ** 2 + i**2).sqrt()
    coarse = torch.randn(2, batch, 1, 6, 12, 12, device="cuda", generator=generator)
    prior, truth = (
        0.6 - radius + 0.2 * F.interpolate(waves, PATCH_KJI, mode="trilinear") for waves in coarse
    )
    return [torch.rand_like(prior), torch.sigmoid(20 * prior), torch.zeros_like(prior), (truth > 0).float()]


def measure(batch: int, compiled: bool, count: int) -> str:
    """One row of the table."""
    torch.cuda.reset_peak_memory_stats()
    network = BernoulliRefiner().cuda().to(memory_format=torch.channels_last_3d).train()
    asked = 0
    autocast = torch.autocast("cuda", torch.bfloat16)
    network.encode, denoise = autocast(network.encode), autocast(network.denoise)

    def counted(*parts):
        nonlocal asked
        asked += 1
        return denoise(*parts)

    network.denoise = counted
    if compiled:
        network.encoder.compile()
        network.denoiser.compile()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    generator, chain = torch.Generator("cuda").manual_seed(0), BernoulliChain(10, "cosine")
    parts = blobs(batch, generator)

    def run(number: int) -> float:
        rng, started = np.random.default_rng(0), time.monotonic()
        for _ in range(number):
            for terms in chain_losses(network, chain, rng, *parts):
                optimizer.zero_grad(set_to_none=True)
                sum(terms.values()).backward()
                optimizer.step()
        torch.cuda.synchronize()
        return time.monotonic() - started

    first = run(5)
    asked = 0
    seconds = run(count)
    peak = torch.cuda.max_memory_allocated() / 2**30
    rates = [count / seconds, batch * count / seconds, batch * asked / seconds]
    return ROW.format(batch, *(f"{rate:.1f}" for rate in rates), f"{first:.0f}", f"{peak:.1f}")


def main() -> None:
    """Prints one row a batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--eager", action="store_true", help="not compiled")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    mode = "eager" if options.eager else "compiled"
    print(f"{torch.cuda.get_device_name()}, patch {PATCH_KJI}, {mode}")
    print(ROW.format("batch", "sessions/s", "samples/s", "answers/s", "first s", "GiB"))
    for batch in options.batch:
        print(measure(batch, not options.eager, options.count), flush=True)


if __name__ == "__main__":
    main()
