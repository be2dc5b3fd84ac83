"""Devices by name."""

import pytest
import torch

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.inference.models import choose_device


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
