"""The refiner's network as CUDA graphs: one launch for hundreds of kernels.

Launching the kernels of a small network one by one takes a processor longer than they take the GPU to run.
Graphs are recorded for the shapes of the first call, those of an edit; any other input, several chains side
by side for instance, goes through the network as it is.
"""

from collections.abc import Callable, Sequence

import torch

from HiDiffRefineLib.inference.models import autocast
from HiDiffRefineLib.networks.refiner import BernoulliRefiner

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
        self._encode: Callable | None = None
        self._denoise: Callable | None = None

    @torch.inference_mode()
    def encode(self, condition: torch.Tensor) -> list[torch.Tensor]:
        """As `BernoulliRefiner.encode`."""
        if self._encode is None:
            self._encode = recorded(self._network.encode, [condition])
        return self._encode(condition)

    @torch.inference_mode()
    def denoise(
        self, state: torch.Tensor, prior: torch.Tensor, t_share: torch.Tensor, features: list[torch.Tensor]
    ) -> torch.Tensor:
        """As `BernoulliRefiner.denoise`."""
        inputs = [state, prior, t_share, *features]
        if self._denoise is None:
            self._denoise = recorded(lambda y, p, t, *f: [self._network.denoise(y, p, t, list(f))], inputs)
        return self._denoise(*inputs)[0]


def recorded(function: Callable[..., Sequence[torch.Tensor]], inputs: Sequence[torch.Tensor]) -> Callable:
    """A function of CUDA tensors as a graph for inputs like these.

    Returns:
        the function, as a replay on copies of its arguments, whose results are copies too; for arguments of
        other shapes, the function as it is.
    """
    device = inputs[0].device
    held = [x.clone() for x in inputs]
    graph = torch.cuda.CUDAGraph()
    # Without autocast's cache, which would keep its copies of the weights beyond the recording.
    with torch.cuda.device(device), autocast(device, cache=False):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*held)
        torch.cuda.current_stream().wait_stream(side)
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
