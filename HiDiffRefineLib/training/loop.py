"""The optimisation loop that every training shares: Fabric, AdamW, warm-up and cosine, EMA, resuming."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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
# Most steps that may be skipped, as a share of all, once so many were made.
MOST_SKIPPED, COUNTED_FROM = 0.01, 200


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


@dataclass
class Run:
    """What a training goes on from, when it was cut off.

    Args:
        averaged: the network's exponentially averaged weights (EMA).
        output: the folder of `checkpoint.pt`, `weights.safetensors` (EMA, fp16) and `log.json`.
        iteration, seconds: done so far, in all starts.
        steps, skipped: of the optimiser, and those left out because their gradient was not finite.
        log: one entry for every `LOG_EVERY` iterations.
    """

    network: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    output: Path
    iteration: int = 0
    seconds: float = 0.0
    steps: int = 0
    skipped: int = 0
    log: list[dict] = field(default_factory=list)

    COUNTS = ("iteration", "seconds", "steps", "skipped", "log")

    def resume(self, device: torch.device) -> None:
        """Goes on from the checkpoint, where there is one."""
        file = self.output / "checkpoint.pt"
        if not file.is_file():
            return
        state = torch.load(file, map_location=device, weights_only=True)
        for part in ("network", "averaged", "optimizer"):
            getattr(self, part).load_state_dict(state[part])
        for name in self.COUNTS:
            setattr(self, name, state[name])

    def save(self) -> None:
        """Writes checkpoint, weights and log, each whole or not at all."""
        state = {part: getattr(self, part).state_dict() for part in ("network", "averaged", "optimizer")}
        packed = BytesIO()  # on a full disk, torch's own way into a file ends in a RuntimeError
        torch.save(state | {name: getattr(self, name) for name in self.COUNTS}, packed)
        write_whole(self.output / "checkpoint.pt", packed.getvalue())
        save_half(self.averaged.module, self.output / "weights.safetensors")
        write_whole(self.output / "log.json", json.dumps(self.log).encode())

    def step(self, norm: torch.Tensor) -> None:
        """A step of the optimiser, unless the gradient's norm is not finite.

        Raises:
            ConfigError: more than `MOST_SKIPPED` of all steps were skipped.
        """
        self.steps += 1
        if norm.isfinite():
            self.optimizer.step()
            self.averaged.update_parameters(self.network)
            return
        self.skipped += 1
        if self.steps >= COUNTED_FROM and self.skipped > MOST_SKIPPED * self.steps:
            raise skipped_too_many(
                self.skipped, self.steps, "Lower learning_rate, or train in 32-true precision."
            )

    def note(self, steps: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Enters the mean losses of an iteration into the log.

        Raises:
            ConfigError: one is not a number.
        """
        values = {name: float(term) for name, term in mean_terms(steps).items()}
        if not all(isfinite(value) for value in values.values()):
            fault = f"The loss is not a number at iteration {self.iteration}."
            raise ConfigError(fault, "Lower learning_rate.")
        self.log.append({"iteration": self.iteration, **values})
        return values


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

    Leaves in config.output what `Run` keeps, and `curves.png`. A checkpoint that is found there at the start
    is gone on from; the patches are drawn anew.

    Args:
        batches: endless; on the fabric's device.
        losses: (network, batch) → named terms, once or more; each time the optimiser makes a step down their
            sum before it asks for the next.
        methods: methods of the network besides forward that `losses` calls.
        compiled: parts of the network to compile; none for the network as one.

    Raises:
        ConfigError: a loss that is not a number, or too many steps whose gradient is not finite.
    """
    run, wrapped, optimizer = _begun(fabric, config, network, methods, compiled)
    first = fabric.global_rank == 0
    saved = time.monotonic()
    started = saved - run.seconds
    bar = tqdm(total=100, unit="%", desc=run.output.name, disable=not first, mininterval=5)
    try:
        for batch in batches:
            run.seconds = time.monotonic() - started
            done = max(run.iteration / config.iterations, run.seconds / (60 * config.minutes))
            progress = fabric.broadcast(done)
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * learning_rate_share(progress)
            wrapped.train()
            steps = []
            for terms in losses(wrapped, batch):
                optimizer.zero_grad(set_to_none=True)
                fabric.backward(sum(terms.values()))
                run.step(fabric.clip_gradients(wrapped, optimizer, max_norm=1.0, error_if_nonfinite=False))
                steps.append({name: term.detach() for name, term in terms.items()})
            if run.iteration % LOG_EVERY == 0:
                values = run.note(steps)
                bar.n = round(100 * progress, 1)
                shown = {name: f"{value:.3f}" for name, value in values.items()}
                bar.set_postfix(shown, it=run.iteration, skipped=run.skipped)
            run.iteration += 1
            if first and time.monotonic() - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                run.save()
    except KeyboardInterrupt:
        if first:
            run.save()
        raise
    bar.close()
    if first:
        run.save()
    plot_curves(run.log, run.output / "curves.png")
    return run.averaged.module


def _begun(
    fabric: Fabric,
    config: TrainConfig,
    network: nn.Module,
    methods: tuple[str, ...],
    compiled: tuple[nn.Module, ...],
) -> tuple[Run, nn.Module, torch.optim.Optimizer]:
    """A run on the fabric's devices, the network that it trains as the fabric wraps it, and the optimiser."""
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
    run = Run(network, averaged, optimizer, output)
    run.resume(fabric.device)
    return run, wrapped, optimizer


def skipped_too_many(skipped: int, steps: int, remedy: str) -> ConfigError:
    """The end of a run in which too many of the optimiser's steps were left out."""
    return ConfigError(f"{skipped} of {steps} steps had gradients that are not finite.", remedy)


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
