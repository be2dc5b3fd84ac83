"""A volume node for an uncertainty map, in a colour of its own and with a legend."""

import colorsys

import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from HiDiffRefineLib.inference.messages import Uncertainty
from HiDiffRefineLib.scene.matrices import as_matrix
from HiDiffRefineLib.scene.own_nodes import mark_own

NAME = "HiDiffRefine uncertainty"
# Slicer's tables from black to one hue, by that hue. Cyan and magenta are the hints' colours.
HUES = {"Red": 0.0, "Yellow": 1 / 6, "Green": 1 / 3}
# What is sure stays clear of colour.
CLEAR = 0.1
LEGEND_FONT = 12  # pixels


def show_uncertainty(uncertainty: Uncertainty, volume_node, segment_rgb, node=None):
    """The doubtful places as a volume node: the given one, or a new one, 0 (sure) to 1 (undecided).

    Args:
        segment_rgb: 0…1, the colour that the map must not be taken for.
    """
    if node is None:
        node = volume_node.GetScene().AddNewNodeByClass("vtkMRMLScalarVolumeNode", NAME)
        mark_own(node)
    image = vtk.vtkImageData()
    image.SetDimensions(*uncertainty.values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(uncertainty.worth_a_look.ravel(), deep=True))
    # In the world's RAS, so it needs no parent transform.
    node.SetIJKToRASMatrix(as_matrix(uncertainty.grid.ijk_to_ras))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()  # before there is an image: Slicer would count its grey values
    node.SetAndObserveImageData(image)
    display.SetWindowLevelMinMax(0, 1)
    display.SetAndObserveColorNodeID(f"vtkMRMLColorTableNode{unlike(segment_rgb)}")
    display.SetThreshold(CLEAR, 1)
    display.SetApplyThreshold(True)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText("Undecided")
    legend.SetLabelFormat("%.1f")
    legend.SetNumberOfLabels(3)
    # As Slicer makes it, it takes a quarter of a small view.
    legend.SetSize(0.08, 0.3)
    legend.SetPosition(0.98, 0.5)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetFontSize(LEGEND_FONT)
    # Views draw it when it is shown from now on, and only if they show the map by then.
    legend.SetVisibility(False)
    return node


def show_legend(node, shown: bool) -> None:
    """Shows or hides the legend of a map in the views."""
    slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node).SetVisibility(shown)


def unlike(rgb) -> str:
    """The hue of `HUES` that is farthest from a colour (0…1)."""
    hue, _saturation, _value = colorsys.rgb_to_hsv(*rgb)
    return max(HUES, key=lambda name: min(abs(hue - HUES[name]), 1 - abs(hue - HUES[name])))
