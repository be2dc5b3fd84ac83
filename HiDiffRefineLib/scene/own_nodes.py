"""Nodes that are made for the user's work, and are no input of it: strokes, uncertainty maps.

They are shown, listed and saved as any other; the attribute tells them apart, in saved scenes too.
"""

ATTRIBUTE = "HiDiffRefine.own"


def mark_own(node) -> None:
    """Says of a node that it is no input."""
    node.SetAttribute(ATTRIBUTE, "1")


def is_own(node) -> bool:
    """Whether that is said of a node."""
    return node.GetAttribute(ATTRIBUTE) is not None


def own_ids(scene, class_name: str) -> list[str]:
    """IDs of such nodes of a class, in the scene's order."""
    nodes = (scene.GetNthNodeByClass(n, class_name) for n in range(scene.GetNumberOfNodesByClass(class_name)))
    return [node.GetID() for node in nodes if is_own(node)]
