"""A few of the files of broken.py; see Testing/broken.py for thousands."""

import pytest

from Testing.tally import trials
from Testing.volumes.broken import hints, images
from Testing.volumes.odd import odd_images


@pytest.mark.parametrize("kind", [images, hints, odd_images])
def test_broken_files_are_read_or_refused_in_a_sentence(tmp_path, capfd, kind):
    tally = kind(trials(100), 7, tmp_path)
    assert tally.wrong == [] and tally.read and tally.inputs == trials(100)
    assert capfd.readouterr() == ("", "")
