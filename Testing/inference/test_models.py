"""Devices by name, and networks on others."""

import pytest
import torch

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.inference.models import choose_device, copied


def test_auto_takes_the_fastest_device_there_is(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "tpu"])
def test_a_device_that_is_absent_is_refused_with_those_there_are(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"'{name}'") as caught:
        choose_device(name)
    assert "cpu" in caught.value.remedy


def test_a_copy_never_lies_where_the_network_lies(monkeypatch):
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3), torch.nn.BatchNorm3d(2)).eval()
    network[0] = network[0].to(memory_format=torch.channels_last_3d)
    for kind in (torch.Tensor, torch.nn.Parameter):  # as deepcopy would, which a full device refuses
        monkeypatch.setattr(kind, "__deepcopy__", lambda *_: pytest.fail("copied on its own device"))
    other = copied(network, torch.device("cpu"))
    assert not other.training and other.state_dict().keys() == network.state_dict().keys()
    for mine, its in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, its) and mine.stride() == its.stride() and mine.data_ptr() != its.data_ptr()
    assert copied(network, torch.device("meta"))[0].weight.device.type == "meta"
