"""The segments of the session in Slicer's own table, and how they are seen: surfaces, opacity."""

from collections.abc import Callable

# What stands beside the table is of no use without segments.
WIDGETS = ("segmentsTable", "show3DButton", "opacityTitle", "opacitySlider")


class SegmentTable:
    """Eyes, colours, names and status are the table's own matter; here is only which segment is selected.

    Args:
        ui: the panel's widgets.
        guard: see `Jobs.guard`.
        chosen: called with the ID of the segment that the user selected.
    """

    def __init__(self, ui, guard: Callable, chosen: Callable[[str], None]):
        self._ui, self._chosen, self._session = ui, chosen, None
        # Without its arguments, which Python may know no type for.
        ui.segmentsTable.connect(
            "selectionChanged(QItemSelection,QItemSelection)", lambda: guard(self._on_selection)()
        )
        ui.opacitySlider.connect("valueChanged(double)", lambda value: guard(self._set_opacity)(value))

    def show(self, session) -> None:
        """The segments of a session, and its selection; None: nothing."""
        ui = self._ui
        for name in WIDGETS:
            getattr(ui, name).visible = session is not None
        if session is not self._session:
            self._session = session
            node = None if session is None else session.node
            ui.segmentsTable.setSegmentationNode(node)
            ui.show3DButton.setSegmentationNode(node)
        if session is not None:
            selected = [] if session.selected is None else [session.selected]
            _quietly(ui.segmentsTable, lambda: ui.segmentsTable.setSelectedSegmentIDs(selected))
            opacity = session.node.GetDisplayNode().GetOpacity2DFill()
            _quietly(ui.opacitySlider, lambda: setattr(ui.opacitySlider, "value", opacity))

    def _on_selection(self) -> None:
        """By the user; or because the selected segment was deleted, of which the session hears later."""
        session, selected = self._session, self._ui.segmentsTable.selectedSegmentIDs()
        if session is None or session.selected is None or len(selected) != 1:
            return
        there = session.node.GetSegmentation().GetSegment(session.selected) is not None
        (segment_id,) = selected
        if there and segment_id != session.selected and session.name_of(segment_id) is not None:
            self._chosen(segment_id)

    def _set_opacity(self, opacity: float) -> None:
        if self._session is not None:
            self._session.node.GetDisplayNode().SetOpacity2DFill(opacity)


def _quietly(widget, act: Callable[[], None]) -> None:
    """What is only shown is no wish of the user's."""
    before = widget.blockSignals(True)
    act()
    widget.blockSignals(before)
