"""The refiner's network as CUDA graphs: one launch for hundreds of kernels.

Launching the kernels of a small network one by one takes a processor longer than they take the GPU to run.
Graphs are recorded for the shapes of the first call, those of an edit; any other input, several chains side
by side for instance, goes through the network as it is. So does everything where recording fails.
"""

import logging
from collections.abc import Callable, Sequence

import torch

from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.networks.refiner import BernoulliRefiner

_log = logging.getLogger(__name__)

# Runs before the recording, in which cuDNN and cuBLAS choose and allocate.
WARM_UP = 3


class RefinerGraphs:
    """A refiner with `encode` and `denoise` as `BernoulliRefiner` has them, recorded when first called.

    Results are copies, so that calls may interleave: 32 MB of features. Takes no gradients.

    Args:
        network: on a CUDA device, in evaluation mode; its weights must stay where they are.
    """

    def __init__(self, network: BernoulliRefiner):
        self._network = network
        self._ways: dict[str, Callable] = {}

    @torch.inference_mode()
    def encode(self, condition: torch.Tensor) -> list[torch.Tensor]:
        """As `BernoulliRefiner.encode`."""
        return self._run("encode", condition)

    @torch.inference_mode()
    def denoise(
        self, state: torch.Tensor, prior: torch.Tensor, t_share: torch.Tensor, features: list[torch.Tensor]
    ) -> torch.Tensor:
        """As `BernoulliRefiner.denoise`."""
        return self._run("denoise", state, prior, t_share, *features)[0]

    def _run(self, part: str, *inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        plain = {
            "encode": self._network.encode,
            "denoise": lambda y, p, t, *features: [self._network.denoise(y, p, t, list(features))],
        }
        if part not in self._ways:
            try:
                self._ways[part] = recorded(plain[part], inputs)
            except Exception as error:
                _log.warning("The refiner runs without CUDA graphs: %r", error)
                self._ways = plain
        return self._ways[part](*inputs)


def recorded(function: Callable[..., Sequence[torch.Tensor]], inputs: Sequence[torch.Tensor]) -> Callable:
    """A function of CUDA tensors as a graph for inputs like these.

    Returns:
        the function, as a replay on copies of its arguments, whose results are copies too; for arguments of
        other shapes, the function as it is.
    """
    device = inputs[0].device
    held = [x.clone() for x in inputs]
    graph = torch.cuda.CUDAGraph()
    # Where recording fails, torch may leave its own stream behind: the caller's is brought back at the end.
    # Autocast's cache would keep its copies of the weights beyond the recording.
    caller = torch.cuda.current_stream(device)
    with torch.cuda.device(device), torch.cuda.stream(caller), autocast(device, cache=False):
        side = torch.cuda.Stream()
        side.wait_stream(caller)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*held)
        caller.wait_stream(side)
        with torch.cuda.graph(graph):
            results = function(*held)

    def replay(*arguments: torch.Tensor) -> list[torch.Tensor]:
        if any(mine.shape != given.shape for mine, given in zip(held, arguments, strict=True)):
            return function(*arguments)
        for mine, given in zip(held, arguments, strict=True):
            mine.copy_(given)
        graph.replay()
        return [x.clone() for x in results]

    return replay
