"""Hints move class means by the formula, and hold."""

import torch

from HiDiffRefineLib.dssm import markov_steps
from HiDiffRefineLib.dssm.hints import Known, moved_mixture
from HiDiffRefineLib.dssm.mixture import ClassMixture


def test_one_component_moves_as_the_formula_says():
    mixture = ClassMixture(2, 1, 3)
    v = torch.tensor([[1.0, 2, 3], [3, 2, 1], [0, 0, 0]])
    moved = moved_mixture(mixture, v, torch.tensor([1, 1, 0]), kappa=20.0)
    expected = (20 * mixture.mean[1, 0] + torch.tensor([4.0, 4, 4])) / 22
    torch.testing.assert_close(moved.mean[1, 0], expected)
    torch.testing.assert_close(moved.mean[0, 0], 20 * mixture.mean[0, 0] / 21)
    assert torch.equal(moved.variance, mixture.variance)


def test_components_share_a_hint_by_responsibility():
    mixture = ClassMixture(1, 2, 1)
    mixture.mean.copy_(torch.tensor([[[0.0], [10.0]]]))
    moved = moved_mixture(mixture, torch.tensor([[1.0]]), torch.tensor([0]), kappa=20.0)
    # The far component has no part in it: exp(-40).
    torch.testing.assert_close(moved.mean, torch.tensor([[[1 / 21], [10.0]]]))
    middle = moved_mixture(mixture, torch.tensor([[5.0]]), torch.tensor([0]), kappa=20.0)
    torch.testing.assert_close(middle.mean, torch.tensor([[[2.5 / 20.5], [202.5 / 20.5]]]))


def test_the_network_keeps_its_own_means():
    mixture = ClassMixture(2, 2, 3)
    before = mixture.mean.clone()
    moved_mixture(mixture, torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    assert torch.equal(mixture.mean, before)


def test_hinted_voxels_hold_in_every_answer(make_network, image):
    network = make_network()
    allowed = torch.ones(2, 3, 8, 8, 8, dtype=torch.bool)
    allowed[0, :2, 1, 2, 3] = False  # it is class 2
    allowed[1, 1, 4, 4, 4] = False  # it is not class 1
    for answer in markov_steps(network, image, 4, known=Known(allowed)):
        probability = answer.log_posterior.exp()
        torch.testing.assert_close(probability[0, :, 1, 2, 3], torch.tensor([0.0, 0, 1]))
        assert probability[1, 1, 4, 4, 4] < 1e-9
        torch.testing.assert_close(probability.sum(1), torch.ones(2, 8, 8, 8))
