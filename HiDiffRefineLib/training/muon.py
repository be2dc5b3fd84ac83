"""Muon: momentum whose matrices are made orthogonal before each step.

Jordan et al., https://kellerjordan.github.io/posts/muon (2024), with the step scaled to the root mean square
of AdamW's (Liu et al., arXiv 2502.16982), so that both take one learning rate. torch's own takes 2-D weights
alone and one at a time; convolutions are 5-D, and those of one shape go through the iteration together.
"""

from collections import defaultdict

import torch

# Coefficients of the Newton-Schulz iteration, and how often it is applied.
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
# Root mean square of AdamW's steps, which Muon's are scaled to.
ADAM_RMS = 0.2


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest semi-orthogonal matrices (N, a, b), roughly: singular values come out in .7…1.2."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For weights of two and more dimensions, of which all but the first are taken as one.

    Args:
        lr: learning rate, as AdamW's.
        momentum: of Nesterov's kind.
        weight_decay: decoupled.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One step; closures are not taken."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for weight in weights:
                if "momentum" not in self.state[weight]:
                    self.state[weight]["momentum"] = torch.zeros_like(weight.grad)
            velocities = [self.state[weight]["momentum"] for weight in weights]
            gradients = [weight.grad for weight in weights]
            torch._foreach_lerp_(velocities, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, velocities, group["momentum"])
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            steps = all_orthogonal([each.flatten(1) for each in ahead])
            scales = [-group["lr"] * ADAM_RMS * max(each.shape) ** 0.5 for each in steps]
            torch._foreach_mul_(steps, scales)
            torch._foreach_add_(weights, [s.view_as(w) for s, w in zip(steps, weights, strict=True)])


def all_orthogonal(matrices: list[torch.Tensor]) -> list[torch.Tensor]:
    """`orthogonal` of each; zeros around a matrix stay zeros, so that a few sizes do for all shapes.

    One by one, the steps of a network's two dozen shapes took longer to launch than its whole pass.
    """
    wide = [each.mT if each.shape[0] > each.shape[1] else each for each in matrices]
    buckets = defaultdict(list)
    for n, each in enumerate(wide):
        buckets[1 << (each.shape[0] - 1).bit_length()].append(n)
    found = [None] * len(matrices)
    for rows, members in buckets.items():
        padded = wide[0].new_zeros(len(members), rows, max(wide[n].shape[1] for n in members))
        insides = [padded[m, : wide[n].shape[0], : wide[n].shape[1]] for m, n in enumerate(members)]
        torch._foreach_copy_(insides, [wide[n] for n in members])
        for result, n in zip(orthogonal(padded), members, strict=True):
            inside = result[: wide[n].shape[0], : wide[n].shape[1]].to(matrices[n].dtype)
            found[n] = (inside.mT if matrices[n].shape[0] > matrices[n].shape[1] else inside).contiguous()
    return found
