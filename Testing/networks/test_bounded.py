"""Layers whose streams stay of order one."""

import torch

from HiDiffRefineLib.networks.bounded import Norm, PostNormBlock, doubled


def test_the_norm_written_out_is_the_librarys(monkeypatch):
    torch.manual_seed(0)
    norm, x = Norm(16), 3 + 2 * torch.randn(2, 16, 3, 5, 4)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    wanted = norm(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(norm(x), wanted, rtol=1e-5, atol=1e-5)


def test_a_stream_stays_of_order_one_through_a_hundred_blocks():
    torch.manual_seed(0)
    x = torch.randn(1, 16, 4, 6, 6)
    with torch.no_grad():
        for _ in range(100):
            block = PostNormBlock(16)
            # Weights far from where they started, as after long training.
            block.conv1.weight.mul_(100)
            block.conv2.weight.mul_(100)
            x = block(x)
    assert x.abs().max() < 20


def test_an_embedding_scales_and_shifts():
    torch.manual_seed(0)
    block, x, e = PostNormBlock(8, embedding=4), torch.randn(1, 8, 2, 4, 4), torch.randn(1, 4)
    before = block(x, e)
    torch.nn.init.normal_(block.film.weight)
    assert not torch.allclose(block(x, e), before)


def test_every_voxel_becomes_eight():
    x = torch.arange(8.0).view(1, 2, 1, 2, 2)
    wanted = x.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    assert torch.equal(doubled(x), wanted)
