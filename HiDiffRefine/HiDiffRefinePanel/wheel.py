"""Shift + mouse wheel over the slice views, while the module is in front."""

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

# How the panel calls it, and what it does.
TEXT = (_("Shift + mouse wheel"), _("more or less of the newest answer"))
# Before Slicer's own observers, which scroll through the slices.
PRIORITY = 1.0
# macOS takes the wheel with Shift for one that turns sideways.
TURNS = {
    "MouseWheelForwardEvent": 1,
    "MouseWheelBackwardEvent": -1,
    "MouseWheelLeftEvent": 1,
    "MouseWheelRightEvent": -1,
}


class Wheel:
    """The wheel of the mouse over any slice view.

    Args:
        turned: called with 1 or -1; whether that was for it, so that nobody else gets it.
    """

    def __init__(self, turned: Callable[[int], bool]):
        self._turned = turned
        self._listens = False
        self._tags: list = []  # of each event of each view: its interactor, and the observer's number

    def enter(self) -> None:
        """Listens, to views that come with another layout as well."""
        if not self._listens:
            self._listens = True
            slicer.app.layoutManager().connect("layoutChanged(int)", self._on_layout)
            self._on_layout()

    def exit(self) -> None:
        """Listens no more."""
        if self._listens:
            self._listens = False
            slicer.app.layoutManager().disconnect("layoutChanged(int)", self._on_layout)
            self._release()

    def _on_layout(self, number: int = 0) -> None:
        self._release()
        layout = slicer.app.layoutManager()
        for name in layout.sliceViewNames():
            interactor = layout.sliceWidget(name).interactorStyle().GetInteractor()
            for event in TURNS:
                tag = interactor.AddObserver(event, self._on_wheel, PRIORITY)
                self._tags.append((interactor, tag))

    def _release(self) -> None:
        for interactor, tag in self._tags:
            interactor.RemoveObserver(tag)
        self._tags.clear()

    def _on_wheel(self, interactor, event: str) -> None:
        if interactor.GetShiftKey() and self._turned(TURNS[event]):
            for one, tag in self._tags:
                if one is interactor:
                    interactor.GetCommand(tag).SetAbortFlag(1)
