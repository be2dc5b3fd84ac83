"""What the user may do with work that crashes have left, but to go on with it: delete it."""

import slicer
from slicer.i18n import tr as _

from HiDiffRefinePanel.journals import kept


class KeptWork:
    """The button is there as long as there is something to delete.

    Args:
        ui: the panel's widgets.
    """

    def __init__(self, ui, editor):
        self._ui, self._editor = ui, editor

    def show(self) -> None:
        """Looks whether there is any."""
        self._ui.keptButton.visible = bool(kept())

    def discard(self) -> None:
        """Deletes that which is on the chosen volume."""
        self._editor.discard()
        self.show()

    def discard_all(self) -> None:
        """Deletes all, if the user is sure."""
        text = _(
            "Delete the masks and hints of sessions that ended unexpectedly, on any volume? There are"
            " {count}, kept for 30 days on this computer. They cannot be brought back then."
        )
        if slicer.util.confirmOkCancelDisplay(text.format(count=len(kept()))):
            self._editor.discard_all()
            self.show()
