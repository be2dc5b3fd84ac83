"""Checks of volumes, transforms and geometries of all kinds; run by `run_in_slicer`."""

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.segmentation_nodes import new_segmentation
from HiDiffRefineLib.scene.uncertainty_node import show_uncertainty
from HiDiffRefineLib.scene.volume_nodes import volume_of
from Testing.scene.application import application_scene
from Testing.scene.made_up import (
    SHAPE,
    add_transform,
    add_volume,
    agree,
    click_and_refine,
    cube,
    in_node,
    open_session,
    paint,
    ras_of,
    segmented,
)
from Testing.slicer_checks import outcomes
from Testing.volumes.samples import OBLIQUE_LAS, affine

MOVED = affine(degrees=(20, 5, -10), origin=(40, -3, 12))


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


def refused(act) -> VolumeError:
    try:
        act()
    except VolumeError as error:
        assert error.message and error.remedy
        return error
    raise AssertionError("not refused")


def check_a_volume_node_lies_where_slicer_shows_it(scene, folder):
    node = add_volume(scene, OBLIQUE_LAS)
    np.testing.assert_allclose(volume_of(node).ijk_to_ras, OBLIQUE_LAS, atol=1e-9)
    assert volume_of(node).array.shape == SHAPE and volume_of(node).name == "head"
    node.SetAndObserveTransformNodeID(add_transform(scene, MOVED).GetID())
    np.testing.assert_allclose(volume_of(node).ijk_to_ras, MOVED @ OBLIQUE_LAS, atol=1e-9)


def check_modality_comes_from_the_dicom_database(scene, folder):
    node = add_volume(scene)
    assert volume_of(node).modality == ""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert volume_of(node).modality == "MR"


def check_what_cannot_be_used_is_refused_with_a_remedy(scene, folder):
    node = add_volume(scene)
    warp = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for point in ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10)):
        points.InsertNextPoint(point)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(points)
    spline.SetBasisToR()
    warp.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(warp.GetID())
    assert "Harden" in refused(lambda: volume_of(node)).remedy
    shear = np.eye(4)
    shear[0, 1] = 0.3
    node.SetAndObserveTransformNodeID(add_transform(scene, shear).GetID())
    refused(lambda: volume_of(node))
    refused(lambda: volume_of(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")))
    colours = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colours")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.GetPointData().SetScalars(numpy_to_vtk(np.zeros((64, 3), np.uint8), deep=True))
    colours.SetAndObserveImageData(image)
    refused(lambda: volume_of(colours))


def check_a_segmentation_of_another_geometry_is_refused(scene, folder):
    volume = add_volume(scene)
    other = segmented(scene, add_volume(scene, np.diag([1.1, 1, 2, 1])))
    assert "geometry" in refused(lambda: open_session(scene, volume, other.node)).message
    shifted = np.diag([1.0, 1, 2, 1])
    shifted[0, 3] = 0.5
    other = segmented(scene, add_volume(scene, shifted))
    refused(lambda: open_session(scene, volume, other.node))
    surface = new_segmentation(volume, "surface")
    surface.SetSourceRepresentationToClosedSurface()
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    surface.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", [1, 0, 0])
    assert "surface" in refused(lambda: open_session(scene, volume, surface)).message


def check_a_segmentation_under_another_transform_than_its_volume(scene, folder):
    """The volume is moved, the segmentation was drawn where it lies now: both agree in the world."""
    volume = add_volume(scene)
    volume.SetAndObserveTransformNodeID(add_transform(scene, MOVED).GetID())
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    session = segmented(scene, volume, segmentation)
    click_and_refine(session, (8, 25, 14))
    assert in_node(session)[8, 25, 14] and agree(session)


def check_the_same_place_changes_the_same_anatomy_on_every_grid(scene, folder):
    linear = [np.diag([1.0, 1, 2, 1]), np.diag([-1.0, -1, 2, 1]), OBLIQUE_LAS, affine((0.6, 0.9, 4.0))]
    for ijk_to_ras in linear:
        for moved in (None, MOVED):
            volume = add_volume(scene, ijk_to_ras)
            if moved is not None:
                volume.SetAndObserveTransformNodeID(add_transform(scene, moved).GetID())
            session = segmented(scene, volume)
            before = in_node(session)
            click_and_refine(session, (8, 25, 14))
            changed = np.argwhere(in_node(session) != before)
            points = np.array([ras_of(session, kji) for kji in changed])
            distance = np.linalg.norm(points - ras_of(session, (8, 25, 14)), axis=1)
            # The obedient refiner's ball of 4 mm, in the world's millimetres.
            assert distance.max() < 4.001 and len(points) > 3 and agree(session)
            session.close()


def check_strokes_lie_where_they_were_painted_on_every_grid(scene, folder):
    volume = add_volume(scene, OBLIQUE_LAS)
    volume.SetAndObserveTransformNodeID(add_transform(scene, MOVED).GetID())
    session = segmented(scene, volume)
    paint(session.hint_nodes.strokes, f"+ {session.selected}", cube(3, 25, 25), session)
    session.take_hints()
    for _ in session.refining():
        pass
    assert in_node(session)[cube(3, 25, 25)].all() and agree(session)


def check_uncertainty_is_a_volume_that_shows_what_is_doubtful(scene, folder):
    volume = add_volume(scene, OBLIQUE_LAS)
    volume.SetAndObserveTransformNodeID(add_transform(scene, MOVED).GetID())
    session = segmented(scene, volume)
    uncertainty = session.session.uncertainty()
    node = show_uncertainty(uncertainty, volume, (0.9, 0.2, 0.1))
    shown = volume_of(node)
    np.testing.assert_allclose(shown.ijk_to_ras, uncertainty.grid.ijk_to_ras, atol=1e-9)
    assert (uncertainty.values[uncertainty.numbers == 0] > 0).any()
    np.testing.assert_array_equal(shown.array, np.where(uncertainty.numbers, uncertainty.values, 0))
    assert node.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeGreen"
    assert node.GetDisplayNode().GetApplyThreshold()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
    assert legend.GetTitleText() == "Undecided"
    assert show_uncertainty(uncertainty, volume, (0.1, 0.9, 0.1), node) is node
    assert node.GetDisplayNode().GetColorNodeID() == "vtkMRMLColorTableNodeRed"
    assert node.GetNumberOfDisplayNodes() == 2, "one of the map, one of the legend"
