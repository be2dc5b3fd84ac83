"""Iterations a second of the refiner's training, by network size, batch and compilation, on a GPU.

    python Testing/benchmarks/refiner_training.py [--channels 24,40,64,96 …] [--batch 4 8] [--eager]

One iteration is encode, one denoising step, the losses' backward pass and the optimiser's step on random
patches that lie on the device already: what the network alone costs.
"""

import argparse
import time

import torch

from HiDiffRefineLib.inference.refiner import condition
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.training.refiner import mask_loss

PATCH_KJI = (48, 96, 96)


def iterations_per_second(network, batch: int, compiled: bool, count: int) -> tuple[float, float]:
    """Iterations a second, and seconds before the first one is done."""
    network = network.cuda().to(memory_format=torch.channels_last_3d).train()
    if compiled:
        network.encoder.compile()
        network.denoiser.compile()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    image, prior, others = torch.rand(3, batch, 1, *PATCH_KJI, device="cuda")
    truth = (prior > 0.5).float()

    def iteration():
        with torch.autocast("cuda", torch.bfloat16):
            features = network.encode(condition(image, prior, others))
            logits = network.denoise(truth, prior, prior.new_ones(batch), features)
        optimizer.zero_grad(set_to_none=True)
        sum(mask_loss(logits.float(), truth, 0 * truth).values()).backward()
        optimizer.step()
        torch.cuda.synchronize()

    started = time.monotonic()
    iteration()
    first = time.monotonic() - started
    for _ in range(5):
        iteration()
    started = time.monotonic()
    for _ in range(count):
        iteration()
    return count / (time.monotonic() - started), first


def main() -> None:
    """Prints one row a size, batch and mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", nargs="+", default=["24,40,64,96", "32,48,64,96", "16,32,64,96"])
    parser.add_argument("--batch", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--eager", action="store_true", help="not compiled")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    print(f"{torch.cuda.get_device_name()}, patch {PATCH_KJI}, {'eager' if options.eager else 'compiled'}")
    print(f"{'channels':<16}{'batch':>6}{'it/s':>8}{'patches/s':>11}{'first s':>9}{'GiB':>6}")
    for channels in options.channels:
        for batch in options.batch:
            torch.cuda.reset_peak_memory_stats()
            network = BernoulliRefiner(channels=tuple(map(int, channels.split(","))))
            rate, first = iterations_per_second(network, batch, not options.eager, options.count)
            peak = torch.cuda.max_memory_allocated() / 2**30
            row = f"{channels:<16}{batch:>6}{rate:>8.1f}{rate * batch:>11.0f}{first:>9.1f}{peak:>6.1f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
