"""Slices, interpolation, noise and normalisation, against what they must do to simple images."""

import numpy as np
import torch

from HiDiffRefineLib.training.acquisition import (
    along_axes,
    interpolation_matrix,
    normalised,
    slice_matrix,
    with_noise,
)


def test_a_matrix_along_each_axis_is_what_einsum_says():
    random = torch.Generator().manual_seed(0)
    volumes = torch.rand(2, 3, 4, 5, generator=random)
    matrices = [torch.rand(2, n + 1, n, generator=random) for n in (3, 4, 5)]
    expected = torch.einsum("bkji,bpk,bqj,bri->bpqr", volumes, *matrices)
    torch.testing.assert_close(along_axes(volumes, matrices), expected)


def test_slices_of_a_ramp_and_back_are_the_ramp():
    # Symmetric slices of something linear change nothing, and linear interpolation brings it back.
    places = torch.arange(60.0)
    spacing, start = torch.tensor([1.0, 4.0]), torch.tensor([0.0, 1.5])
    down = slice_matrix(places, spacing, spacing, start)
    torch.testing.assert_close(down.sum(-1), torch.ones(2, 60))
    up = interpolation_matrix(places, places, spacing, start)
    ramp = (up @ (down @ places[:, None]))[..., 0]
    torch.testing.assert_close(ramp[:, 10:50], places.expand(2, -1)[:, 10:50], atol=1e-4, rtol=0)


def test_thick_slices_hide_what_is_thin():
    places, thin = torch.arange(60.0), torch.zeros(60, 1)
    thin[30] = 1
    spacing, start = torch.tensor([1.0, 6.0]), torch.zeros(2)
    seen = slice_matrix(places, spacing, spacing, start) @ thin
    seen = (interpolation_matrix(places, places, spacing, start) @ seen)[..., 0]
    assert seen[0].max() > 0.8 and seen[1].max() < 0.2
    assert seen[0].argmax() == 30 and abs(seen[1].argmax() - 30) <= 3


def test_noise_without_signal_follows_rayleigh():
    # Mean of Rayleigh's law: sigma sqrt(pi / 2).
    noise = with_noise(torch.zeros(2, 30, 30, 30), torch.tensor([0.0, 0.1]), torch.Generator().manual_seed(0))
    assert noise[0].max() == 0
    np.testing.assert_allclose(noise[1].mean(), 0.1 * np.sqrt(np.pi / 2), rtol=0.01)


def test_normalisation_leaves_out_what_is_exactly_zero():
    image = torch.zeros(2, 30, 30, 30)
    image[0, :15] = 5 + torch.rand(15, 30, 30, generator=torch.Generator().manual_seed(0))
    shown = normalised(image, 0.005, torch.tensor([0.995, 0.995]))
    torch.testing.assert_close(shown[0, :15].mean(), torch.tensor(0.5), atol=0.03, rtol=0)
    assert shown.min() == 0 and shown.max() == 1
    assert not shown[1].any()  # nothing but air
