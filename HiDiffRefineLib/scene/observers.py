"""Observers that are all released together."""

from collections.abc import Callable


class Observers:
    """What is being observed."""

    def __init__(self):
        self._tags: list[tuple[object, int]] = []

    def add(self, observed, event: int | str, callback: Callable) -> None:
        """Calls back at each such event of a VTK object, as VTK does: caller, event's name, data if asked."""
        self._tags.append((observed, observed.AddObserver(event, callback)))

    def release(self) -> None:
        """Observes nothing any more, and holds no node either."""
        for observed, number in self._tags:
            observed.RemoveObserver(number)
        self._tags.clear()
