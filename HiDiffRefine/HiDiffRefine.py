"""The module as 3D Slicer sees it. HiDiffRefinePanel says what it does, HiDiffRefineLib computes."""

import sys
from pathlib import Path

import slicer
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class HiDiffRefine(ScriptedLoadableModule):
    """Name, place in the menu, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        # Slicer puts this folder on the path. Installed, the library lies in it; in a checkout, beside it.
        root = Path(__file__).resolve().parents[1]
        if (root / "HiDiffRefineLib").is_dir() and str(root) not in sys.path:
            sys.path.append(str(root))
        self.parent.title = _("HiDiff Refine")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Markups", "SegmentEditor", "Segmentations", "Volumes"]
        self.parent.contributors = ["HiDiffRefine contributors"]
        self.parent.helpText = _(
            "Corrects a segmentation instead of drawing it again: each click or stroke makes a diffusion"
            " model refine the mask around it, on this computer. Every hint holds, nothing changes elsewhere,"
            " and Ctrl+Z takes each step back. Nothing is sent anywhere. Not a medical device. See the"
            ' <a href="https://github.com/HiDiffRefine/HiDiffRefine#in-3d-slicer">tutorial</a>.'
        )
        self.parent.acknowledgementText = _(
            "After HiDiff (Chen et al., IEEE TMI 2024). The model cards name the data that each model was"
            " trained on."
        )
        slicer.app.connect("startupCompleted()", _register_sample_data)


def _register_sample_data() -> None:
    from HiDiffRefinePanel.sample_data import register

    register()


@parameterNodeWrapper
class HiDiffRefineParameterNode:
    """What the panel shows, saved with the scene."""

    volume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    positive: vtkMRMLMarkupsFiducialNode
    negative: vtkMRMLMarkupsFiducialNode
    strokes: vtkMRMLSegmentationNode
    doubt: vtkMRMLScalarVolumeNode
    model: str = ""
    lockHandEdits: bool = False


class HiDiffRefineWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Hands Slicer's events to the panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from HiDiffRefinePanel.panel import Panel

        widget = slicer.util.loadUI(self.resourcePath("UI/HiDiffRefine.ui"))
        self.layout.addWidget(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = HiDiffRefineLogic()
        self.panel = Panel(slicer.util.childWidgetVariables(widget), self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReady)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReady)

    def enter(self):
        self.panel.enter()

    def exit(self):
        self.panel.exit()

    def cleanup(self):
        self.removeObservers()
        self.panel.exit()
        self.panel.forget()
        self.logic.close()

    def onSceneStartClose(self, caller, event):
        self.panel.forget()

    def onSceneStartImport(self, caller, event):
        self.panel.pause()

    def onSceneReady(self, caller, event):
        if self.parent.isEntered:
            self.panel.enter()


class HiDiffRefineLogic(ScriptedLoadableModuleLogic):
    """The parameter node, and the editor that works on what it names."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from HiDiffRefinePanel.editor import Editor
        from HiDiffRefinePanel.jobs import Jobs

        self.jobs = Jobs()
        self.editor = Editor(self.jobs)

    def getParameterNode(self):
        return HiDiffRefineParameterNode(super().getParameterNode())

    @property
    def busy(self):
        """Whether a job runs, or something waits to be taken up."""
        return self.jobs.running or self.editor.waiting

    def close(self):
        """Ends the session and the worker; the GPU is free then."""
        self.jobs.stop()
        self.editor.close()


class HiDiffRefineTest(ScriptedLoadableModuleTest):
    """The whole story with the shipped bundles, in the desktop application and in the tests' harness."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        from HiDiffRefinePanel.story import tell

        tell(self.delayDisplay)
