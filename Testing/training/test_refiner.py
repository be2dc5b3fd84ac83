"""Stage 1: the states that the chain is trained on never come from the truth."""

import dataclasses

import numpy as np
import pytest
import torch

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.training import refiner
from HiDiffRefineLib.training.cases import save_cases
from HiDiffRefineLib.training.loop import mean_terms
from HiDiffRefineLib.training.priors import save_priors


class Stubborn(torch.nn.Module):
    """Always gives the same answer; writes down the states that it is asked about."""

    def __init__(self, logit: float):
        super().__init__()
        self.logit = torch.nn.Parameter(torch.tensor(float(logit)))
        self.asked = []

    def encode(self, condition):
        return [condition]

    def denoise(self, state, prior, t_share, features):
        self.asked.append((t_share.unique().item(), state.mean().item(), torch.is_grad_enabled()))
        return self.logit.expand_as(state)


@pytest.fixture
def unhinted(monkeypatch):
    monkeypatch.setattr(refiner, "UNHINTED_SHARE", 1.0)


def asked(logit: float, prior: float, truth: float) -> list:
    """Per call of the loss, (t / T, mean of the state, with gradients) of every question."""
    torch.manual_seed(0)
    chain, rng = BernoulliChain(10, "cosine"), np.random.default_rng(0)
    network, calls = Stubborn(logit), []
    shape = (2, 1, 8, 12, 12)
    for _ in range(100):
        network.asked = []
        parts = [torch.full(shape, float(value)) for value in (0.5, prior, 0.1, truth)]
        # An empty prior would ask for a hint.
        parts[1][..., 0, 0, 0] = 1
        for terms in refiner.chain_losses(network, chain, rng, *parts):
            network.zero_grad()
            sum(terms.values()).backward()
            assert all(torch.isfinite(term) for term in terms.values()) and torch.isfinite(network.logit.grad)
        calls.append(network.asked)
    return calls


def test_without_hints_no_state_knows_the_truth(unhinted):
    for call in asked(logit=-10, prior=0, truth=1):
        assert all(mean < 0.02 for _, mean, _ in call)
    for call in asked(logit=10, prior=1, truth=0):
        assert all(mean > 0.98 for _, mean, _ in call)


def test_states_come_from_the_models_own_answers(unhinted):
    calls = asked(logit=10, prior=0, truth=0)
    assert all(call[0][0] == 1 and call[0][1] < 0.02 for call in calls)
    later = [(share, mean) for call in calls for share, mean, _ in call[1:]]
    assert later and all(mean > 0.1 for _, mean in later)
    # The nearer to the end, the more of the answer is in.
    assert np.mean([mean for share, mean in later if share <= 0.5]) > 0.4


def test_half_of_the_answers_are_one_step_and_every_step_learns(unhinted):
    calls = asked(logit=0.5, prior=0.3, truth=1)
    assert np.mean([len(call) == 1 for call in calls]) == pytest.approx(0.5, abs=0.15)
    assert max(len(call) for call in calls) == refiner.MOST_STEPS
    for call in calls:
        shares = [share for share, *_ in call]
        assert shares[0] == 1 and shares == sorted(shares, reverse=True) and shares[-1] > 0
        assert all(grad for *_, grad in call)


def play(seed: int, prior, truth, logit: float = -2.0):
    """The mask and the clamped voxels of every answer of one session, and its mean loss."""
    torch.manual_seed(seed)
    seen = []

    def answers(mask, hints):
        seen.append((mask.clone(), hints.clamped.clone(), hints.value.clone()))
        yield torch.full_like(mask, logit), {}

    losses = list(refiner.session_losses(answers, np.random.default_rng(seed), prior, truth))
    assert len(losses) == len(seen)
    return seen, mean_terms(losses)


def test_hints_are_given_one_by_one_on_the_models_own_answers_and_stay(monkeypatch):
    monkeypatch.setattr(refiner, "UNHINTED_SHARE", 0.0)
    prior, truth = torch.zeros(2, 1, 12, 16, 16), torch.zeros(2, 1, 12, 16, 16)
    prior[..., 2:6, 2:6, 2:6] = 0.9
    truth[..., 4:10, 4:12, 4:12] = 1
    lengths = set()
    for seed in range(60):
        seen, _ = play(seed, prior, truth)
        lengths.add(len(seen))
        assert not seen[0][1].any() and torch.equal(seen[0][0], (prior > 0.5).float())
        for n, (mask, clamped, value) in enumerate(seen[1:], 1):
            before = seen[n - 1][1]
            assert (clamped & before).equal(before) and clamped.flatten(1).any(1).all()
            assert (value[clamped] == truth[clamped]).all()
            # The answer is empty but for the hints that it knew.
            if n > 1:
                assert torch.equal(mask, torch.where(before, seen[n - 1][2], 0.0))
    assert lengths <= set(range(2, refiner.MOST_HINTS + 2)) and len(lengths) > 5


