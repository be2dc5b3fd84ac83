"""A few of the command lines of broken.py; see Testing/broken.py for thousands."""

from Testing.cli.broken import commands
from Testing.tally import trials


def test_command_lines_are_done_or_refused_in_a_sentence(tmp_path):
    tally = commands(trials(20), 0, tmp_path)
    assert tally.wrong == [] and tally.read and tally.refused and tally.inputs == trials(20)
