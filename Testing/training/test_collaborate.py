"""Segmentor and refiner trained together: who learns from which loss."""

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import save_cases
from HiDiffRefineLib.training.collaborate import Collaboration, train_collaboration
from HiDiffRefineLib.training.loop import save_half
from HiDiffRefineLib.training.priors import save_priors

SEGMENTOR = {"labels": 3, "channels": [8, 8, 8], "strides": [1, 2, 2]}


def gradients(randomise, small_refiner, weight):
    """Gradients of both networks after one iteration, all draws fixed."""
    torch.manual_seed(0)
    segmentor = randomise(build_network("residual_unet", SEGMENTOR))
    refiner = randomise(build_network("bernoulli_refiner", small_refiner))
    both = Collaboration(segmentor, refiner, BernoulliChain(), weight, np.random.default_rng(0))
    images, labels = torch.rand(1, 1, 8, 16, 16), torch.zeros(1, 1, 8, 16, 16)
    labels[..., 4:12, 4:12] = 1
    prior = torch.rand(1, 1, 8, 16, 16)
    terms = both(images, labels, (torch.rand_like(prior), prior, 1 - prior, (prior > 0.4).float()))
    sum(value for name, value in terms.items() if name != "refiner").backward()
    alone = [None if p.grad is None else p.grad.clone() for p in refiner.parameters()]
    return [p.grad.clone() for p in segmentor.parameters()], alone, terms


def test_the_segmentor_hears_the_refiner_only_through_w(randomise, small_refiner):
    silent, refiner_of_silent, terms = gradients(randomise, small_refiner, 0.0)
    hearing, refiner_of_hearing, terms_of_hearing = gradients(randomise, small_refiner, 0.5)
    assert "collaboration" not in terms
    assert terms_of_hearing["collaboration"].item() > 0
    assert any(not torch.equal(a, b) for a, b in zip(silent, hearing, strict=True))
    # The refiner's weights learn nothing from the segmentor's terms, whatever w is.
    assert all(gradient is None for gradient in refiner_of_silent + refiner_of_hearing)


def test_the_refiner_learns_from_its_own_batch(randomise, small_refiner):
    torch.manual_seed(0)
    refiner = randomise(build_network("bernoulli_refiner", small_refiner))
    segmentor = build_network("residual_unet", SEGMENTOR)
    both = Collaboration(segmentor, refiner, BernoulliChain(), 0.5, np.random.default_rng(0))
    prior = torch.rand(1, 1, 8, 16, 16)
    both(prior, torch.ones_like(prior), (prior, prior, 1 - prior, torch.ones_like(prior)))[
        "refiner"
    ].backward()
    assert all(parameter.grad is not None for parameter in refiner.parameters())
    assert all(parameter.grad is None for parameter in segmentor.parameters())


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_both_networks_come_out_of_a_run(
    make_case, make_config, perfect_prior, bundles, small_refiner, tmp_path, weight, capsys
):
    cases = [make_case(str(n), seed=n) for n in range(2)]
    save_cases(tmp_path / "cases.xz", cases)
    save_priors(tmp_path / "priors.xz", {case.name: perfect_prior(case) for case in cases})
    save_half(build_network("residual_unet", SEGMENTOR), tmp_path / "segmentor.safetensors")
    save_half(build_network("bernoulli_refiner", small_refiner), tmp_path / "refiner.safetensors")
    train_collaboration(
        make_config(
            task="collaborate",
            bundle="tiny-segmentor",
            cases=(str(tmp_path / "cases.xz"),),
            priors=(str(tmp_path / "priors.xz"),),
            segmentor=str(tmp_path / "segmentor.safetensors"),
            warm_start=str(tmp_path / "refiner.safetensors"),
            collaboration=weight,
            folds=2,
            fold=0,
            iterations=2,
        )
    )
    assert {"segmentor.safetensors", "refiner.safetensors"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert "1 steps: Dice" in capsys.readouterr().out
