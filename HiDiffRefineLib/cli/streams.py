"""Standard streams that are closed, full or unread, and signals: no command ends in a traceback for them."""

import os
import signal
import sys
from contextlib import suppress

STOPPED, TERMINATED = 130, 143


def prepare() -> None:
    """Makes the standard streams and signals of a process ready for a command."""
    # A stream that the caller closed goes nowhere: else the next file that is opened would take its place.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = Unheard(sys.stderr or open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    # As Ctrl+C: what is begun is taken away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


class Unheard:
    """A text stream for messages, which does without listeners: work does not end for them.

    The exit status says what they would have heard.
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes text where it can be written."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def give_up_output() -> None:
    """Sends what is left for a standard output that can't be written nowhere: Python's last words too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
