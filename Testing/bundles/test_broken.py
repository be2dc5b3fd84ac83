"""A few of the bundles of broken.py; HIDIFF_BROKEN=3000 has so many spoilt."""

import os

from Testing.bundles.broken import wrong_endings

COUNT = int(os.environ.get("HIDIFF_BROKEN", 40))


def test_broken_bundles_are_used_or_refused_in_a_sentence(tmp_path, capfd):
    assert wrong_endings(COUNT, 1, tmp_path) == []
    assert capfd.readouterr() == ("", "")
