"""How fast heads are drawn and learnt from.

    python Testing/benchmarks/synthesis.py HEADS.npy.xz [--batch 4] [--device cuda] [--compile]

HEADS.npy.xz: `train models/brain-mr/configs/train.json --pack DIR`. On a GPU, a draw that makes the host wait
for the device is an error.
"""

import argparse
import time
from pathlib import Path

import torch

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.head_maps import load_head_maps
from HiDiffRefineLib.training.synthesis import HeadSynthesis
from HiDiffRefineLib.training.synthetic import dice_and_cross_entropy

ROUNDS = 20


def rate(device: torch.device, batch: int, work, rounds: int) -> float:
    """Samples a minute of some work on a batch."""
    for _ in range(3):  # algorithms are chosen, code is compiled
        work()
    _wait(device)
    started = time.monotonic()
    for _ in range(rounds):
        work()
    _wait(device)
    return 60 * rounds * batch / (time.monotonic() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Prints samples a minute of drawing, and of drawing and learning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("heads", type=Path)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    device, batch = torch.device(options.device), options.batch
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    bundle, maps = load_bundle("brain-mr"), load_head_maps(options.heads)
    patch, spacing = bundle.patch_size_kji, bundle.working_spacing_kji_mm
    synthesis = HeadSynthesis(maps, maps.heads, patch, spacing, device, seed=0)
    synthesis.draw(batch)
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        synthesis.draw(batch)
        torch.cuda.set_sync_debug_mode("default")
    print(f"drawn    {rate(device, batch, lambda: synthesis.draw(batch), options.rounds):8.0f} a minute")
    network = build_network(*bundle.network("segmentor")).to(device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    criterion = dice_and_cross_entropy
    if options.compile:
        network.compile()
        criterion = torch.compile(criterion)

    def learn() -> None:
        images, labels = synthesis.draw(batch)
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last_3d))
        sum(criterion(logits, labels).values()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    print(f"learnt   {rate(device, batch, learn, options.rounds):8.0f} a minute")
    if device.type == "cuda":
        print(f"memory   {torch.cuda.max_memory_allocated(device) / 2**30:8.1f} GiB")


if __name__ == "__main__":
    main()
