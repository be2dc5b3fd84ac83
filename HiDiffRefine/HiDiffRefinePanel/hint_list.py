"""Hints of the selected segment, the newest first: to go to one, take one back, or look without them."""

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

ENDS = (("R", "L"), ("A", "P"), ("S", "I"))


class HintList:
    """The list and its buttons.

    Args:
        ui: the panel's widgets.
        guard: see `Jobs.guard`.
        delete: called with the hint that is to be taken back.
    """

    def __init__(self, ui, guard: Callable, delete: Callable):
        self._ui, self._delete, self._session = ui, delete, None
        self._listed: tuple = ((), ())  # hints, and those of them that wait
        # Both: arrow keys change the row, and the row that is current may be clicked again.
        ui.hintList.connect("currentRowChanged(int)", lambda: guard(self._jump)())
        ui.hintList.connect("itemClicked(QListWidgetItem*)", lambda: guard(self._jump)())
        ui.showHintsButton.connect("clicked(bool)", lambda on: guard(self.set_visible)(on))
        ui.deleteHintButton.connect("clicked()", lambda: guard(self._on_delete)())

    def show(self, session) -> None:
        """The hints of a session's selected segment; None: nothing."""
        there = session is not None and session.selected is not None
        hints = session.session.hints if there else ()
        waiting = session.session.pending if there else ()
        self._session = session
        if (hints, waiting) != self._listed:  # it costs milliseconds to find the middle of a long stroke
            chosen, self._listed = self._chosen(), (hints, waiting)
            self._fill(chosen)
        self._ui.showHintsButton.checked = there and session.hint_nodes.positive.GetDisplayVisibility() > 0

    def set_visible(self, on: bool) -> None:
        """Shows hints in the views, or hides them: a mark may cover what it speaks of."""
        if self._session is not None:
            for node in self._session.hint_nodes:
                node.SetDisplayVisibility(on)
            self._ui.showHintsButton.checked = on

    def _fill(self, chosen) -> None:
        """The rows anew; the one that was chosen stays so, if it is still there."""
        (hints, waiting), widget = self._listed, self._ui.hintList
        texts = [_text(number, hint, hint in waiting) for number, hint in enumerate(hints, 1)]
        before = widget.blockSignals(True)
        widget.clear()
        widget.addItems(texts[::-1])
        widget.currentRow = len(hints) - 1 - hints.index(chosen) if chosen in hints else -1
        widget.blockSignals(before)
        self._ui.deleteHintButton.enabled = widget.currentRow >= 0

    def _chosen(self):
        hints, row = self._listed[0], self._ui.hintList.currentRow
        return hints[-1 - row] if 0 <= row < len(hints) else None

    def _jump(self) -> None:
        from HiDiffRefineLib.hints.hint import place_ras

        hint = self._chosen()
        self._ui.deleteHintButton.enabled = hint is not None
        if hint is not None:
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *place_ras(hint))

    def _on_delete(self) -> None:
        hint = self._chosen()
        if hint is not None:
            self._delete(hint)


def _text(number: int, hint, waits: bool) -> str:
    """A row: which and where, in millimetres as Slicer tells where the mouse is."""
    from HiDiffRefineLib.hints.hint import Click, place_ras

    kind = _("click") if isinstance(hint, Click) else _("stroke")
    pairs = zip(place_ras(hint), ENDS, strict=True)
    place = ", ".join(f"{ends[int(value < 0)]} {abs(value):.0f}" for value, ends in pairs)
    return f"{number}.  {'+' if hint.positive else '−'} {kind}  {place}{_(' (waits)') if waits else ''}"
