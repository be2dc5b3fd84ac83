"""The optimisation loop that every training shares: Fabric, AdamW, warm-up and cosine, EMA, resuming."""

import json
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from math import cos, isfinite, pi
from pathlib import Path

import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.volumes.new_files import new_files, write_whole

WARMUP_SHARE = 0.03
LOG_EVERY = 50
CHECKPOINT_SECONDS = 120


def make_fabric(config: TrainConfig) -> Fabric:
    """Fabric on the configured devices, every random generator seeded."""
    fabric = Fabric(devices=config.devices, precision=config.precision)
    fabric.launch()
    fabric.seed_everything(config.seed + fabric.global_rank)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    return fabric


def learning_rate_share(progress: float) -> float:
    """Share of the peak learning rate at a progress of 0…1: linear warm-up, then half a cosine."""
    if progress < WARMUP_SHARE:
        return progress / WARMUP_SHARE
    return 0.5 * (1 + cos(pi * (progress - WARMUP_SHARE) / (1 - WARMUP_SHARE)))


def fit(
    fabric: Fabric,
    config: TrainConfig,
    network: nn.Module,
    batches: Iterable,
    losses: Callable[[nn.Module, object], Iterable[dict[str, torch.Tensor]]],
    methods: tuple[str, ...] = (),
    compiled: tuple[nn.Module, ...] = (),
) -> nn.Module:
    """Trains `network` in place and returns it with its averaged (EMA) weights.

    Leaves in config.output `weights.safetensors` (EMA, fp16), `log.json`, `curves.png` and `checkpoint.pt`
    (weights, optimiser and schedule: found there at the start, training goes on from it; the patches are
    drawn anew).

    Args:
        batches: endless; on the fabric's device.
        losses: (network, batch) → named terms, once or more; each time the optimiser makes a step down their
            sum before it asks for the next.
        methods: methods of the network besides forward that `losses` calls.
        compiled: parts of the network to compile; none for the network as one.
    """
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    if config.warm_start:
        load_half(network, config.warm_start)
    network = network.to(fabric.device, memory_format=torch.channels_last_3d)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
    if config.compile:
        for module in compiled or [network]:
            module.compile()
    decay = config.weight_decay
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=decay)
    wrapped, optimizer = fabric.setup(network, optimizer)
    for method in methods:
        wrapped.mark_forward_method(method)

    iteration, spent, log = 0, 0.0, []
    if (output / "checkpoint.pt").is_file():
        state = torch.load(output / "checkpoint.pt", map_location=fabric.device, weights_only=True)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        iteration, spent, log = state["iteration"], state["spent"], state["log"]

    def save() -> None:
        if fabric.global_rank:
            return
        state = {"network": network.state_dict(), "averaged": averaged.state_dict(), "iteration": iteration}
        state |= {"optimizer": optimizer.state_dict(), "spent": spent, "log": log}
        packed = BytesIO()
        torch.save(state, packed)
        write_whole(output / "checkpoint.pt", packed.getvalue())
        save_half(averaged.module, output / "weights.safetensors")
        write_whole(output / "log.json", json.dumps(log).encode())

    saved = time.monotonic()
    started = saved - spent
    bar = tqdm(total=100, unit="%", desc=output.name, disable=fabric.global_rank > 0, mininterval=5)
    try:
        for batch in batches:
            spent = time.monotonic() - started
            progress = fabric.broadcast(max(iteration / config.iterations, spent / (60 * config.minutes)))
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * learning_rate_share(progress)
            wrapped.train()
            steps = []
            for terms in losses(wrapped, batch):
                optimizer.zero_grad(set_to_none=True)
                fabric.backward(sum(terms.values()))
                norm = fabric.clip_gradients(wrapped, optimizer, max_norm=1.0, error_if_nonfinite=False)
                # A single bad batch must not end hours of training.
                if norm.isfinite():
                    optimizer.step()
                    averaged.update_parameters(network)
                steps.append({name: term.detach() for name, term in terms.items()})
            if iteration % LOG_EVERY == 0:
                values = {name: float(term) for name, term in mean_terms(steps).items()}
                if not all(isfinite(value) for value in values.values()):
                    fault = f"The loss is not a number at iteration {iteration}."
                    raise ConfigError(fault, "Lower learning_rate.")
                log.append({"iteration": iteration, **values})
                bar.n = round(100 * progress, 1)
                bar.set_postfix({name: f"{value:.3f}" for name, value in values.items()}, it=iteration)
            iteration += 1
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                save()
    except KeyboardInterrupt:
        save()
        raise
    bar.close()
    save()
    plot_curves(log, output / "curves.png")
    return averaged.module


def mean_terms(steps: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of each named term."""
    return {name: torch.stack([terms[name] for terms in steps]).mean() for name in steps[0]}


def save_half(network: nn.Module, path: Path) -> None:
    """The network's weights as fp16 safetensors, contiguous, whatever the memory format in training."""
    state = network.state_dict()
    write_whole(path, save({k: v.detach().cpu().contiguous().half() for k, v in state.items()}))


def load_half(network: nn.Module, path: str) -> None:
    """Weights that `save_half` wrote, into the network they came from."""
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})


def plot_curves(log: list[dict], path: Path) -> None:
    """Every logged term over the iterations, smoothed over 20 entries, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    iterations = [entry["iteration"] for entry in log]
    for name in [key for key in (log[-1] if log else {}) if key != "iteration"]:
        values = [entry[name] for entry in log]
        smooth = [sum(values[max(0, n - 19) : n + 1]) / min(n + 1, 20) for n in range(len(values))]
        axes.plot(iterations, smooth, label=name)
    axes.set(xlabel="iteration", ylabel="loss (mean of 20 entries)", title=path.parent.name)
    axes.legend()
    with new_files(path) as [new]:
        figure.savefig(new, dpi=80, bbox_inches="tight")
    plt.close(figure)
