"""What the panel shows, saved with the scene."""

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import parameterNodeWrapper


@parameterNodeWrapper
class Parameters:
    """The nodes, and the panel's own settings."""

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    positive: vtkMRMLMarkupsFiducialNode
    negative: vtkMRMLMarkupsFiducialNode
    strokes: vtkMRMLSegmentationNode
    uncertainty: vtkMRMLScalarVolumeNode
    model: str = ""
    lockHandEdits: bool = False
    refineAtOnce: bool = True
