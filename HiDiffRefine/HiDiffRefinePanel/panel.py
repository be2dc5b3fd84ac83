"""The widgets: what they show of the editor, and what they ask of it."""

import slicer
from slicer.i18n import tr as _

from HiDiffRefinePanel.exporter import Exporter
from HiDiffRefinePanel.hint_list import HintList
from HiDiffRefinePanel.hover import Hover
from HiDiffRefinePanel.kept_work import KeptWork
from HiDiffRefinePanel.messages import told
from HiDiffRefinePanel.models import describe, describe_leftover, fill_models
from HiDiffRefinePanel.nodes import SEGMENTATION, VOLUME, hide_own, loaded_volume, show_volume
from HiDiffRefinePanel.pens import Pens
from HiDiffRefinePanel.segment_table import SegmentTable
from HiDiffRefinePanel.setup import Setup
from HiDiffRefinePanel.shortcuts import Shortcuts
from HiDiffRefinePanel.wheel import TEXT, Wheel
from HiDiffRefinePanel.windows import Windows

STATUS_MS = 10_000
# In the order of the menu.
ENCODINGS = ("BINARY", "LABELMAP")
PENS = ("positivePoint", "negativePoint", "positiveStroke", "negativeStroke")


class Panel:
    """The module's panel.

    Args:
        ui: the widgets of HiDiffRefine.ui by their names.
        logic: with the jobs, the editor and the parameter node.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic, self.editor, self.jobs = ui, logic, logic.editor, logic.jobs
        self.setup = Setup(self.jobs)
        guard = self.jobs.guard
        self.pens = Pens(ui.strokeEditor, guard(self._lift_pens))
        self.exporter = Exporter(self.editor, self.jobs)
        self.exporter.show = self._show_checks
        self.shortcuts = Shortcuts(
            {
                "Ctrl+Z": guard(self.editor.undo),
                "Ctrl+Y": guard(self.editor.redo),
                "Ctrl+Shift+Z": guard(self.editor.redo),
                "A": guard(lambda: self._toggle(ui.positivePointButton)),
                "X": guard(lambda: self._toggle(ui.negativePointButton)),
                "B": guard(self.editor.compare),
                "D": guard(self.editor.next_doubtful_place),
                ",": guard(lambda: self._move(-1)),
                ".": guard(lambda: self._move(1)),
            }
        )
        self.wheel = Wheel(guard(self._on_wheel))
        self.hover = Hover(self.editor, self._sign, self._unsay)
        self.hints = HintList(ui, guard, lambda hint: self._press(lambda: self.editor.delete_hint(hint)))
        self.segments = SegmentTable(ui, guard, self._on_segment)
        self.windows = Windows(ui, guard)
        self.kept = KeptWork(ui, self.editor)
        self._connect()
        keys = [*self.shortcuts.texts, TEXT]
        ui.keysLabel.text = "<br>".join(f"<b>{key}</b>: {what}" for key, what in keys)
        self.jobs.changed = self.refresh
        self.jobs.failed = lambda error: self.say(told(error))
        self.editor.say, self.editor.shown, self.editor.progress = self.say, self.refresh, self._progress
        self.setup.say, self.setup.ready, self.setup.changed = self.say, self._on_ready, self.refresh
        self._bundles = {}
        self._working = False  # whether there was a session when we looked last
        self.say("")
        self.refresh()

    def enter(self) -> None:
        """The module comes to the front."""
        self._adopt_parameters()
        if self.editor.parameters.volume is None:
            self.editor.parameters.volume = loaded_volume()
        self.kept.show()
        self.shortcuts.enter()
        self.wheel.enter()
        self.hover.enter()
        self.editor.resume()
        self.jobs.watch()
        if not self.setup.proven and not self.jobs.running:
            self.setup.check()
        self.refresh()

    def exit(self) -> None:
        """The module goes to the back: nothing of it stays in mouse and keys, and its work stops."""
        self.shortcuts.exit()
        self.wheel.exit()
        self.hover.exit()
        self._lift_pens()
        self.jobs.stop()
        self.editor.settle()
        self._release_parameters()

    def forget(self) -> None:
        """The scene closes."""
        self._lift_pens()
        self.editor.forget()
        self._release_parameters()

    def close(self) -> None:
        """The application ends, or the module is read again."""
        self.logic.close()

    def pause(self) -> None:
        """A scene is being loaded: what it has for the parameter node comes bit by bit."""
        self.jobs.cancel()
        self._release_parameters()

    def _release_parameters(self) -> None:
        parameters, self.editor.parameters = self.editor.parameters, None
        if parameters is not None:
            parameters.disconnectGui(self._connection)
            parameters.parameterNode.RemoveObserver(self._observer)

    def say(self, text: str) -> None:
        """One message at a time, in the panel and, where that is scrolled away, in the status bar."""
        self.ui.messageLabel.text = text
        self.ui.messageLabel.visible = bool(text)
        if text:
            slicer.util.showStatusMessage(text, STATUS_MS)

    def _unsay(self, text: str) -> None:
        """Takes a message away that is still seen."""
        if self.ui.messageLabel.text == text:
            self.say("")

    def refresh(self) -> None:
        """Shows what is so."""
        self.editor.hide_old_uncertainty()
        self.hover.hide_old()
        self.ui.uncertaintyButton.checked = self.editor.overlay.shown
        ui, session, running = self.ui, self.editor.session, self.jobs.seen
        hide_own(ui.volumeSelector, VOLUME)
        hide_own(ui.segmentationSelector, SEGMENTATION)
        parameters = self.editor.parameters
        chosen = bool(self._bundles and parameters and parameters.volume)
        leftover = self.editor.leftover if chosen and session is None else None
        for widget in (ui.leftoverLabel, ui.recoverButton, ui.discardButton):
            widget.visible = leftover is not None
        if leftover is not None:
            ui.leftoverLabel.text = describe_leftover(leftover)
        ui.recoverButton.enabled = ui.discardButton.enabled = not running
        ui.newSegmentButton.enabled = chosen
        selected = session.selected if session is not None else None
        ui.setupButton.visible, ui.setupButton.enabled = self.setup.wanted, not self.setup.installing
        ui.deviceSelector.enabled = bool(self._bundles and self.setup.gpu and not running)
        ui.deviceLabel.text = self.setup.device
        ui.modelSelector.enabled = self.setup.proven and not running
        segmentor = bool(chosen and parameters.model != "refiner-only")
        ui.segmentButton.enabled = segmentor and not running
        ui.refineExistingButton.enabled = bool(chosen and not running and session is None)
        ui.refineSection.enabled = selected is not None
        bundle = self._bundles.get(parameters.model) if chosen else None
        self.windows.show(parameters.volume if chosen else None, bundle)
        self._make_room(session is not None)
        self._show_before()
        steps = session.session.state if session is not None else None
        ui.undoButton.enabled = bool(steps and steps.done)
        ui.redoButton.enabled = bool(steps and steps.undone)
        there = bool(parameters and parameters.volume and parameters.segmentation)
        ui.exportSection.enabled = there and not running
        ui.cancelButton.visible = ui.progressBar.visible = running
        if not running:
            self._progress(0.0, "")
        self.segments.show(session)
        self.hints.show(session)
        self._show_extent()
        hints = session.session.hints if selected is not None else ()
        waiting = len(session.session.pending) if selected is not None else 0
        held, count = len(hints) - waiting, len(hints)
        ui.refineButton.visible = bool(parameters and not parameters.refineAtOnce)
        ui.refineButton.enabled = bool(waiting and not running)
        ui.hintsLabel.text = _("Hints held: {held} of {count}").format(held=held, count=count)
        if selected is None:
            self._lift_pens()

    def _make_room(self, working: bool) -> None:
        """As a session begins or ends, what was chosen for it folds up or down: a screen is not high."""
        if working != self._working:
            self._working = working
            self.kept.show()
            self.ui.inputSection.collapsed = self.ui.priorSection.collapsed = working

    def _show_before(self) -> None:
        before = self.editor.before
        if before is not None:
            before.follow()
        self.ui.compareButton.enabled = before is not None and before.there
        self.ui.compareButton.checked = before is not None and before.compared

    def _connect(self) -> None:
        ui, guard = self.ui, self.jobs.guard
        ui.modelSelector.connect("currentIndexChanged(int)", lambda index: guard(self._on_model)(index))
        ui.deviceSelector.connect("activated(int)", lambda index: guard(self._on_device)(index))
        for button, act in (
            (ui.setupButton, self.setup.install),
            (ui.segmentButton, self.editor.segment),
            (ui.refineExistingButton, self.editor.refine_existing),
            (ui.recoverButton, self._recover),
            (ui.discardButton, self.kept.discard),
            (ui.keptButton, self.kept.discard_all),
            (ui.newSegmentButton, self.editor.add_segment),
            (ui.refineButton, self.editor.refine_now),
            (ui.undoButton, self.editor.undo),
            (ui.redoButton, self.editor.redo),
            (ui.compareButton, self.editor.compare),
            (ui.uncertaintyButton, self.editor.uncertainty),
            (ui.nextPlaceButton, self.editor.next_doubtful_place),
            (ui.acceptButton, self.editor.accept),
            (ui.volumesButton, self.exporter.measure),
            (ui.exportButton, self._export),
            (ui.cancelButton, self.jobs.cancel),
        ):
            button.connect("clicked()", lambda act=act: self._press(act))
        for name in PENS:
            button = getattr(ui, f"{name}Button")
            button.connect("clicked(bool)", lambda on, name=name: guard(self._on_pen)(name, on))
        ui.atOnceCheckBox.connect("toggled(bool)", lambda on: guard(self._on_at_once)())
        ui.exportLabel.connect("linkActivated(QString)", lambda fix: guard(self._on_fix)(fix))
        ui.brushSlider.connect("valueChanged(double)", lambda value: guard(self.pens.set_diameter)(value))
        ui.hoverCheckBox.connect("toggled(bool)", lambda on: guard(self._on_hover)())
        ui.extentSlider.connect("valueChanged(double)", lambda value: guard(self._set_extent)(round(value)))

    def _press(self, act) -> None:
        """Does what a button says; what cannot be done is said in the panel."""
        self.say("")
        self.jobs.guard(act)()
        self.refresh()

    def _adopt_parameters(self) -> None:
        if self.editor.parameters is not None:
            return
        parameters = self.logic.getParameterNode()
        self.editor.parameters = parameters
        self._volume = parameters.volume
        self._connection = parameters.connectGui(self.ui)
        node = parameters.parameterNode
        self._observer = node.AddObserver("ModifiedEvent", self.jobs.guard(lambda *_: self._on_input()))
        self.editor.look()
        if self.setup.proven:
            self._on_ready()
        self.refresh()

    def _on_ready(self) -> None:
        if not self._bundles:
            self._bundles, problems = fill_models(self.ui.modelSelector)
            self.say(" ".join(told(problem) for problem in problems))
            if self.setup.gpu:
                self.ui.deviceSelector.addItem(self.setup.gpu, "auto")
            self.ui.deviceSelector.addItem(_("Processor (CPU)"), "cpu")
            self._on_gpu()
        self._show_model()
        self.jobs.idle = self.editor.attend

    def _show_model(self) -> None:
        """The parameter node's model in the selector; the first where it names none."""
        selector = self.ui.modelSelector
        selector.currentIndex = max(selector.findData(self.editor.parameters.model), 0)
        self._on_model()

    def _recover(self) -> None:
        self.editor.recover()
        self._show_model()

    def _on_input(self) -> None:
        """Another volume or segmentation."""
        volume = self.editor.parameters.volume
        if volume is not self._volume:
            self._volume = volume
            show_volume(volume)
        self.editor.look()
        self.jobs.wake()
        self.exporter.fixes.clear()  # they were meant for what was there before
        self.refresh()

    def _on_model(self, index: int = 0) -> None:
        name = self.ui.modelSelector.currentData
        if name is None or self.editor.parameters is None:
            return
        if name != self.editor.parameters.model:
            self.editor.forget()
            self.editor.parameters.model = name
        self.ui.modelLabel.text = describe(self._bundles[name])
        self.refresh()

    def _on_at_once(self) -> None:
        """Hints may wait that need not any more."""
        self.editor.resume()
        self.jobs.wake()
        self.refresh()

    def _on_device(self, index: int) -> None:
        self.editor.forget()
        self.editor.device = self.ui.deviceSelector.itemData(index)
        self._on_gpu()
        self.refresh()

    def _on_gpu(self) -> None:
        """What a click would do is told unasked where that takes a moment: a processor takes .5 to .7 s."""
        self.ui.hoverCheckBox.checked = self._gpu()
        self._on_hover()

    def _gpu(self) -> bool:
        return bool(self.setup.gpu) and self.editor.device == "auto"

    def _on_hover(self) -> None:
        self.hover.choose(self.ui.hoverCheckBox.checked, self._gpu())

    def _sign(self) -> bool | None:
        """Of the pen for clicks that is in hand."""
        if self.ui.positivePointButton.checked:
            return True
        return False if self.ui.negativePointButton.checked else None

    def _on_segment(self, segment_id: str) -> None:
        self._press(lambda: self.editor.select(segment_id))
        self._lift_pens()

    def _export(self) -> None:
        ui = self.ui
        encoding = ENCODINGS[ui.encodingSelector.currentIndex]
        self.exporter.start(ui.exportPath.currentPath, encoding, ui.databaseCheckBox.checked)

    def _on_fix(self, fix: str) -> None:
        """A remedy of the check list, by one click: it is applied, and the export goes on."""
        self.exporter.fixes.add(fix)
        self._press(self._export)

    def _show_checks(self, text: str) -> None:
        self.ui.exportLabel.text = text
        self.ui.exportLabel.visible = bool(text)

    def _on_pen(self, name: str, on: bool) -> None:
        self._lift_pens()
        session = self.editor.session
        if on and session is not None and session.selected is not None:
            getattr(self.ui, f"{name}Button").checked = True
            self.hints.set_visible(True)
            self.pens.take(name, session, self.ui.brushSlider.value)

    def _set_extent(self, level: int) -> None:
        if self.editor.more_less.level not in (None, level):
            self._press(lambda: self.editor.more_less.choose(level))

    def _show_extent(self) -> None:
        """How much is taken of the newest answer; the middle where there is none."""
        from HiDiffRefineLib.inference.extents import ANSWER

        level = self.editor.more_less.level
        self.ui.extentSlider.enabled = level is not None
        self.ui.extentSlider.value = ANSWER if level is None else level

    def _on_wheel(self, steps: int) -> bool:
        """Whether the wheel was for the newest answer; with a brush it is for the brush."""
        return not self.ui.strokeEditor.activeEffect() and self._move(steps)

    def _move(self, steps: int) -> bool:
        """Takes so many levels more of the newest answer; whether there is one."""
        level, slider = self.editor.more_less.level, self.ui.extentSlider
        if level is not None:
            self._set_extent(int(min(max(level + steps, slider.minimum), slider.maximum)))
        return level is not None

    def _toggle(self, button) -> None:
        if button.enabled and self.ui.refineSection.enabled:
            button.click()

    def _lift_pens(self) -> None:
        self.hover.hide()
        self.pens.lift()
        for name in PENS:
            getattr(self.ui, f"{name}Button").checked = False

    def _progress(self, share: float, what: str) -> None:
        self.ui.progressBar.value = int(100 * share)
        self.ui.progressBar.format = what or _("Working…")
