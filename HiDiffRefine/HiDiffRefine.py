"""The module as 3D Slicer sees it. HiDiffRefinePanel says what it does, HiDiffRefineLib computes."""

import sys
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
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


class HiDiffRefineWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Hands Slicer's events to the panel, if it could be made."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        try:
            self._make_panel()
        except Exception as error:
            from HiDiffRefinePanel.messages import told

            label = qt.QLabel(_("The panel could not be made.") + " " + told(error))
            label.wordWrap = True
            self.layout.addWidget(label)
            return
        if self.parent.isEntered:  # read again, while it is in front
            self.enter()

    def enter(self):
        self._pass_on("enter")

    def exit(self):
        self._pass_on("exit")

    def cleanup(self):
        self.removeObservers()
        for what in ("exit", "forget", "close"):
            self._pass_on(what)
        self.panel = None

    def onReload(self):
        self.cleanup()
        for name in [name for name in sys.modules if name.partition(".")[0] == "HiDiffRefinePanel"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _make_panel(self):
        from HiDiffRefinePanel.panel import Panel

        widget = slicer.util.loadUI(self.resourcePath("UI/HiDiffRefine.ui"))
        self.layout.addWidget(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = HiDiffRefineLogic()
        self.panel = Panel(slicer.util.childWidgetVariables(widget), self.logic)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_: self._pass_on("forget"))
        self.addObserver(scene, scene.StartImportEvent, lambda *_: self._pass_on("pause"))
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, lambda *_: self.parent.isEntered and self._pass_on("enter"))

    def _pass_on(self, what):
        if self.panel is not None:
            self.panel.jobs.guard(getattr(self.panel, what))()


class HiDiffRefineLogic(ScriptedLoadableModuleLogic):
    """The parameter node, and the editor that works on what it names."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from HiDiffRefinePanel.editor import Editor
        from HiDiffRefinePanel.jobs import Jobs

        self.jobs = Jobs()
        self.editor = Editor(self.jobs)

    def getParameterNode(self):
        from HiDiffRefinePanel.parameters import Parameters

        return Parameters(super().getParameterNode())

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
