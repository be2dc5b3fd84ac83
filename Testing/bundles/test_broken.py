"""A few of the bundles of broken.py; see Testing/broken.py for thousands."""

from Testing.bundles.broken import bundles
from Testing.tally import trials


def test_broken_bundles_are_used_or_refused_in_a_sentence(tmp_path, capfd):
    tally = bundles(trials(40), 1, tmp_path)
    assert tally.wrong == [] and tally.read and tally.inputs == trials(40)
    assert capfd.readouterr() == ("", "")
