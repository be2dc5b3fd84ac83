"""A made-up head in a scene, and sessions on it. Imports slicer."""

import numpy as np
import slicer
import slicer.util
import vtk

from HiDiffRefineLib.geometry.boxes import whole_box
from HiDiffRefineLib.scene.hint_nodes import new_hint_nodes
from HiDiffRefineLib.scene.matrices import as_matrix
from HiDiffRefineLib.scene.scene_session import SceneSession
from HiDiffRefineLib.scene.segment_writer import SegmentWriter
from HiDiffRefineLib.scene.segmentation_nodes import ijk_to_local, mask_in, new_segmentation
from Testing.scene.obedient import ObedientModels

SHAPE = (24, 40, 36)


def add_volume(scene, ijk_to_ras=None, name="head"):
    """Noise with two boxes that the obedient segmentor finds."""
    array = np.random.default_rng(0).integers(0, 400, SHAPE).astype(np.int16)
    array[6:12, 8:20, 8:20] = 600
    array[14:18, 8:20, 8:20] = 800
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(as_matrix(np.diag([1.0, 1, 2, 1]) if ijk_to_ras is None else ijk_to_ras))
    slicer.util.updateVolumeFromArray(node, array)
    node.CreateDefaultDisplayNodes()
    return node


def add_transform(scene, matrix):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(as_matrix(matrix))
    return node


def open_session(scene, volume=None, segmentation=None, hints=None, journal=None, **settings) -> SceneSession:
    """A session on new nodes where none are given; closed where it is refused, and with its scene.

    Callbacks of a session that nobody closed may run while Python collects it, which slicer-core does not
    survive.
    """
    volume = volume or add_volume(scene)
    segmentation = segmentation or new_segmentation(volume, "segmentation")
    hints = hints or new_hint_nodes(volume, segmentation)
    editor = scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    session = SceneSession(
        volume, segmentation, hints, editor, **{"gone": lambda why: session.close()} | settings
    )
    try:
        finish(session.opening(ObedientModels(), journal))
    except Exception:
        session.close()
        raise
    return session


def segmented(scene, *arguments, **settings) -> SceneSession:
    """A session whose segmentor has been at work."""
    session = open_session(scene, *arguments, **settings)
    finish(session.segmenting((), lambda share, what: None))
    return session


def segment_editor(session):
    """The logic of a Segment Editor that works on the session's segmentation, and is told of edits."""
    logic = slicer.vtkSlicerSegmentEditorLogic()
    logic.SetMRMLScene(session.node.GetScene())
    logic.SetSegmentEditorNode(session.editor_node)
    session.saving = logic.SaveStateForUndo
    return logic


def finish(job) -> None:
    for _ in job:
        pass


def ras_of(session, kji) -> np.ndarray:
    """Where a voxel is in the world."""
    return (session.volume.ijk_to_ras @ [*kji[::-1], 1])[:3]


def click(session, kji, positive=True) -> None:
    """What a mouse click does: a point in the list, without a description."""
    nodes = session.hint_nodes
    node = nodes.positive if positive else nodes.negative
    node.AddControlPointWorld(vtk.vtkVector3d(*ras_of(session, kji)))


def click_and_refine(session, kji, positive=True) -> None:
    click(session, kji, positive)
    assert session.take_hints() == 1
    finish(session.refining())


def in_node(session, segment_id=None) -> np.ndarray:
    """The mask that the node shows, (k, j, i)."""
    box = whole_box(session.volume.array.shape)
    return mask_in(session.node, segment_id or session.selected, session.volume, box)


def agree(session) -> bool:
    """Whether node and session have the same masks."""
    names = {segment_id: session.name_of(segment_id) for segment_id in session.keys}
    return all(
        np.array_equal(in_node(session, segment_id), session.session.mask(name))
        for segment_id, name in names.items()
        if name is not None
    )


def paint(node, segment_id, mask, session, remove=False) -> None:
    """A stroke of the Segment Editor's brush: a logic of its own, which the session knows nothing of."""
    writer, box = SegmentWriter(node, None), whole_box(mask.shape)
    before, after = (mask, np.zeros_like(mask)) if remove else (np.zeros_like(mask), mask)
    writer.write(segment_id, box, before, after, ijk_to_local(node, session.volume))
    writer.close()


def cube(k, j, i, size=3) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[k : k + size, j : j + size, i : i + size] = True
    return mask
