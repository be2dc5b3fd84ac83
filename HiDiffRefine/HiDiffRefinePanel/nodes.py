"""The nodes that a session works on, made where the user has not chosen any."""

import slicer


def complete(parameters) -> list:
    """Names new nodes in the parameter node where it names none; returns them."""
    from HiDiffRefineLib.scene.hint_nodes import new_hint_nodes
    from HiDiffRefineLib.scene.segmentation_nodes import new_segmentation

    new = []
    if parameters.segmentation is None:
        name = f"{parameters.volume.GetName()} segmentation"
        parameters.segmentation = new_segmentation(parameters.volume, name)
        new.append(parameters.segmentation)
    if None in (parameters.positive, parameters.negative, parameters.strokes):
        hints = new_hint_nodes(parameters.volume)
        parameters.positive, parameters.negative, parameters.strokes = hints
        new += hints
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
