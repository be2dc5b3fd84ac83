"""Bundles are looked up in the repository's models/, whatever the developer's environment says."""

import pytest


@pytest.fixture(autouse=True)
def shipped_models(monkeypatch):
    monkeypatch.delenv("HIDIFF_MODELS", raising=False)
