"""A temperature is found again, and what it is for: frequencies near borders."""

import numpy as np
import pytest

from HiDiffRefineLib.evaluation.calibration import fit_temperature
from HiDiffRefineLib.evaluation.metrics import expected_calibration_error
from HiDiffRefineLib.inference.uncertainty import tempered


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoilt_probabilities_is_found(temperature):
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.001, 0.999, 200_000)
    truth = rng.random(honest.shape) < honest
    # Over-confident where the temperature to be found is above 1.
    shown = tempered(honest, 1 / temperature)
    assert fit_temperature(shown, truth) == pytest.approx(temperature, rel=0.03)
    assert expected_calibration_error(tempered(shown, fit_temperature(shown, truth)), truth) < 0.01


def test_tempering_keeps_the_mask_and_the_sure():
    p = np.array([0, 1e-6, 0.2, 0.5, 0.7, 1], np.float32)
    hot = tempered(p, 3.0)
    assert hot.dtype == np.float32 and hot[0] == 0 and hot[-1] == 1
    assert np.array_equal(hot >= 0.5, p >= 0.5) and (np.diff(hot) > 0).all()
    assert (np.abs(hot - 0.5) <= np.abs(p - 0.5)).all()
