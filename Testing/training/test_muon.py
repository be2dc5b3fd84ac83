"""Muon's matrices are orthogonal, whatever their shape, and its steps lead down."""

import pytest
import torch

from HiDiffRefineLib.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (1, 16, 16)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
    assert values.min() > 0.5 and values.max() < 1.4


def test_a_convolution_learns_another():
    torch.manual_seed(0)
    teacher, pupil = (torch.nn.Conv3d(4, 6, 3, bias=False) for _ in range(2))
    x, muon = torch.randn(8, 4, 5, 5, 5), Muon(pupil.parameters(), 0.02, weight_decay=0)
    losses = []
    for step in range(60):
        muon.param_groups[0]["lr"] = 0.02 * (1 - step / 60)
        loss = ((pupil(x) - teacher(x)) ** 2).mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_matrices_of_all_shapes_do_not_mix():
    """They go through the iteration together, padded by zeros."""
    torch.manual_seed(0)
    gradients = [torch.randn(shape) for shape in ((6, 9), (6, 9), (8, 2, 3), (9, 5), (3, 2, 2, 2))]
    weights = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    Muon(weights, 1.0, weight_decay=0).step()
    for weight, gradient in zip(weights, gradients, strict=True):
        alone = torch.nn.Parameter(torch.zeros_like(gradient))
        alone.grad = gradient
        Muon([alone], 1.0, weight_decay=0).step()
        torch.testing.assert_close(weight, alone, rtol=0.02, atol=0.01)
