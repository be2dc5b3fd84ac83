"""A few of the scenes of broken.py; see Testing/broken.py for thousands."""

import pytest

from Testing.scene.broken import scenes
from Testing.tally import trials


def test_sessions_on_odd_nodes_open_or_are_refused_in_a_sentence():
    tally = scenes(trials(50), 0)
    if tally is None:
        pytest.skip("slicer-core is not installed")
    assert tally.wrong == [] and tally.read and tally.refused and tally.inputs == trials(50)