def test_sessions_have_few_hints_more_often_than_many():
    rng = np.random.default_rng(0)
    counts = np.bincount([refiner.hint_count(rng) for _ in range(4000)], minlength=refiner.MOST_HINTS + 1)
    assert len(counts) == refiner.MOST_HINTS + 1 and counts.all()
    assert counts[0] / 4000 == pytest.approx(refiner.UNHINTED_SHARE, abs=0.03)
    assert counts[1] > 2 * counts[5] > 2 * counts[10]


def test_an_empty_prior_counts_only_once_there_is_a_hint(unhinted, monkeypatch):
    prior, truth = torch.zeros(2, 1, 8, 12, 12), torch.ones(2, 1, 8, 12, 12)
    _, nothing = play(0, prior, truth)
    assert all(term == 0 for term in nothing.values())
    prior[0, ..., :4] = 1
    _, half = play(0, prior, truth)
    _, one = play(0, prior[:1], truth[:1])
    assert all(torch.isclose(half[name], one[name]) and one[name] > 0 for name in one)
    monkeypatch.setattr(refiner, "UNHINTED_SHARE", 0.0)
    _, hinted = play(0, 0 * prior, truth)
    assert all(term > 0 for term in hinted.values())


@pytest.mark.parametrize("prior", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["chain", "plain"])
def test_losses_and_gradients_are_finite_where_the_prior_is_sure(randomise, prior, kind):
    network = randomise(BernoulliRefiner((8, 8, 16, 16), (1, 1, 1, 1), (8, 8, 8, 16), embedding=16, heads=2))
    shape = (1, 1, 8, 16, 16)
    parts = torch.rand(shape), torch.full(shape, prior), torch.rand(shape), (torch.rand(shape) < 0.5).float()
    if kind == "plain":
        losses = refiner.plain_losses(network, np.random.default_rng(1), *parts)
    else:
        losses = refiner.chain_losses(network, BernoulliChain(10, "cosine"), np.random.default_rng(1), *parts)
    for terms in losses:
        sum(terms.values()).backward()
        assert set(terms) == {"bce", "dice"} | ({"kl"} if kind == "chain" else set())
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name


def test_a_better_answer_has_a_lower_loss():
    truth = torch.zeros(1, 1, 4, 8, 8)
    truth[..., :4] = 1
    losses = [
        sum(refiner.mask_loss(scale * (2 * truth - 1), truth, 0 * truth, torch.ones(1)).values())
        for scale in (-2, 0, 2, 5)
    ]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("task", ["refiner", "plain_refiner"])
def test_training_runs_from_archives_to_weights(
    bundles, make_case, perfect_prior, make_config, tmp_path, task
):
    cases = [make_case("a"), make_case("b", seed=1)]
    save_cases(tmp_path / "cases.npy.xz", cases)
    for n, case in enumerate(cases):
        (tmp_path / f"fold{n}").mkdir()
        save_priors(tmp_path / f"fold{n}/priors.npy.xz", {case.name: perfect_prior(case)})
    config = make_config(
        task=task,
        bundle="tiny-refiner",
        cases=(str(tmp_path / "cases.npy.xz"),),
        priors=(str(tmp_path / "fold*/priors.npy.xz"),),
        iterations=2,
    )
    refiner.train_refiner(config)
    assert (tmp_path / "out/weights.safetensors").is_file()
    refiner.train_refiner(dataclasses.replace(config, iterations=3))
    assert torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["iteration"] == 3


def test_a_case_without_a_prior_is_refused_by_name(make_case, make_config, tmp_path):
    save_cases(tmp_path / "cases.npy.xz", [make_case("lonely")])
    config = make_config(cases=(str(tmp_path / "cases.npy.xz"),), priors=(str(tmp_path / "none*"),))
    with pytest.raises(ConfigError, match="no prior of lonely"):
        refiner.paired_sets(config)
