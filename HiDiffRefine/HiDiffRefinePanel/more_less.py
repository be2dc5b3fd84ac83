"""More or less of the newest answer, as the user turns the wheel."""

from collections.abc import Iterator


class MoreLess:
    """Takes the session from level to level, in turns that are short enough for the user interface.

    Args:
        editor: whose session it is.
    """

    def __init__(self, editor):
        self._editor = editor
        self.wanted: int | None = None  # a level that nobody has taken up yet
        self._move: Iterator[None] | None = None

    @property
    def level(self) -> int | None:
        """How much of the newest answer is taken, or will be in a moment; None where it can't be changed."""
        session = self._editor.session
        level = None if session is None or session.selected is None else session.session.extent
        return level if level is None or self.wanted is None else self.wanted

    def choose(self, level: int) -> None:
        """Wants a level, once a move that goes on is over; the latest wins."""
        if not self._editor.jobs.runs(self._move):
            self._editor.jobs.cancel()
        self.wanted = level
        self._editor.jobs.wake()

    def attend(self) -> None:
        """Goes to the wanted level."""
        level, there = self.wanted, self.level is not None
        self.wanted = None
        if there:
            self._move = self._editor.session.extending(level)
            self._editor.jobs.start(self._move, self._editor.shown, quiet=True)
