"""Stand-ins for Slicer's widgets that show a segmentation: its segments, and its surfaces. Never shipped.

As `widgets`: no public name that slicer_qt_api.json does not list. What they do is as in Slicer's source.
"""

import slicer
from PySide6.QtCore import Property, Qt, Signal, Slot
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from Testing.harness import widgets
from Testing.harness.widgets import qMRMLWidget

EYE, COLOR, NAME, STATUS = range(4)
EYES, STATUSES = "○◉", "○◐✓⚑"
ROW = 22
_Logic = slicer.vtkSlicerSegmentationsModuleLogic
_CHANGES = (
    slicer.vtkSegmentation.SegmentAdded,
    slicer.vtkSegmentation.SegmentRemoved,
    slicer.vtkSegmentation.SegmentModified,
    slicer.vtkSegmentation.SegmentsOrderModified,
)


def _observe_instead(tags, node, events, act):
    """Tells of another node, or none, from now on, and of what it is now. Returns its observers.

    The node passes on what its segmentation tells, once it has followed itself.
    """
    for observed, tag in tags:
        observed.RemoveObserver(tag)
    there = [] if node is None else events
    new = [(node, node.AddObserver(event, lambda *_: act())) for event in there]
    act()
    return new


class qMRMLSegmentsTableView(qMRMLWidget):
    """A row for each segment; rows follow the node, and a click on the eye or the status changes it.

    The selection is told of, whoever changed it. It stays with its segment as rows come and go; a row that
    goes leaves it to the next.
    """

    selectionChanged = Signal(object, object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node, self._tags, self._filling = None, [], False
        self._table = QTableWidget(0, 4, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.setSelectionBehavior(QAbstractItemView.SelectRows)
        self._table.verticalHeader().hide()
        header = self._table.horizontalHeader()
        header.setMinimumSectionSize(ROW)
        for column in (EYE, COLOR, STATUS):
            self._table.setColumnWidth(column, ROW + 4)
        header.setSectionResizeMode(NAME, QHeaderView.Stretch)
        self._table.itemSelectionChanged.connect(self._on_selection)
        self._table.cellClicked.connect(self._on_click)
        self._table.itemChanged.connect(self._on_name)

    selectionMode = Property(
        int,
        lambda self: self._table.selectionMode.value,
        lambda self, mode: self._table.setSelectionMode(QAbstractItemView.SelectionMode(mode)),
    )
    headerVisible = Property(
        bool,
        lambda self: not self._table.horizontalHeader().isHidden(),
        lambda self, on: self._table.horizontalHeader().setVisible(on),
    )
    segmentCount = Property(int, lambda self: self._table.rowCount)
    # It has none here.
    opacityColumnVisible = Property(bool, lambda self: False, lambda self, on: None)

    @Slot(object)
    def setMRMLScene(self, scene):
        super().setMRMLScene(scene)

    def tableWidget(self):
        return self._table

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        self._node = node
        events = (slicer.vtkMRMLSegmentationNode.DisplayModifiedEvent, *_CHANGES)
        self._tags = _observe_instead(self._tags, node, events, self._fill)

    def selectedSegmentIDs(self):
        rows = {index.row() for index in self._table.selectionModel().selectedRows()}
        return tuple(self.segmentIDForRow(row) for row in sorted(rows))

    def setSelectedSegmentIDs(self, segment_ids):
        if tuple(segment_ids) == self.selectedSegmentIDs():
            return
        rows = [row for row in map(self.rowForSegmentID, segment_ids) if row >= 0]
        if rows:
            self._table.selectRow(rows[0])
        else:
            self._table.clearSelection()

    def clearSelection(self):
        self._table.clearSelection()

    def segmentIDForRow(self, row):
        return self._table.item(row, NAME).data(Qt.UserRole)

    def rowForSegmentID(self, segment_id):
        rows = range(self._table.rowCount)
        return next((row for row in rows if self.segmentIDForRow(row) == segment_id), -1)

    def _fill(self):
        before, row = self.selectedSegmentIDs(), self._table.currentRow()
        self._filling = True
        self._table.setRowCount(0)
        for segment_id in self._node.GetSegmentation().GetSegmentIDs() if self._node else ():
            self._add(segment_id)
        for segment_id in before:
            there = self.rowForSegmentID(segment_id)
            # Where one is selected at most, Qt goes on to the next as that row is removed.
            self._table.selectRow(there if there >= 0 else min(row, self._table.rowCount - 1))
        self._filling = False
        if before != self.selectedSegmentIDs():
            self._on_selection()

    def _add(self, segment_id):
        segment = self._node.GetSegmentation().GetSegment(segment_id)
        display, row = self._node.GetDisplayNode(), self._table.rowCount
        self._table.insertRow(row)
        self._table.setRowHeight(row, ROW)
        visible = bool(display and display.GetSegmentVisibility(segment_id))
        status = STATUSES[_Logic.GetSegmentStatus(segment)]
        texts = {EYE: EYES[visible], NAME: segment.GetName(), STATUS: status}
        for column in range(4):
            item = QTableWidgetItem(texts.get(column, ""))
            item.setData(Qt.UserRole, segment_id)
            if column == COLOR:
                item.setData(Qt.DecorationRole, QColor.fromRgbF(*segment.GetColor()))
            if column != NAME:
                item.setFlags(Qt.ItemIsSelectable | Qt.ItemIsEnabled)
            self._table.setItem(row, column, item)

    def _on_selection(self):
        if not self._filling:
            self.selectionChanged.emit(None, None)

    def _on_click(self, row, column):
        segment_id, display = self.segmentIDForRow(row), self._node.GetDisplayNode()
        segment = self._node.GetSegmentation().GetSegment(segment_id)
        if column == EYE:
            display.SetSegmentVisibility(segment_id, not display.GetSegmentVisibility(segment_id))
        elif column == STATUS:
            _Logic.SetSegmentStatus(segment, (_Logic.GetSegmentStatus(segment) + 1) % _Logic.LastStatus)

    def _on_name(self, item):
        if not self._filling and item.column() == NAME:
            segment = self._node.GetSegmentation().GetSegment(item.data(Qt.UserRole))
            segment.SetName(item.text())


class qMRMLSegmentationShow3DButton(QPushButton):
    """Makes surfaces and removes them; it is down while there are some. Without its menu."""

    def __init__(self, parent=None):
        super().__init__("Show 3D", parent)
        self._node, self._tags = None, []
        self.setCheckable(True)
        self.setEnabled(False)
        self.toggled.connect(self._on_toggled)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        self._node = node
        events = (*_CHANGES, slicer.vtkSegmentation.ContainedRepresentationNamesModified)
        self._tags = _observe_instead(self._tags, node, events, self._follow)

    def _follow(self):
        segmentation = self._node.GetSegmentation() if self._node else None
        self.setEnabled(bool(segmentation and segmentation.GetNumberOfSegments()))
        blocked = self.blockSignals(True)
        self.setChecked(bool(segmentation and segmentation.ContainsRepresentation("Closed surface")))
        self.blockSignals(blocked)

    def _on_toggled(self, on):
        segmentation = self._node.GetSegmentation()
        if on:
            segmentation.CreateRepresentation("Closed surface")
            display = self._node.GetDisplayNode()
            display.SetPreferredDisplayRepresentationName3D("Closed surface")
            display.SetPreferredDisplayRepresentationName2D("Binary labelmap")
        else:
            segmentation.RemoveRepresentation("Closed surface")


STAND_INS = (*widgets.STAND_INS, qMRMLSegmentsTableView, qMRMLSegmentationShow3DButton)
