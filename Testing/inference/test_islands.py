"""Islands go with their rim, everything else stays."""

import torch

from HiDiffRefineLib.inference.islands import remove_islands


def probabilities():
    """Label 1: a large block, a speck and a piece of a tenth; label 2: two halves."""
    label = torch.zeros(3, 20, 40, 40)
    label[1, 4:14, 4:14, 4:14] = 0.9
    label[1, 4:6, 30:33, 30:33] = 0.8
    label[1, 10:15, 30:35, 4:8] = 0.8
    label[2, 4:8, 20:24, 4:8] = label[2, 4:8, 20:24, 12:16] = 0.7
    # A soft rim around the speck that wins nowhere.
    label[1, 6, 30:33, 30:33] = 0.3
    label[0] = 1 - label[1] - label[2]
    return label.half()


def test_a_speck_and_its_rim_become_background_and_nothing_else_changes():
    before, found = probabilities(), probabilities()
    remove_islands(found)
    speck = (slice(None), slice(4, 7), slice(30, 33), slice(30, 33))
    assert not found[speck][1].any() and (found[speck][0] == 1).all()
    found[speck] = before[speck]
    assert torch.equal(found, before)


def test_the_rim_of_an_island_takes_nothing_from_its_neighbour():
    found = probabilities()
    found[1, 4:14, 17, 4:14] = 0
    found[1, 5, 16, 5] = 0.8
    found[0] = 1 - found[1] - found[2]
    before = found.clone()
    remove_islands(found)
    assert found[1, 5, 16, 5] == 0
    assert torch.equal(found[1, 4:14, 4:14, 4:14], before[1, 4:14, 4:14, 4:14])
    assert torch.equal(found[2], before[2])


def test_nothing_but_background_stays():
    empty = torch.zeros(3, 5, 5, 5).half()
    empty[0] = 1
    remove_islands(empty)
    assert (empty[0] == 1).all()
