"""Whether a worker that is there is alive: it answers questions, its work moves on, and it ends when told."""

import time

from HiDiffRefineLib.runtime.link import Link, LinkLostError
from HiDiffRefineLib.runtime.wire import Cancel, Ping, Pong

# Between two questions.
PING_S = 1.0
# What an answer may take: the thread for that waits for nothing but the interpreter's lock.
ANSWER_S = 30.0
# The longest step of a job: one window of a segmentor on a slow processor, or the first touch of a GPU.
STEP_S = 300.0
# A cancelled job that has not ended by then is ended by force.
CANCEL_S = 15.0


class Heartbeat:
    """Checked whenever the client looks for news; a client that looks away for long finds no worker dead."""

    def __init__(self, link: Link):
        self._link = link
        self.begin()

    def begin(self) -> None:
        """A new worker is there, or none."""
        self._pinged_at = time.monotonic()
        self._asked_at: float | None = None
        self._cancelled: dict[int, float | None] = {}  # since when; None for one whose turn has not come

    @property
    def answered(self) -> bool:
        """Whether no question is open."""
        return self._asked_at is None

    @property
    def stuck(self) -> bool:
        """Whether the worker works on a cancelled job."""
        return any(since is not None for since in self._cancelled.values())

    def ask(self) -> None:
        """Asks whether the worker is there."""
        self._pinged_at = time.monotonic()
        if self._asked_at is None:
            self._asked_at = self._pinged_at
        self._link.send(Ping())

    def cancel(self, number: int, waits: bool) -> None:
        """Tells the worker that nobody wants a job; while it waits for another's end it may take its time."""
        self._cancelled[number] = None if waits else time.monotonic()
        self._link.send(Cancel(number))

    def begun(self, number: int) -> None:
        """A job's turn has come."""
        if number in self._cancelled:
            self._cancelled[number] = time.monotonic()

    def ended(self, number: int) -> None:
        """A job is over."""
        self._cancelled.pop(number, None)

    def heard(self, message: object) -> None:
        """Takes any message as a sign of life.

        Raises:
            LinkLostError: it tells of work that does not move.
        """
        self._asked_at = None
        if isinstance(message, Pong) and message.still_s > STEP_S:
            raise LinkLostError

    def check(self) -> None:
        """Asks now and then.

        Raises:
            LinkLostError: no answer, or a cancelled job goes on and on.
        """
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at > ANSWER_S:
            raise LinkLostError
        if any(since is not None and now - since > CANCEL_S for since in self._cancelled.values()):
            raise LinkLostError
        if now - self._pinged_at > PING_S:
            self.ask()
