"""What may be odd about the nodes of a scene: scripts, other programs and users leave it. Imports slicer."""

from dataclasses import dataclass, replace

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from HiDiffRefineLib.scene.matrices import as_matrix
from HiDiffRefineLib.scene.segmentation_nodes import BINARY_LABELMAP, segment_ids
from Testing.volumes.samples import affine

NUMBERS = [0.0, -1.0, 1e-9, 1e9, 1e300, float("nan"), float("inf")]
NAMES = ["", " ", "a b", "− x", "+ x", "名前", "x" * 300, "a/b\\c", "é\n"]
DESCRIPTIONS = [
    "x",
    "1",
    "x A",
    "-1 A",
    "1.5 A",
    "² A",
    "99999999999999999999 A",
    " A",
    "0 nobody",
    "0  A",
    "é",
]
TYPES = [np.float64, np.float32, np.uint8, np.int8, np.uint16, np.int32, np.uint64]


@dataclass
class Nodes:
    """A volume, a segmentation of it, and the hints for that; the volume's good voxels."""

    volume: object
    segmentation: object
    hints: object
    voxels: np.ndarray

    @property
    def scene(self):
        return self.volume.GetScene() or self.segmentation.GetScene()

    def any_node(self, random):
        return [self.volume, self.segmentation, *self.hints][random.integers(5)]

    def any_segment(self, random, node=None):
        """A segment, None where there is none."""
        node = node or self.segmentation
        ids = segment_ids(node)
        return node.GetSegmentation().GetSegment(ids[random.integers(len(ids))]) if ids else None

    def any_points(self, random):
        return [self.hints.positive, self.hints.negative][random.integers(2)]


def volume_without_image(nodes, random):
    nodes.volume.SetAndObserveImageData([None, vtk.vtkImageData()][random.integers(2)])


def volume_of_another_shape(nodes, random):
    shape = [(1, 40, 36), (24, 1, 36), (24, 40, 1), (2, 2, 2), (5, 6, 7)][random.integers(5)]
    slicer.util.updateVolumeFromArray(nodes.volume, random.integers(0, 400, shape).astype(np.int16))


def volume_of_colours(nodes, random):
    image = vtk.vtkImageData()
    image.SetDimensions(36, 40, 24)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, int(random.integers(2, 5)))
    nodes.volume.SetAndObserveImageData(image)


def volume_of_another_type(nodes, random):
    kind = TYPES[random.integers(len(TYPES))]
    slicer.util.updateVolumeFromArray(nodes.volume, nodes.voxels.astype(kind))


def volume_with_odd_voxels(nodes, random):
    array = nodes.voxels.astype(np.float32)
    match random.integers(4):
        case 0:
            array[tuple(random.integers(array.shape))] = [np.nan, np.inf, -np.inf, 1e36, -1e31][
                random.integers(5)
            ]
        case 1:
            array[:] = random.integers(3)
        case 2:
            array = np.floor(array / 300)
        case 3:
            array *= random.choice([1e-20, 1e20, -1])
    slicer.util.updateVolumeFromArray(nodes.volume, array)


def volume_of_odd_geometry(nodes, random):
    node, number = nodes.volume, NUMBERS[random.integers(len(NUMBERS))]
    match random.integers(4):
        case 0:
            node.SetSpacing(*random.permutation([number, 1, 1]).tolist())
        case 1:
            node.SetOrigin(*random.permutation([number, 1, 1]).tolist())
        case 2:
            directions = random.choice([0, 1, -1, 0.5, number], 9)
            node.SetIJKToRASDirections(*directions.tolist())
        case 3:
            matrix = affine(random.uniform(0.2, 4, 3), random.uniform(-90, 90, 3), random.choice([-1, 1], 3))
            node.SetIJKToRASMatrix(as_matrix(matrix))


