"""Training of the refiner on whole editing sessions, on any number of cards, over several runs.

Volumes, sampler and simulated user are on the card; matrices are trained by Muon, the rest by AdamW. Steps
whose gradient is not finite are counted, and more than one in a hundred ends the run.
"""

import io
import json
import time
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from safetensors.torch import save
from torch import nn

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.networks.bounded import PostNormBlock
from HiDiffRefineLib.training.edit_samples import EditSamples
from HiDiffRefineLib.training.edit_sessions import session_losses
from HiDiffRefineLib.training.loop import COUNTED_FROM, MOST_SKIPPED, skipped_too_many
from HiDiffRefineLib.training.muon import Muon
from HiDiffRefineLib.volumes.new_files import write_whole

# Parts whose matrices AdamW trains: in and out of the network, and what sets gates and scales.
ADAM = ("head", "film", "gates", "embedding", "downs.0", "in_proj")
WARMUP_STEPS, LOG_EVERY, SAVE_SECONDS = 200, 50, 60
MAX_NORM = 1.0


def optimizers(network: nn.Module, lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """AdamW and Muon, each for its weights."""
    matrices, rest = [], []
    for name, weight in network.named_parameters():
        to_muon = weight.ndim >= 2 and not any(part in name for part in ADAM)
        (matrices if to_muon else rest).append(weight)
    fused = all(weight.is_cuda for weight in rest)
    adam = torch.optim.AdamW(rest, lr, weight_decay=weight_decay, fused=fused)
    return [adam, Muon(matrices, lr, weight_decay=weight_decay)]


def largest_activations(network: nn.Module) -> tuple[dict[str, float], list]:
    """A table that forward passes fill with the largest activation of every block, and its hooks."""
    table, hooks = {}, []

    def watch(name):
        def hook(module, inputs, output):
            table[name] = float(output.detach().abs().max())

        return hook

    for name, module in network.named_modules():
        if isinstance(module, PostNormBlock):
            hooks.append(module.register_forward_hook(watch(name)))
    return table, hooks


def learning_rate(step: int, progress: float, peak: float, floor: float) -> float:
    """Linear warm-up over the run's first steps, then half a cosine down to a share `floor`."""
    return peak * min(1.0, (step + 1) / WARMUP_STEPS) * (floor + (1 - floor) * 0.5 * (1 + cos(pi * progress)))


def average_gradients(fabric: Fabric, network: nn.Module) -> None:
    """The mean over all cards, of all weights at once.

    By hand: wrapped for it, a network runs in mixed precision on several cards only, and hands its features
    on in float32, which takes twice the time.
    """
    if fabric.world_size == 1:
        return
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    mean = fabric.all_reduce(torch.cat([each.flatten() for each in gradients]), reduce_op="mean")
    parts = mean.split([each.numel() for each in gradients])
    torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])


def _not_finite(network: nn.Module, terms: dict[str, torch.Tensor]) -> str:
    """Which losses and gradients are not finite."""
    losses = [name for name, term in terms.items() if not bool(term.isfinite())]
    weights = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is not None and not bool(weight.grad.isfinite().all())
    ]
    return f"not finite: losses {losses}, gradients of {len(weights)} weights {weights[:3]} … {weights[-3:]}"


