"""How long one edit takes, from the hint to the mask on the native grid, part by part, against volume size.

    python Testing/benchmarks/edit.py [--device cuda] [--sizes 128x128x128 …] [--radii 28 70] [--count 100]
                                      [--networks eager compile …]

README.md beside this file says what the columns mean. Needs torch, NumPy, MONAI and safetensors, no more.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from edit_parts import COLUMNS, split, synchronize
from edit_scene import HINTS, SPACING_KJI, WORKING_KJI, Scene
from torch.utils.flop_counter import FlopCounterMode

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.bundles import Bundle, models_folder
from HiDiffRefineLib.inference import edit
from HiDiffRefineLib.inference.graphs import RefinerGraphs
from HiDiffRefineLib.inference.models import autocast, load_network
from HiDiffRefineLib.inference.regions import edit_region
from HiDiffRefineLib.networks.refiner import CONDITION_CHANNELS

SIZES = ("128x128x128", "256x256x256", "200x512x512", "600x512x512")
WARM_UP = 3
NETWORKS = ("eager", "graphs", "compile")


def one_edit(network, chain, scene: Scene, n: int, patch_kji, steps: int) -> tuple[list[float], tuple]:
    """Edit number n: seconds from the hint to each preview on the host, and the native box's shape."""
    hints = scene.hints[: n % HINTS + 1]
    started, times = time.perf_counter(), []
    region = edit_region(hints[-1], scene.object_ras, WORKING_KJI, patch_kji)
    previews = edit.edit_steps(
        network, chain, scene.segment, scene.mask, hints, region, steps, 0, scene.locked
    )
    for preview in previews:
        times.append(time.perf_counter() - started)
        shape = preview.mask.shape
    return times, shape


