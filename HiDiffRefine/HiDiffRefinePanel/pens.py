"""What the mouse does in the slice views: it places points, paints strokes, or nothing of ours.

All that needs the Segment Editor's widget is here; the place mode is `place_mode`'s.
"""

from collections.abc import Callable

import slicer

from HiDiffRefinePanel.place_mode import PlaceMode


class Pens:
    """One of four pens, or none.

    Args:
        editor_widget: a hidden qMRMLSegmentEditorWidget, whose Paint effect strokes are made with.
        ended: called when the mouse was taken from the pen, by a right click or another module.
    """

    def __init__(self, editor_widget, ended: Callable[[], None]):
        self._editor = editor_widget
        self._place_mode = PlaceMode(ended)

    def take(self, name: str, session, diameter_mm: float) -> None:
        """Takes the pen of that name; see `panel.PENS`."""
        positive = name.startswith("positive")
        if name.endswith("Point"):
            self._place_mode.place(session.hint_nodes.positive if positive else session.hint_nodes.negative)
        else:
            self._paint(session, positive, diameter_mm)
            self._place_mode.watch()

    def lift(self) -> None:
        """No pen: the mouse moves through the slices as ever."""
        if self._editor.activeEffect() is not None:
            self._editor.setActiveEffectByName("")
        self._place_mode.give_back()

    def set_diameter(self, diameter_mm: float) -> None:
        """Of the brush."""
        effect = self._editor.activeEffect()
        if effect is not None:
            effect.setCommonParameter("BrushDiameterIsRelative", 0)
            effect.setCommonParameter("BrushAbsoluteDiameter", diameter_mm)

    def _paint(self, session, positive: bool, diameter_mm: float) -> None:
        from HiDiffRefineLib.scene.hint_nodes import make_room, stroke_id

        make_room(session.hint_nodes, session.selected)
        # Before the scene: the widget would look for the nodes of a parameter node that it does not have.
        self._editor.setMRMLSegmentEditorNode(_settings())
        self._editor.setMRMLScene(slicer.mrmlScene)
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
