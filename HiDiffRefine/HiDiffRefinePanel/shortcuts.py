"""Keys that live only while the module is in front. None destroys anything: undo takes all of it back."""

from collections.abc import Callable, Mapping

import qt
import slicer


class Shortcuts:
    """Keys of the application.

    Args:
        actions: what each key does.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]):
        self._actions = actions
        self._shortcuts: list = []

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
