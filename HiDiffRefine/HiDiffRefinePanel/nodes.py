"""The nodes that a session works on, made where the user has not chosen any."""

import slicer


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