def node_under_a_transform(nodes, random):
    node, scene = nodes.any_node(random), nodes.scene
    if random.random() < 0.3:
        transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
        spline = vtk.vtkThinPlateSplineTransform()
        places = vtk.vtkPoints()
        for corner in np.ndindex(2, 2, 2):
            places.InsertNextPoint(*np.multiply(corner, 50))
        moved = vtk.vtkPoints()
        moved.DeepCopy(places)
        moved.SetPoint(0, 9, 7, 5)
        spline.SetSourceLandmarks(places)
        spline.SetTargetLandmarks(moved)
        spline.SetBasisToR()
        transform.SetAndObserveTransformToParent(spline)
    else:
        matrix = affine(random.choice([0.5, 1, 2, -1], 3), random.uniform(-90, 90, 3), origin=(5, 6, 7))
        odd = random.random() < 0.4
        if odd:
            matrix[tuple(random.integers(3, size=2))] = NUMBERS[random.integers(len(NUMBERS))]
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
        transform.SetMatrixTransformToParent(as_matrix(matrix))
        if random.random() < 0.3:
            other = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved again")
            transform.SetAndObserveTransformNodeID(other.GetID())
    node.SetAndObserveTransformNodeID(transform.GetID())


def node_of_an_odd_name(nodes, random):
    nodes.any_node(random).SetName(NAMES[random.integers(len(NAMES))])


def segment_of_an_odd_name(nodes, random):
    segment = nodes.any_segment(random)
    if segment:
        segment.SetName([None, "second", *NAMES][random.integers(len(NAMES) + 2)])


def segment_of_an_odd_id(nodes, random):
    nodes.segmentation.GetSegmentation().AddEmptySegment(NAMES[random.integers(len(NAMES))], "odd")


def segment_of_an_odd_value(nodes, random):
    segment = nodes.any_segment(random)
    if segment:
        segment.SetLabelValue(int(random.choice([0, 1, 2, -1, 255, 300, 70000, 2**31 - 1])))


def segment_with_odd_tags(nodes, random):
    segment = nodes.any_segment(random)
    if segment is None:
        return
    words = ["", "~", "~~~~~~", "a~b^c^d~e", "|", "~^^~^^~^^~~^^~^^", "é|:", "SCT^1^x~" * 9, "\n"]
    tags = [
        segment.GetTerminologyEntryTagName(),
        "Segmentation.Status",
        "HiDiffRefine.Type",
        "DICOM.x",
        "",
        "|",
    ]
    for _ in range(random.integers(1, 4)):
        segment.SetTag(tags[random.integers(len(tags))], words[random.integers(len(words))])


def segment_of_odd_voxels(nodes, random):
    """Of another type, geometry or number of values; shared with others or not."""
    segment = nodes.any_segment(random)
    image = segment and segment.GetRepresentation(BINARY_LABELMAP)
    if not image:
        return
    if random.random() < 0.5:
        own = slicer.vtkOrientedImageData()
        own.DeepCopy(image)
        image = own
        segment.AddRepresentation(BINARY_LABELMAP, own)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    place = slicer.util.arrayFromVTKMatrix(matrix).copy()
    match random.integers(6):
        case 0:
            kinds = [np.float32, np.float64, np.int16, np.uint16, np.int8, np.uint64]
            count = int(np.prod(image.GetDimensions()))
            values = random.choice([0, 1, 1.5, -1, 300], max(count, 0)).astype(
                kinds[random.integers(len(kinds))]
            )
            image.GetPointData().SetScalars(numpy_to_vtk(values, deep=True))
        case 1:
            place[:3, 3] += random.choice([0.01, 0.5, 7, 1e5], 3)
        case 2:
            place[:3, :3] *= random.choice([0.5, 2, 0, -1], 3)
        case 3:
            place[tuple(random.integers(3, size=2))] = NUMBERS[random.integers(len(NUMBERS))]
        case 4:
            image.SetExtent(
                *[[0, -1, 0, -1, 0, -1], [-5, 60, -5, 60, -5, 60], [0, 0, 0, 0, 0, 0]][random.integers(3)]
            )
            image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, int(random.integers(1, 3)))
            if image.GetPointData().GetScalars():
                image.GetPointData().GetScalars().Fill(1)
        case 5:
            image.Initialize()
    image.SetImageToWorldMatrix(as_matrix(place))
    image.Modified()


