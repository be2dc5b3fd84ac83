"""Long work in the user interface: iterators that a timer moves on, a little at a time."""

from collections.abc import Callable, Iterator

import qt

# Much shorter than what the eye sees as waiting; each look costs some microseconds.
INTERVAL_MS = 10


def _nothing(*_) -> None:
    """No one wants to know."""


class Jobs:
    """One job at a time.

    A job is an iterator; closed before its end, it is cancelled. Errors go to `failed`: no user action ends
    in a traceback. The timer rests while there is nothing to do.
    """

    def __init__(self):
        self.idle: Callable[[], None] = _nothing  # called when there is no job; may start one
        self.failed: Callable[[Exception], None] = _nothing
        self.changed: Callable[[], None] = _nothing  # called as a job begins or ends
        self._job: Iterator | None = None
        self._done: Callable[[], None] = _nothing
        self._each: Callable[[object], None] = _nothing
        self._watches = self._woken = self._quiet = False
        self._timer = qt.QTimer()
        self._timer.interval = INTERVAL_MS
        self._timer.connect("timeout()", lambda: self.guard(self.tick)())

    @property
    def running(self) -> bool:
        """Whether there is a job."""
        return self._job is not None

    @property
    def seen(self) -> bool:
        """Whether there is a job that the user is to see."""
        return self.running and not self._quiet

    def runs(self, job: Iterator | None) -> bool:
        """Whether it is this job that runs."""
        return self._job is not None and job is self._job

    def watch(self) -> None:
        """Looks for work now, and whenever `wake` says that there may be some."""
        self._watches = True
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken = True
        if self._watches and not self._timer.active:
            self._timer.start()

    def stop(self) -> None:
        """Cancels the job, and looks for work no more."""
        self._watches = False
        self._timer.stop()
        self.cancel()

    def guard(self, act: Callable) -> Callable:
        """The same, but errors go to `failed`: for what Qt, VTK or Slicer calls.

        Qt counts the arguments of what it calls: where there are any, a lambda has to name them.
        """

        def guarded(*arguments):
            try:
                return act(*arguments)
            except Exception as error:
                return self.failed(error)

        return guarded

    def start(
        self,
        job: Iterator,
        done: Callable[[], None] = _nothing,
        each: Callable[[object], None] = _nothing,
        quiet: bool = False,
    ) -> None:
        """Begins a job in the place of whatever runs.

        Args:
            done: called when it came to its end.
            each: called with what it yields, None left out.
            quiet: whether the user is not to see that it runs: no progress bar comes and goes.
        """
        self.cancel()
        self._job, self._done, self._each, self._quiet = job, done, each, quiet
        self.wake()
        self._tell()

    def cancel(self) -> None:
        """Ends the job before its end."""
        if self._job is not None:
            job, self._job = self._job, None
            job.close()
            self._tell()

    def tick(self) -> None:
        """Moves things on by one step."""
        if self._job is None:
            self._look()
        elif self._over():
            self._done()

    def _tell(self) -> None:
        if not self._quiet:
            self.changed()

    def _look(self) -> None:
        """Whether there is something to do; if not, the timer rests."""
        self._woken = False
        try:
            self.idle()
        finally:
            if self._job is None and not self._woken:
                self._timer.stop()

    def _over(self) -> bool:
        """Takes a step of the job; whether that was its end."""
        try:
            value = next(self._job)
        except BaseException as end:
            self._job = None
            self._tell()
            if isinstance(end, StopIteration):
                return True
            raise
        if value is not None:
            self._each(value)
        return False
