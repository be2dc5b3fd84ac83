"""Slicer's place mode, in which clicks make points: taken for a list of ours, and given back as it was."""

from collections.abc import Callable

import slicer


class PlaceMode:
    """The mode and the list that it fills.

    Args:
        ended: called when Slicer or another module has changed the mode, or the list, while we used it.
    """

    def __init__(self, ended: Callable[[], None]):
        self._ended = ended
        self._before: tuple | None = None  # class, ID and persistence that others had chosen
        self._points = None  # the list that clicks go to
        self._tags: list = []  # of each observed node, the observer's number

    def place(self, points) -> None:
        """From now on clicks make points in a list, one after the other."""
        selection, interaction = _nodes()
        self._before = (
            selection.GetActivePlaceNodeClassName(),
            selection.GetActivePlaceNodeID(),
            interaction.GetPlaceModePersistence(),
        )
        self._points = points
        selection.SetReferenceActivePlaceNodeClassName(points.GetClassName())
        selection.SetActivePlaceNodeID(points.GetID())
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self.watch()

    def watch(self) -> None:
        """Tells when the mode changes, with or without a list of ours."""
        for node in _nodes():
            self._tags.append((node, node.AddObserver("ModifiedEvent", self._on_modified)))

    def give_back(self) -> None:
        """The mouse moves through the slices again, if it is still ours, and clicks go where they went."""
        if not self._tags:
            return
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags.clear()
        selection, interaction = _nodes()
        if self._before is not None and selection.GetActivePlaceNodeID() == self._points.GetID():
            if interaction.GetCurrentInteractionMode() == interaction.Place:
                interaction.SetCurrentInteractionMode(interaction.ViewTransform)
            kind, node_id, persistence = self._before
            selection.SetReferenceActivePlaceNodeClassName(kind)
            selection.SetActivePlaceNodeID(node_id)
            interaction.SetPlaceModePersistence(persistence)
        self._before = self._points = None

    def _on_modified(self, *_) -> None:
        selection, interaction = _nodes()
        placing = interaction.GetCurrentInteractionMode() == interaction.Place
        ours = self._points is not None and selection.GetActivePlaceNodeID() == self._points.GetID()
        if placing != (self._points is not None) or (placing and not ours):
            self._ended()


def _nodes() -> tuple:
    """What Slicer keeps the place mode in."""
    logic = slicer.app.applicationLogic()
    return logic.GetSelectionNode(), logic.GetInteractionNode()
