"""The benchmark of moves from level to level runs."""

from pathlib import Path


def test_both_turns_of_a_move_are_timed(in_slicer):
    table = in_slicer(Path(__file__).with_name("moves.py"), "24")
    for kind in ("balls", "shells"):
        assert set(table[kind]) == {"session", "node", "both"}
        assert all(0 < median <= longest for median, longest in table[kind].values())
