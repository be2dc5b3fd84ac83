"""What the clicked tissue itself says."""

import heapq

import numpy as np
import pytest
import torch

from HiDiffRefineLib.networks import evidence
from HiDiffRefineLib.networks.evidence import hint_evidence, least_tolerance


def least_tolerance_by_search(unlike: np.ndarray, hinted: np.ndarray) -> np.ndarray:
    """The same by Dijkstra's search with maxima for sums, along the six directions."""
    found = np.full(unlike.shape, np.inf)
    found[hinted] = unlike[hinted]
    queue = [(found[at], at) for at in map(tuple, np.argwhere(hinted))]
    heapq.heapify(queue)
    while queue:
        tolerance, at = heapq.heappop(queue)
        if tolerance > found[at]:
            continue
        for axis in range(3):
            for step in (-1, 1):
                to = tuple(n + step * (a == axis) for a, n in enumerate(at))
                if 0 <= to[axis] < unlike.shape[axis] and (new := max(tolerance, unlike[to])) < found[to]:
                    found[to] = new
                    heapq.heappush(queue, (new, to))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_sweeps_find_what_a_search_finds(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 1, 3, 3, 3)).astype(np.float32))
    unlike = torch.nn.functional.interpolate(coarse, size=(7, 9, 8), mode="trilinear")
    hinted = np.zeros((7, 9, 8), bool)
    hinted[tuple(rng.integers((7, 9, 8)))] = True
    wanted = least_tolerance_by_search(unlike[0, 0].numpy(), hinted).astype(np.float32)
    few = least_tolerance(unlike, torch.from_numpy(hinted)[None, None])[0, 0].numpy()
    assert (few >= wanted).all() and (few == wanted).mean() > 0.9
    monkeypatch.setattr(evidence, "ROUNDS", 8)
    enough = least_tolerance(unlike, torch.from_numpy(hinted)[None, None])[0, 0].numpy()
    np.testing.assert_array_equal(enough, wanted)


def test_connectedness_goes_around_a_wall_and_not_through_it():
    image = torch.full((1, 1, 4, 16, 16), 0.5)
    image[..., 8:10] = 1.0
    newest = torch.zeros_like(image)
    newest[0, 0, 2, 4, 4] = -1
    difference, connected = hint_evidence(image, newest)[0]
    assert connected[0, 0, 0] == 1 and connected[0, 0, 15] < 0.01
    assert difference[0, 0, 0] == 0 and difference[0, 0, 8] > 0.9
    image[..., 12:, :] = 0.5  # a gap in the wall
    assert hint_evidence(image, newest)[0, 1].min() < 0.01 < hint_evidence(image, newest)[0, 1, 0, 0, 15]


def test_a_sample_without_a_hint_has_no_evidence():
    image, newest = torch.rand(2, 1, 4, 8, 8), torch.zeros(2, 1, 4, 8, 8)
    newest[1, 0, 1, 2, 3] = 1
    found = hint_evidence(image, newest)
    assert not found[0].any() and found[1].any()
