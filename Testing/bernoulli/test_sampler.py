import pytest
import torch

from HiDiffRefineLib.bernoulli import BernoulliChain, reverse, seeded_noise
from HiDiffRefineLib.errors import ConfigError

KERNELS = ["ddim", "posterior", "plug_in"]
SHAPE = (2, 1, 4, 5, 6)


@pytest.fixture
def chain():
    return BernoulliChain(10)


@pytest.fixture
def prior():
    prior = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    prior[:, :, 0] = 0
    prior[:, :, 1] = 1
    return prior


def smooth(y, t):
    """A made-up denoiser that looks at the neighbours and at t."""
    return 6 * torch.nn.functional.avg_pool3d(y, 3, stride=1, padding=1) - 3 + 0.1 * t


class Recorder:
    """A denoiser that keeps what it was given."""

    def __init__(self, logit=0.0):
        self.logit = logit
        self.states, self.timesteps = [], []

    def __call__(self, y, t):
        self.states.append(y.clone())
        self.timesteps.append(t)
        return torch.full_like(y, self.logit)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("steps", [1, 4, 10])
def test_yields_one_probability_map_a_step(chain, prior, kernel, steps):
    recorder = Recorder()
    answers = list(reverse(recorder, prior, chain, steps, seeded_noise(0, SHAPE), kernel=kernel))
    assert len(answers) == steps
    assert recorder.timesteps == chain.timesteps(steps)
    for y, answer in zip(recorder.states, answers, strict=True):
        assert y.dtype == answer.dtype == torch.float32
        assert y.shape == answer.shape == SHAPE
        assert ((y == 0) | (y == 1)).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_seed_gives_the_same_bits(chain, prior, kernel):
    first, again, other = (
        list(reverse(smooth, prior, chain, 5, seeded_noise(seed, SHAPE), kernel=kernel)) for seed in (7, 7, 8)
    )
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[-1], other[-1])


def test_noise_depends_on_seed_and_number_only():
    noise = seeded_noise(3, (4, 1, 50))
    later = noise(5)
    assert torch.equal(noise(0), seeded_noise(3, (4, 1, 50))(0))
    assert torch.equal(later, noise(5))
    assert not torch.equal(noise(0), later)
    assert not torch.equal(noise(0), seeded_noise(4, (4, 1, 50))(0))
    assert torch.equal(noise(0)[:2], seeded_noise(3, (2, 1, 50))(0))
    assert noise(0).flatten().unique().numel() == 200
    assert (later >= 0).all() and (later < 1).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("logit", [-1e4, 0.0, 1e4, float("inf")])
@pytest.mark.parametrize("partial", [False, True])
def test_hints_hold_against_prior_denoiser_and_start(chain, prior, kernel, logit, partial):
    mask = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) < 0.3
    value = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3)) < 0.5
    start = ((~value).float(), 8) if partial else None
    recorder = Recorder(logit)
    answers = reverse(
        recorder, prior, chain, 6, seeded_noise(0, SHAPE), clamp=(mask, value), kernel=kernel, start=start
    )
    for answer in answers:
        assert torch.equal(answer[mask], value[mask].float())
        assert answer.isfinite().all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("start_step", [None, 6])
def test_hinted_states_follow_the_marginal_given_the_hint(chain, kernel, start_step):
    """Every state of a hinted voxel has law q(y_t | y_0 = hint), whatever denoiser and start say."""
    n = 100_000
    prior = torch.full((n,), 0.2)
    clamp = torch.tensor(True), torch.tensor(True)
    start = None if start_step is None else (torch.zeros(n), start_step)
    recorder = Recorder(logit=-20)
    list(reverse(recorder, prior, chain, 4, seeded_noise(0, (n,)), clamp=clamp, kernel=kernel, start=start))
    for y, t in zip(recorder.states, recorder.timesteps, strict=True):
        theta = chain.alpha_bar[t].item() + (1 - chain.alpha_bar[t].item()) * 0.2
        assert y.mean().item() == pytest.approx(theta, abs=0.006)


