"""The nodes that a session works on: chosen, shown, and made where the user has not chosen any."""

import slicer

VOLUME, SEGMENTATION = "vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"


def loaded_volume():
    """The volume that the Red view shows, else the first; None if there is none to work on."""
    from HiDiffRefineLib.scene.own_nodes import is_own

    nodes = [_background_of_red(), *slicer.util.getNodesByClass(VOLUME)]
    inputs = (node for node in nodes if node and node.GetClassName() == VOLUME and not is_own(node))
    return next((node for node in inputs if not node.GetHideFromEditors()), None)


def show_volume(volume) -> None:
    """Shows a volume in all slice views, unless it is seen already."""
    if volume is not None and _background_of_red() is not volume:
        slicer.util.setSliceViewerLayers(background=volume, fit=True)


def hide_own(selector, class_name: str) -> None:
    """Takes what is no input out of a selector's nodes."""
    from HiDiffRefineLib.scene.own_nodes import own_ids

    model, ids = selector.sortFilterProxyModel(), own_ids(slicer.mrmlScene, class_name)
    if list(model.hiddenNodeIDs) != ids:
        model.hiddenNodeIDs = ids


def save_for_segment_editor(segmentation) -> None:
    """Has the Segment Editor remember a segmentation, if it works on it: its own undo then takes one edit."""
    module = getattr(slicer.modules, "SegmentEditorWidget", None)  # there since it was first shown
    editor = getattr(module, "editor", None)
    if editor is not None and editor.segmentationNode() is segmentation:
        editor.saveStateForUndo()


def _background_of_red():
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    red = next((view for view in views if view.GetLayoutName() == "Red"), None)
    return slicer.mrmlScene.GetNodeByID(red.GetBackgroundVolumeID() or "") if red else None


def complete(parameters) -> list:
    """Names a segmentation in the parameter node, and its hint nodes; returns those that are new.

    Each segmentation has hints of its own. Those of the last one are hidden.
    """
    from HiDiffRefineLib.scene.hint_nodes import hint_nodes_of, new_hint_nodes
    from HiDiffRefineLib.scene.segmentation_nodes import new_segmentation

    new = []
    if parameters.segmentation is None:
        name = f"{parameters.volume.GetName()} segmentation"
        parameters.segmentation = new_segmentation(parameters.volume, name)
        new.append(parameters.segmentation)
    last = [parameters.positive, parameters.negative, parameters.strokes]
    hints = hint_nodes_of(parameters.segmentation)
    if hints is None:
        hints = new_hint_nodes(parameters.volume, parameters.segmentation)
        new += hints
    parameters.positive, parameters.negative, parameters.strokes = hints
    for node in (*last, *hints):
        if node is not None:
            node.SetDisplayVisibility(node in tuple(hints))
    return new


def editor_settings():
    """The Segment Editor's own settings, so that masking chosen there binds edits here."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag("SegmentEditor")
        node = scene.AddNode(node)
    return node
