"""A map over all slices, with its legend; what the user had there before comes back."""

import slicer


class Overlay:
    """The foreground of the slice views, as long as it is borrowed."""

    def __init__(self):
        self._node_id = ""  # of the map
        self._before: dict[str, tuple] = {}  # by a view's node: volume and opacity that were there

    @property
    def shown(self) -> bool:
        """Whether it is borrowed."""
        return bool(self._node_id)

    def show(self, node, opacity: float) -> None:
        """Puts a map over all slices."""
        from HiDiffRefineLib.scene.uncertainty_node import show_legend

        if not self.shown:
            self._before = {
                view.GetID(): (view.GetForegroundVolumeID(), view.GetForegroundOpacity()) for view in _views()
            }
        self._node_id = node.GetID()
        slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=opacity)
        show_legend(node, True)

    def hide(self) -> None:
        """Gives the foreground back, but for views where the user has chosen another one since."""
        from HiDiffRefineLib.scene.uncertainty_node import show_legend

        if not self.shown:
            return
        for view in _views():
            if view.GetForegroundVolumeID() == self._node_id:
                volume_id, opacity = self._before.get(view.GetID(), (None, 0.0))
                view.SetForegroundVolumeID(volume_id)
                view.SetForegroundOpacity(opacity)
        node = slicer.mrmlScene.GetNodeByID(self._node_id)
        if node is not None:
            show_legend(node, False)
        self._node_id = ""


def _views() -> list:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
