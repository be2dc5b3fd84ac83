import math

import pytest
import torch

from HiDiffRefineLib.bernoulli import SCHEDULES, alpha_bar
from HiDiffRefineLib.errors import ConfigError


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [20, 37, 1000])
def test_schedule_falls_strictly_from_one(name, steps):
    curve = alpha_bar(name, steps)
    assert curve.dtype == torch.float64
    assert curve.shape == (steps + 1,)
    assert curve[0] == 1
    assert (curve.diff() < 0).all()
    assert 0 <= curve[-1] < 0.01


def test_cosine_of_ten_steps_is_hidiff_s():
    expected = [1, 0.986, 0.948, 0.887, 0.805, 0.703, 0.584, 0.451, 0.307, 0.155, 0.0002]
    torch.testing.assert_close(alpha_bar("cosine", 10), torch.tensor(expected).double(), atol=6e-4, rtol=0)


def test_curves_at_half_time():
    half = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
    assert alpha_bar("cosine", 10)[5].item() == pytest.approx(half)
    assert alpha_bar("cosine2", 10)[5].item() == pytest.approx(half**2)
    assert alpha_bar("alpha_bar_linear", 10)[5].item() == 0.5


def test_linear_scales_beta_with_the_number_of_steps():
    keep = alpha_bar("linear", 100)[1:] / alpha_bar("linear", 100)[:-1]
    assert (1 - keep[0]).item() == pytest.approx(1e-3)
    assert (1 - keep[-1]).item() == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["cosine", "cosine2", "alpha_bar_linear"])
def test_one_step_is_a_chain(name):
    assert alpha_bar(name, 1).shape == (2,)


def test_linear_refuses_too_few_steps():
    with pytest.raises(ConfigError, match=r"steps = 10 .*'linear'.* 2 > 1.*at least 20"):
        alpha_bar("linear", 10)
    assert alpha_bar("linear", 20)[-1] == 0


@pytest.mark.parametrize("steps", [0, -1, 2.5, "10"])
def test_wrong_steps_are_refused(steps):
    with pytest.raises(ConfigError, match="steps"):
        alpha_bar("cosine", steps)


def test_unknown_schedule_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'sine'.*cosine, cosine2, alpha_bar_linear, linear"):
        alpha_bar("sine", 10)
