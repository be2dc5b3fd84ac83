"""What the Slicer application does for a scene, as far as the scene's tests need it. Imports slicer."""

import tempfile
from contextlib import contextmanager

import slicer

LOGICS = {
    "Colors": slicer.vtkSlicerColorLogic,
    "Volumes": slicer.vtkSlicerVolumesLogic,
    "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
    "Markups": slicer.vtkSlicerMarkupsLogic,
    "Transforms": slicer.vtkSlicerTransformLogic,
}


@contextmanager
def application_scene():
    """A scene with the logics of Slicer's modules behind it, which is cleared in the end."""
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    logics = []
    for name, make in LOGICS.items():
        logic = make()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
        logics.append(logic)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    with tempfile.TemporaryDirectory() as cache:
        # Scenes are not read without these.
        remote, data = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        remote.GetCacheManager().SetRemoteCacheDirectory(cache)
        remote.SetMRMLScene(scene)
        remote.AddDataIOToScene()
        data.SetMRMLApplicationLogic(application)
        data.SetAndObserveDataIOManager(remote.GetDataIOManager())
        scene.application = application
        yield scene
        scene.Clear(True)
        remote.RemoveDataIOFromScene()
    for logic in logics:
        logic.SetMRMLScene(None)
    application.SetMRMLScene(None)