def segmentation_of_surfaces(nodes, random):
    node = [nodes.segmentation, nodes.hints.strokes][random.integers(2)]
    if random.integers(2):
        node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")


def segmentation_without_segments(nodes, random):
    nodes.segmentation.GetSegmentation().RemoveAllSegments()


def segmentation_with_many_segments(nodes, random):
    for n in range(20):
        nodes.segmentation.GetSegmentation().AddEmptySegment("", f"many {n % 5}")


def points_with_odd_descriptions(nodes, random):
    node = nodes.any_points(random)
    owner = (segment_ids(nodes.segmentation) or ["A"])[0]
    for n in range(node.GetNumberOfControlPoints()):
        text = DESCRIPTIONS[random.integers(len(DESCRIPTIONS))].replace("A", owner)
        node.SetNthControlPointDescription(n, text)


def points_at_odd_places(nodes, random):
    node = nodes.any_points(random)
    node.AddControlPoint(vtk.vtkVector3d(*random.choice([*NUMBERS, 5, 20], 3).tolist()))


def points_without_a_place(nodes, random):
    node = nodes.any_points(random)
    n = node.AddControlPoint(vtk.vtkVector3d(10, 20, 20))
    if random.integers(2):
        node.SetNthControlPointPositionMissing(n)
    else:
        node.UnsetNthControlPointPosition(n)


def points_removed(nodes, random):
    node = nodes.any_points(random)
    if random.integers(2):
        node.RemoveAllControlPoints()
    elif node.GetNumberOfControlPoints():
        node.RemoveNthControlPoint(int(random.integers(node.GetNumberOfControlPoints())))


def strokes_of_odd_names(nodes, random):
    segmentation = nodes.hints.strokes.GetSegmentation()
    segmentation.AddEmptySegment(NAMES[random.integers(len(NAMES))], NAMES[random.integers(len(NAMES))])


def strokes_of_odd_voxels(nodes, random):
    segment_of_odd_voxels(replace(nodes, segmentation=nodes.hints.strokes), random)


def strokes_removed(nodes, random):
    nodes.hints.strokes.GetSegmentation().RemoveAllSegments()


def node_removed(nodes, random):
    node = nodes.any_node(random)
    if node.GetScene():
        node.GetScene().RemoveNode(node)


def segment_removed(nodes, random):
    ids = segment_ids(nodes.segmentation)
    if ids:
        nodes.segmentation.GetSegmentation().RemoveSegment(ids[random.integers(len(ids))])


def segments_in_another_order(nodes, random):
    ids = segment_ids(nodes.segmentation)
    if ids:
        nodes.segmentation.GetSegmentation().SetSegmentIndex(ids[0], len(ids) - 1)


AT_ANY_TIME = [
    *[node_under_a_transform, node_of_an_odd_name, segment_of_an_odd_name, segment_with_odd_tags],
    *[points_with_odd_descriptions, points_at_odd_places, points_without_a_place, points_removed],
    *[strokes_of_odd_names, strokes_removed, segment_removed, segments_in_another_order],
    *[volume_without_image, volume_of_another_shape, volume_of_colours, volume_of_another_type],
    *[volume_with_odd_voxels, volume_of_odd_geometry, segmentation_of_surfaces, segment_of_an_odd_id],
    *[segmentation_with_many_segments, segmentation_without_segments, segment_of_odd_voxels],
]
# In the midst of a session nothing but a script does these.
BEFORE_A_SESSION = [*AT_ANY_TIME, segment_of_an_odd_value, strokes_of_odd_voxels]
IN_A_SESSION = [*AT_ANY_TIME, node_removed]
