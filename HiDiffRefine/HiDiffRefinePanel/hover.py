"""What a click would do, shown where the mouse rests with a pen of clicks in hand."""

from collections.abc import Callable, Iterator
from contextlib import closing

import qt
import slicer

from HiDiffRefinePanel.messages import told

# Rests are told from moves after that, on a processor, which each question keeps busy, and on a GPU.
REST_MS = {False: 100, True: 40}


class Hover:
    """Asks the session as soon as nothing else is to be done, and draws a line around what would change.

    Args:
        editor: whose session it is.
        sign: of the pen in hand; None if it makes no clicks.
        unsay: takes a message away, if it is still the one that the user sees.
    """

    def __init__(self, editor, sign: Callable[[], bool | None], unsay: Callable[[str], None]):
        self._editor, self._sign, self._unsay = editor, sign, unsay
        self.on = False
        self._crosshair, self._tag = None, 0
        self._question: Iterator[None] | None = None
        self._line = None  # its node
        self._reason = ""  # why a click can't land, as told
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", lambda: editor.jobs.guard(self._ask)())

    def choose(self, on: bool, gpu: bool) -> None:
        """Whether to ask, and where it would be computed."""
        self.hide()
        self.on, self._timer.interval = on, REST_MS[gpu]

    def enter(self) -> None:
        """Follows the mouse over the slice views."""
        if self._crosshair is None:
            self._crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
            event, moved = self._crosshair.CursorPositionModifiedEvent, self._editor.jobs.guard(self._on_move)
            self._tag = self._crosshair.AddObserver(event, lambda *_: moved())

    def exit(self) -> None:
        """Follows it no more."""
        if self._crosshair is not None:
            self._crosshair.RemoveObserver(self._tag)
            self._crosshair = None
        self.hide()

    def hide(self) -> None:
        """Takes the line, the reason and the question away."""
        self._timer.stop()
        if self._editor.jobs.runs(self._question):
            self._editor.jobs.cancel()
        if self._line is not None:
            from HiDiffRefineLib.scene.before_node import remove_line_node

            node, self._line = self._line, None
            remove_line_node(node)
        if self._reason:
            reason, self._reason = self._reason, ""
            self._unsay(reason)

    def hide_old(self) -> None:
        """Takes the line away if the mask or its hints are others since."""
        session = self._editor.session
        if self._line is not None and (session is None or session.session.tried is None):
            self.hide()

    def _on_move(self) -> None:
        self.hide()
        if self.on and self._sign() is not None:
            self._timer.start()

    def _ask(self) -> None:
        from HiDiffRefineLib.hints.hint import Click

        editor, sign, point_ras = self._editor, self._sign(), [0.0, 0.0, 0.0]
        busy = editor.session is None or editor.jobs.running or editor.waiting
        if busy or sign is None or editor.session.selected is None:
            return
        if self._crosshair.GetCursorPositionRAS(point_ras):
            self._question = self._trying(Click(point_ras, sign))
            editor.jobs.start(self._question, quiet=True)

    def _trying(self, hint) -> Iterator[None]:
        from HiDiffRefineLib.errors import HintError
        from HiDiffRefineLib.scene.tried_node import show_tried
        from HiDiffRefineLib.session.trying import agrees, trying

        editor, scene = self._editor, self._editor.session
        if agrees(scene.session, hint):
            return  # a + in the mask, a − outside
        try:
            with closing(trying(scene.session, hint)) as answers:
                for _none in answers:
                    if editor.waiting:
                        return  # the user has done something
                    yield None
        except HintError as error:
            self._reason = told(error)
            editor.say(self._reason)
            return
        if scene.session.tried is not None:
            self._line = show_tried(scene, scene.session.tried)
