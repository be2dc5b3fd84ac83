"""A line around what a hint would change, as long as it is looked at."""

from typing import TYPE_CHECKING

from HiDiffRefineLib.scene.before_node import new_line_node
from HiDiffRefineLib.scene.hint_nodes import COLORS
from HiDiffRefineLib.scene.labelmaps import oriented_image
from HiDiffRefineLib.scene.segmentation_nodes import ijk_to_local
from HiDiffRefineLib.session.trying import Tried

if TYPE_CHECKING:
    from HiDiffRefineLib.scene.scene_session import SceneSession

NAME = "HiDiffRefine question"
# Pixels: it is seen on top of the mask's own line.
WIDTH = 2


def show_tried(session: "SceneSession", tried: Tried):
    """A node with the line, in the hint's colour; None where it would change nothing.

    `before_node.remove_line_node` takes it away again.
    """
    if tried.block is None:
        return None
    node = new_line_node(session.node, NAME)
    to_local = ijk_to_local(session.node, session.volume)
    image = oriented_image(tried.block.flips(), tried.block.box, to_local)
    node.GetDisplayNode().SetSliceIntersectionThickness(WIDTH)
    node.AddSegmentFromBinaryLabelmapRepresentation(image, NAME, COLORS[tried.hint.positive])
    return node