class Averaged:
    """The exponentially averaged weights (EMA)."""

    def __init__(self, network: nn.Module, decay: float):
        self.decay, self.count = decay, 0
        self.weights = {name: w.detach().clone().float() for name, w in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Towards the present weights; faster at first."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        state = network.state_dict()
        torch._foreach_lerp_(
            list(self.weights.values()), [state[name].float() for name in self.weights], 1 - decay
        )


def fit_sessions(
    fabric: Fabric,
    network: nn.Module,
    samples: EditSamples,
    chain: BernoulliChain | None,
    output: Path,
    *,
    minutes: float,
    batch: int,
    lr: float = 1e-3,
    floor: float = 0.02,
    weight_decay: float = 0.01,
    ema: float = 0.9995,
    steps: int = 10**9,
    seed: int = 0,
    compiled: bool = True,
    log=print,
) -> Averaged:
    """Trains `network` for some minutes, going on from `output`/checkpoint.pt where there is one.

    The checkpoint holds weights, EMA, momenta and counts, and nothing of the number of cards: a run may go on
    with another. Samples are drawn anew. Leaves checkpoint.pt, weights.safetensors (EMA, fp16) and log.json
    there, every minute.

    Args:
        samples: seeded anew by card, seed and steps made.
        chain: None for the plain refiner.
        batch: samples a card.
        floor: share of the peak learning rate that is left at the end.
        steps: ends the run earlier.
        log: takes a line of text.

    Raises:
        ConfigError: too many steps had to be skipped.
    """
    output.mkdir(parents=True, exist_ok=True)
    network.load_state_dict(fabric.broadcast(network.cpu().state_dict()))
    network = network.to(fabric.device, memory_format=torch.channels_last_3d)
    averaged = Averaged(network, ema)
    parts = optimizers(network, lr, weight_decay)
    state = {"steps": 0, "skipped": 0, "minutes": 0.0, "history": []}
    checkpoint = output / "checkpoint.pt"
    if checkpoint.is_file():
        found = torch.load(checkpoint, map_location=fabric.device, weights_only=True)
        network.load_state_dict(found["network"])
        averaged.weights, averaged.count = found["averaged"], found["count"]
        for part, saved in zip(parts, found["optimizers"], strict=True):
            part.load_state_dict(saved)
        state = {name: found[name] for name in state}
    # A run that goes on draws other samples than the one before.
    fresh = np.random.SeedSequence((seed, fabric.global_rank, state["steps"]))
    samples.rng = np.random.default_rng(fresh)
    torch.manual_seed(int(fresh.generate_state(1)[0]))
    rng = np.random.default_rng(seed + state["steps"])
    rank_zero = fabric.global_rank == 0

    def keep() -> None:
        if not rank_zero:
            return
        everything = {"network": network.state_dict(), "averaged": averaged.weights, "count": averaged.count}
        everything |= {"optimizers": [part.state_dict() for part in parts]} | state
        packed = io.BytesIO()  # on a full disk, torch's own way into a file ends in a RuntimeError
        torch.save(everything, packed)
        write_whole(checkpoint, packed.getvalue())
        half = {name: weight.half().cpu().contiguous() for name, weight in averaged.weights.items()}
        write_whole(output / "weights.safetensors", save(half))
        write_whole(output / "log.json", json.dumps(state["history"]).encode())

    # The gradients of cuDNN's attention are not finite now and then.
    torch.backends.cuda.enable_cudnn_sdp(False)
    if compiled:
        network.encoder.compile()
        network.denoiser.compile()
        for terms in session_losses(network, chain, np.random.default_rng(3), samples.batch(batch)):
            sum(terms.values()).backward()
        network.zero_grad(set_to_none=True)
        log("compiled")
    before, started, saved = state["minutes"], time.monotonic(), time.monotonic()
    made, terms_seen = 0, []
    while True:
        state["minutes"] = before + (time.monotonic() - started) / 60
        progress = (state["minutes"] - before) / minutes
        progress = max(progress, made / steps)
        progress = float(fabric.broadcast(torch.tensor(progress)))
        if progress >= 1:
            break
        for terms in session_losses(network, chain, rng, samples.batch(batch)):
            for part in parts:
                for group in part.param_groups:
                    group["lr"] = learning_rate(made, progress, lr, floor)
                part.zero_grad(set_to_none=True)
            sum(terms.values()).backward()
            average_gradients(fabric, network)
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
            state["steps"] += 1
            made += 1
            if bool(norm.isfinite()):
                for part in parts:
                    part.step()
                averaged.update(network)
            else:
                state["skipped"] += 1
                log(f"step {state['steps']}: {_not_finite(network, terms)}")
                if made >= COUNTED_FROM and state["skipped"] > MOST_SKIPPED * state["steps"]:
                    keep()
                    remedy = "Look at the largest activations in log.json; lower the learning rate."
                    raise skipped_too_many(state["skipped"], state["steps"], remedy)
            terms_seen.append(torch.stack([*terms.values(), norm]).detach())
            if state["steps"] % LOG_EVERY == 0:
                values = torch.stack(terms_seen).mean(0).tolist()
                entry = dict(zip([*terms, "norm"], values, strict=True)) | {
                    "step": state["steps"],
                    "minutes": state["minutes"],
                    "skipped": state["skipped"],
                }
                state["history"].append(entry)
                terms_seen = []
                if rank_zero and state["steps"] % (4 * LOG_EVERY) == 0:
                    log(" ".join(f"{name} {value:.4g}" for name, value in entry.items()))
        if time.monotonic() - saved > SAVE_SECONDS:
            saved = time.monotonic()
            keep()
    table, hooks = largest_activations(network)
    # Compiling once more with the hooks would take minutes.
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        for _ in session_losses(network, chain, np.random.default_rng(5), samples.batch(batch)):
            pass
    for hook in hooks:
        hook.remove()
    state["history"].append({"largest_activations": table, "step": state["steps"]})
    keep()
    largest = f"largest activation {max(table.values()):.3g}"
    log(f"done: {state['steps']} steps, {state['skipped']} skipped, {largest}")
    return averaged
