"""Step 4: the table of volumes, the check list, and the DICOM file, in a thread that knows no node."""

import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import slicer
from slicer.i18n import tr as _

# A tick of the timer gives the thread so long: it needs Python's lock, which an idle application keeps.
SHARE_S = 0.02
GOOD, BAD = "✓", "✗"
FIX_TEXTS = {
    "leave-out-empty": _("Leave it out"),
    "name": _("Shorten the name"),
    "code": _("Code as tissue"),
}


class Exporter:
    """Exports the segmentation that the parameter node names.

    Args:
        editor: for the parameter node, and what it says and shows.
    """

    def __init__(self, editor, jobs):
        self.editor, self.jobs = editor, jobs
        self.fixes: set[str] = set()
        self.show: Callable[[str], None] = lambda text: None  # the check list, as rich text

    def start(self, path: str, encoding: str, into_database: bool) -> None:
        """Checks, and if all is good writes the file.

        Raises:
            HiDiffRefineError: there is no segmentation, or the volume did not come from the database.
        """
        from HiDiffRefineLib.errors import DicomError
        from HiDiffRefineLib.scene.dicom_nodes import source_files

        self.show("")
        parameters = self.editor.parameters
        if parameters.segmentation is None:
            raise DicomError(_("There is no segmentation yet."), _("Make one first, steps 2 and 3."))
        files = source_files(parameters.volume, slicer.dicomDatabase)
        if not path:
            raise DicomError(_("The file has no name yet."), _("Choose where it goes."))
        path = Path(path if path.lower().endswith(".dcm") else f"{path}.dcm")
        self.jobs.start(self._exporting(files, path, encoding, into_database))

    def measure(self) -> None:
        """Shows how many millilitres each segment has, in a table of the scene."""
        parameters = self.editor.parameters
        self.jobs.start(self._measuring(parameters.segmentation, parameters.volume))

    def _measuring(self, segmentation, volume) -> Iterator[None]:
        from HiDiffRefineLib.scene.volume_table_node import measured

        self.editor.progress(0.0, _("Measuring…"))
        table = yield from measured(segmentation, volume)
        layout = slicer.app.layoutManager()
        layout.setLayout(slicer.modules.tables.logic().GetLayoutWithTable(layout.layout))
        application = slicer.app.applicationLogic()
        application.GetSelectionNode().SetActiveTableID(table.GetID())
        application.PropagateTableSelection()
        self.editor.say(
            _("Measured: '{name}'. It is saved with the scene, or as CSV by File, Save.").format(
                name=table.GetName()
            )
        )

    def _exporting(self, files: list[Path], path: Path, encoding: str, into_database: bool) -> Iterator[None]:
        from HiDiffRefineLib.dicom.checks import check_list, fixed
        from HiDiffRefineLib.dicom.export import export_seg
        from HiDiffRefineLib.dicom.series import series_of
        from HiDiffRefineLib.scene.dicom_nodes import segments_on

        parameters, told = self.editor.parameters, self.editor.progress
        # Held here: the scene may close meanwhile.
        segmentation, volume = parameters.segmentation, parameters.volume
        told(0.0, _("Reading the series…"))
        series = yield from _in_thread(lambda progress: series_of(files), told)
        segments, placed = yield from segments_on(series, segmentation, volume)
        segments = fixed(segments, self.fixes)
        checks = yield from _in_thread(lambda progress: check_list(series, segments, encoding, placed), told)
        self.show("<br>".join(_line(check) for check in checks))
        if not all(check.good for check in checks):
            self.editor.say(_("Not everything is good yet: nothing was written."))
            return
        yield from _in_thread(
            lambda progress: export_seg(path, series, segments, encoding, progress=progress), told
        )
        self.fixes.clear()
        if into_database:
            slicer.dicomDatabase.insert(str(path))
        self.editor.say(_("Exported, read back, and the same in every voxel: {path}").format(path=path))


def _line(check) -> str:
    if check.good:
        return f"{GOOD} {escape(check.text)}"
    fix = f' <a href="{check.fix}">{escape(FIX_TEXTS[check.fix])}</a>' if check.fix else ""
    return f"<b>{BAD} {escape(check.text)}</b> {escape(check.remedy)}{fix}"


class _Stopped(BaseException):
    """The user cancelled: no one but the thread's beginning may take it for a fault."""


def _in_thread(work: Callable, told: Callable[[float, str], None]) -> Iterator[None]:
    """Does work in a thread; None comes until it is done. Closed before, it ends at its next progress.

    Args:
        work: called with a function to tell its progress by; touches no node and no widget.
        told: shows progress.

    Returns:
        what the work returned; what it raised is raised.
    """
    outcome, news, stopped = {}, [], threading.Event()

    def progress(share: float, what: str) -> None:
        if stopped.is_set():
            raise _Stopped
        news.append((share, what))

    def run() -> None:
        try:
            outcome["value"] = work(progress)
        except BaseException as error:  # belongs to whoever waits for it
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(SHARE_S)
            if news:
                told(*news[-1])
            yield None
    finally:
        stopped.set()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]
