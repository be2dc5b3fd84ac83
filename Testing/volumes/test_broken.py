"""A few of the files of broken.py; run it by itself for thousands."""

from Testing.volumes.broken import wrong_endings


def test_broken_files_are_read_or_refused_in_a_sentence(tmp_path, capfd):
    assert wrong_endings(100, 7, tmp_path) == []
    assert capfd.readouterr() == ("", "")
