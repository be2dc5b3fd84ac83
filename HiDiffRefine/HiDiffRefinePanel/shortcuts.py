"""Keys that live only while the module is in front. None destroys anything: undo takes all of it back."""

from collections.abc import Callable, Mapping

import qt
import slicer
from slicer.i18n import tr as _

# What the panel says of each.
TEXTS = {
    "A": _("click what is missing"),
    "X": _("click what is too much"),
    "B": _("the mask before its edits, and back"),
    "D": _("next doubtful place"),
    ",": _("less of the last change"),
    ".": _("more of it"),
    "Ctrl+Z": _("undo"),
    "Ctrl+Y": _("redo"),
    "Ctrl+Shift+Z": _("redo"),
}


class Shortcuts:
    """Keys of the application.

    Args:
        actions: what each key does.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]):
        self._actions = actions
        self._shortcuts: list = []

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Each key as it is called on this computer, and what it does."""
        native = qt.QKeySequence.NativeText
        return [(qt.QKeySequence(key).toString(native), TEXTS[key]) for key in self._actions]

    def enter(self) -> None:
        """Binds the keys."""
        if self._shortcuts:
            return
        for key, act in self._actions.items():
            shortcut = qt.QShortcut(slicer.util.mainWindow())
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setContext(qt.Qt.ApplicationShortcut)  # views may be in windows of their own
            shortcut.connect("activated()", act)
            self._shortcuts.append(shortcut)

    def exit(self) -> None:
        """Gives them back."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()