def measure(network, chain, scene: Scene, patch_kji, steps: int, count: int) -> str:
    """One row of the table."""
    device = scene.segment.image.device
    first = one_edit(network, chain, scene, 0, patch_kji, steps)[0][-1]
    for n in range(1, WARM_UP):
        one_edit(network, chain, scene, n, patch_kji, steps)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    for n in range(count):
        seconds, box = one_edit(network, chain, scene, n, patch_kji, steps)
        times.append((seconds[0], seconds[-1]))
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    parts = [
        split(network, device, lambda n=n: one_edit(network, chain, scene, n, patch_kji, steps))
        for n in range(max(count // 5, 3))
    ]
    (first50, last50), (first95, last95) = np.percentile(times, [50, 95], axis=0) * 1e3
    row = f"{first50:8.1f}{first95:8.1f}{last50:8.1f}{last95:8.1f}  "
    row += "".join(f"{np.median([part[name] for part in parts]) * 1e3:10.1f}" for name in COLUMNS)
    return f"{'x'.join(map(str, box)):>13}{row}{first * 1e3:9.0f}{peak:8.0f}{resident:8.0f}"


def arithmetic(name: str, device: torch.device, ceiling: float) -> None:
    """Prints operations and time of a network's two parts, and their rate against a ceiling in FLOP/s."""
    network, settings = load(device)
    seen = torch.rand(1, CONDITION_CHANNELS, *settings["patch_size_kji"], device=device)
    prior, share = seen[:, :1].contiguous(), torch.ones(1, device=device)
    with torch.inference_mode(), autocast(device):
        features = network.encode(seen)
        flops = []
        for call in (lambda: network.encode(seen), lambda: network.denoise(prior, prior, share, features)):
            with FlopCounterMode(display=False) as counter:
                call()
            flops.append(counter.get_total_flops())
        timed = variant(name, device)
        calls = (lambda: timed.encode(seen), lambda: timed.denoise(prior, prior, share, features))
        for part, count, call in zip(("encode", "denoise"), flops, calls, strict=True):
            seconds = seconds_of(call, device)
            row = f"{count / 1e9:>8.1f}{seconds * 1e3:>9.2f}{count / seconds / 1e12:>9.2f}"
            print(f"{name:<16}{part:<10}{row}{count / seconds / ceiling:>9.1%}", flush=True)


def matmul_rate(device: torch.device) -> float:
    """FLOP/s of a large bf16 matrix product: what the device reaches, whatever its data sheet says."""
    size = 8192 if device.type == "cuda" else 2048
    factor = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return 2 * size**3 / seconds_of(lambda: factor @ factor, device)


def seconds_of(call: Callable, device: torch.device) -> float:
    """Median of single calls, the device waited for, after some to warm up."""
    times = []
    for _ in range(WARM_UP + (50 if device.type == "cuda" else 5)):
        synchronize(device)
        started = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return float(np.median(times[WARM_UP:]))


def load(device: torch.device) -> tuple[torch.nn.Module, dict]:
    """The shipped refiner and its bundle's settings, read without what only checks a manifest."""
    folder = models_folder() / "refiner"
    metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    bundle = Bundle("refiner", folder, metadata)
    return load_network(bundle, "refiner", device), bundle.settings


def variant(name: str, device: torch.device) -> torch.nn.Module | RefinerGraphs:
    """The shipped refiner, run in one of the ways of `NETWORKS`."""
    network, _ = load(device)
    if name == "graphs":
        return RefinerGraphs(network)
    if name == "compile":
        network.encode = torch.compile(network.encode)
        network.denoise = torch.compile(network.denoise)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="KxJxI", help="volumes, in voxels")
    parser.add_argument("--radii", nargs="+", type=float, default=[28, 70], metavar="MM")
    parser.add_argument("--count", type=int, help="edits timed a row (default 100, on a CPU 10)")
    parser.add_argument("--steps", type=int, help="reverse steps (default: the bundle's)")
    parser.add_argument("--networks", nargs="+", default=["eager"], choices=NETWORKS)
    parser.add_argument("--autotune", action="store_true", help="let cuDNN try its ways and keep the fastest")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = options.autotune
    count = options.count or (100 if device.type == "cuda" else 10)
    settings = load(device)[1]
    chain = BernoulliChain(settings["chain"]["T"], settings["chain"]["schedule"])
    steps, patch_kji = options.steps or settings["steps"], tuple(settings["patch_size_kji"])
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"region {patch_kji}, {steps} steps, {count} edits a row; ms and MiB\n")
    head = "".join(f"{name:>10}" for name in COLUMNS)
    print(f"{'':<36}{'box':>13}{'first preview':>16}{'last step':>16}")
    head = f"{'p50':>8}{'p95':>8}{'p50':>8}{'p95':>8}  {head}{'1st':>9}{'device':>8}{'host':>8}"
    print(f"{'network':<16}{'volume':<12}{'mm':>8}{'':>13}{head}")
    for name in options.networks:
        network = variant(name, device)
        for size in options.sizes:
            shape_kji = tuple(int(n) for n in size.split("x"))
            for radius in options.radii:
                if 2 * radius > (np.array(shape_kji) * SPACING_KJI).min():
                    continue
                scene = Scene(shape_kji, radius, device)
                row = tried(lambda n=network, s=scene: measure(n, chain, s, patch_kji, steps, count))
                print(f"{name:<16}{size:<12}{radius:>8g}{row}", flush=True)
                del scene
    ceiling = matmul_rate(device)
    print(f"\nproduct of two large bf16 matrices: {ceiling / 1e12:.2f} TFLOP/s")
    print(f"{'network':<16}{'part':<10}{'GFLOP':>8}{'ms':>9}{'TFLOP/s':>9}{'of that':>9}")
    for name in options.networks:
        print(tried(lambda n=name: arithmetic(n, device, ceiling)) or "", end="")


def tried(call: Callable) -> str | None:
    """What a call returns, or why it failed: one way to run the network need not spoil the others' rows."""
    try:
        return call()
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        return f"  {type(error).__name__}: {said}"


if __name__ == "__main__":
    main()
