"""What the mouse does in the slice views: it places points, paints strokes, or nothing of ours.

All that needs the Segment Editor's widget or the place mode is here.
"""

import slicer


class Pens:
    """One of four pens, or none.

    Args:
        editor_widget: a hidden qMRMLSegmentEditorWidget, whose Paint effect strokes are made with.
    """

    def __init__(self, editor_widget):
        self._editor = editor_widget
        self._taken = False

    def take(self, name: str, session, diameter_mm: float) -> None:
        """Takes the pen of that name; see `panel.PENS`."""
        self._taken = True
        positive = name.startswith("positive")
        if name.endswith("Point"):
            self._place(session.hint_nodes.positive if positive else session.hint_nodes.negative)
        else:
            self._paint(session, positive, diameter_mm)

    def lift(self) -> None:
        """No pen: the mouse moves through the slices as ever."""
        if not self._taken:
            return  # what other modules do with the mouse is theirs
        self._taken = False
        self._editor.setActiveEffectByName("")
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    def set_diameter(self, diameter_mm: float) -> None:
        """Of the brush."""
        effect = self._editor.activeEffect()
        if effect is not None:
            effect.setCommonParameter("BrushDiameterIsRelative", 0)
            effect.setCommonParameter("BrushAbsoluteDiameter", diameter_mm)

    def _place(self, points) -> None:
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetReferenceActivePlaceNodeClassName(points.GetClassName())
        logic.GetSelectionNode().SetActivePlaceNodeID(points.GetID())
        logic.GetInteractionNode().SetPlaceModePersistence(1)
        logic.GetInteractionNode().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)

    def _paint(self, session, positive: bool, diameter_mm: float) -> None:
        from HiDiffRefineLib.scene.hint_nodes import make_room, stroke_id

        make_room(session.hint_nodes, session.selected)
        settings = _settings()
        self._editor.setMRMLScene(slicer.mrmlScene)
        self._editor.setMRMLSegmentEditorNode(settings)
        self._editor.setSegmentationNode(session.hint_nodes.strokes)
        self._editor.setSourceVolumeNode(session.volume_node)
        self._editor.setCurrentSegmentID(stroke_id(session.selected, positive))
        self._editor.setActiveEffectByName("Paint")
        self.set_diameter(diameter_mm)


def _settings():
    """Of our own: strokes may overlap, and no masking of the Segment Editor cuts them."""
    node = slicer.mrmlScene.GetSingletonNode("HiDiffRefineStrokes", "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag("HiDiffRefineStrokes")
        node = slicer.mrmlScene.AddNode(node)
    node.SetOverwriteMode(node.OverwriteNone)
    return node