@pytest.mark.parametrize("kernel", ["ddim", "posterior"])
@pytest.mark.parametrize("truth", [0.1, 0.7])
def test_a_perfect_denoiser_samples_the_truth(kernel, truth):
    """One voxel, P(y_0 = 1) = truth, prior .4: each state follows its marginal, the end draws the truth."""
    chain, n, p = BernoulliChain(6, "alpha_bar_linear"), 200_000, 0.4
    states = {}

    def perfect(y, t):
        states[t] = y.mean().item()
        kept = chain.alpha_bar[t].item()
        if_one = torch.where(y == 1, kept + (1 - kept) * p, (1 - kept) * (1 - p))
        if_zero = torch.where(y == 1, (1 - kept) * p, kept + (1 - kept) * (1 - p))
        return (truth * if_one / ((1 - truth) * if_zero)).log()

    *_, answer = reverse(perfect, torch.full((n,), p), chain, 6, seeded_noise(11, (n,)), kernel=kernel)
    for t, frequency in states.items():
        kept = chain.alpha_bar[t].item()
        assert frequency == pytest.approx(kept * truth + (1 - kept) * p, abs=0.006)
    assert answer.mean().item() == pytest.approx(truth, abs=0.006)


def test_first_state_is_a_draw_from_the_prior(chain):
    recorder = Recorder()
    noise = seeded_noise(0, (100_000,))
    next(reverse(recorder, torch.full((100_000,), 0.3), chain, 1, noise))
    assert torch.equal(recorder.states[0], (noise(0) < 0.3).float())


def test_start_sets_state_and_step(chain, prior):
    y = (prior > 0.5).float()
    recorder = Recorder()
    answers = list(reverse(recorder, prior, chain, 3, seeded_noise(0, SHAPE), start=(y.bool(), 7)))
    assert len(answers) == 3
    assert recorder.timesteps == [7, 5, 3]
    assert torch.equal(recorder.states[0], y)


def test_closing_the_generator_cancels(chain, prior):
    recorder = Recorder()
    answers = reverse(recorder, prior, chain, 10, seeded_noise(0, SHAPE))
    next(answers), next(answers)
    answers.close()
    assert len(recorder.timesteps) == 2
    assert next(answers, None) is None


def test_gradients_stay_off_inside_and_as_they_were_outside(chain, prior):
    weight = torch.tensor(2.0, requires_grad=True)
    for answer in reverse(lambda y, t: weight * y, prior, chain, 3, seeded_noise(0, SHAPE)):
        assert torch.is_grad_enabled()
        assert not answer.requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_float_type_of_prior_and_logits(chain, prior, dtype):
    denoise = Recorder()
    for answer in reverse(
        lambda y, t: denoise(y, t).to(dtype),
        prior.to(dtype),
        chain,
        3,
        seeded_noise(0, SHAPE),
        kernel="posterior",
    ):
        assert answer.dtype == torch.float32
    assert {y.dtype for y in denoise.states} == {torch.float32}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"prior": torch.full(SHAPE, 1.5)}, "^prior must lie in"),
        ({"prior": torch.full(SHAPE, float("nan"))}, "^prior must lie in"),
        ({"steps": 11}, "^n = 11"),
        ({"steps": 4, "start": (torch.zeros(SHAPE), 3)}, "^n = 4"),
        ({"start": (torch.zeros(SHAPE), 11)}, "^start = 11"),
        ({"start": (torch.zeros(1), 3)}, "^start has shape"),
        ({"kernel": "ddpm"}, "^kernel 'ddpm'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(chain, prior, change, message):
    arguments = {"prior": prior, "steps": 2, "noise": seeded_noise(0, SHAPE), **change}
    with pytest.raises(ConfigError, match=message):
        reverse(Recorder(), chain=chain, **arguments)


def test_wrong_shapes_are_refused(chain, prior):
    with pytest.raises(ConfigError, match=r"^denoise has shape"):
        next(reverse(lambda y, t: y[:, 0], prior, chain, 1, seeded_noise(0, SHAPE)))
    with pytest.raises(ConfigError, match=r"^noise has shape"):
        next(reverse(Recorder(), prior, chain, 1, seeded_noise(0, SHAPE[1:])))


def test_negative_seed_is_refused():
    with pytest.raises(ConfigError, match=r"^seed"):
        seeded_noise(-1, SHAPE)
