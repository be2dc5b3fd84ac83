"""Stand-ins for the widgets of Slicer and CTK that the panel uses, on the real scene. Never shipped.

They define no public name that slicer_qt_api.json does not list (test_api.py), so that code that runs on them
finds the same names in Slicer.
"""

from PySide6.QtCore import Property, QRect, QSortFilterProxyModel, Qt, Signal, Slot
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLineEdit, QSlider, QWidget

HEADER = 26


class qMRMLWidget(QWidget):
    mrmlSceneChanged = Signal(object)

    @Slot(object)
    def setMRMLScene(self, scene):
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


class ctkCollapsibleButton(QWidget):
    """A header, and below it the layout, which is cut off where it is collapsed."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, HEADER, 0, 0)

    def _collapse(self, on):
        self._collapsed = on
        self.setMinimumHeight(HEADER if on else 0)
        self.setMaximumHeight(HEADER if on else 16_777_215)

    collapsed = Property(bool, lambda self: self._collapsed, _collapse)
    text = Property(str, lambda self: self._text, lambda self, text: setattr(self, "_text", text))

    def paintEvent(self, event):
        painter = QPainter(self)
        painter.fillRect(
            QRect(0, 0, self.rect.width(), HEADER - 4), self.palette.button().color().darker(106)
        )
        sign = "▸" if self._collapsed else "▾"
        header = QRect(8, 0, self.rect.width() - 16, HEADER - 4)
        painter.drawText(header, Qt.AlignVCenter, f"{sign}  {self._text}")
        painter.end()


class qMRMLSortFilterProxyModel(QSortFilterProxyModel):
    """Knows which nodes are hidden; filters nothing itself."""

    _changed = Signal()

    def __init__(self, parent):
        super().__init__(parent)
        self._hidden = []

    def _hide(self, ids):
        self._hidden = list(ids)
        self._changed.emit()

    hiddenNodeIDs = Property("QStringList", lambda self: self._hidden, _hide)


class qMRMLNodeComboBox(QWidget):
    """As in Slicer, the first node that comes into an empty box is chosen, and None where that is not."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._types, self._none, self._none_text, self._scene, self._nodes = [], False, "None", None, []
        self._combo = QComboBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._proxy = qMRMLSortFilterProxyModel(self)
        self._proxy._changed.connect(self._fill)
        self._combo.currentIndexChanged.connect(lambda n: self.currentNodeChanged.emit(self.currentNode()))

    nodeTypes = Property("QStringList", lambda self: self._types, lambda self, v: setattr(self, "_types", v))
    noneEnabled = Property(bool, lambda self: self._none, lambda self, v: setattr(self, "_none", v))
    noneDisplay = Property(str, lambda self: self._none_text, lambda self, v: setattr(self, "_none_text", v))

    @Slot(object)
    def setMRMLScene(self, scene):
        self._scene = scene
        for event in (
            scene.NodeAddedEvent,
            scene.NodeRemovedEvent,
            scene.EndCloseEvent,
            scene.EndImportEvent,
        ):
            scene.AddObserver(event, lambda *_: self._fill())
        self._fill()

    def sortFilterProxyModel(self):
        return self._proxy

    def currentNode(self):
        node = self._combo.currentData
        return self._scene.GetNodeByID(node) if self._scene and node else None

    def setCurrentNode(self, node):
        self._combo.setCurrentIndex(self._combo.findData(node.GetID() if node else None))

    def _fill(self) -> None:
        before, was_empty = self._combo.currentData, self._combo.count == self._none
        if self._scene.IsClosing() or self._scene.IsImporting():
            return
        self._combo.blockSignals(True)
        self._combo.clear()
        if self._none:
            self._combo.addItem(self._none_text, None)
        for name in self._types:
            for n in range(self._scene.GetNumberOfNodesByClass(name)):
                node = self._scene.GetNthNodeByClass(n, name)
                offered = not node.GetHideFromEditors() and node.GetID() not in self._proxy.hiddenNodeIDs
                if offered and node.GetClassName() == name:
                    self._combo.addItem(node.GetName() or "", node.GetID())
        nothing_chosen = before is None and not self._none and not was_empty
        index = -1 if nothing_chosen else max(self._combo.findData(before), 0)
        self._combo.setCurrentIndex(index)
        self._combo.blockSignals(False)
        if self._combo.currentData != before:
            self.currentNodeChanged.emit(self.currentNode())


class ctkSliderWidget(QWidget):
    valueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider, self._box = QSlider(Qt.Horizontal, self), QDoubleSpinBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._slider.valueChanged.connect(lambda n: self._box.setValue(n / 10))
        self._box.valueChanged.connect(self._on_value)

    def _on_value(self, value: float) -> None:
        self._slider.setValue(round(value * 10))
        self.valueChanged.emit(value)

    def _set_minimum(self, value: float) -> None:
        self._box.setMinimum(value)
        self._slider.setMinimum(round(value * 10))

    def _set_maximum(self, value: float) -> None:
        self._box.setMaximum(value)
        self._slider.setMaximum(round(value * 10))

    value = Property(float, lambda self: self._box.value, lambda self, v: self._box.setValue(v))
    minimum = Property(float, lambda self: self._box.minimum, _set_minimum)
    maximum = Property(float, lambda self: self._box.maximum, _set_maximum)
    singleStep = Property(
        float, lambda self: self._box.singleStep, lambda self, v: self._box.setSingleStep(v)
    )
    spinBoxVisible = Property(
        bool, lambda self: not self._box.isHidden(), lambda self, v: self._box.setVisible(v)
    )
    decimals = Property(int, lambda self: self._box.decimals, lambda self, v: self._box.setDecimals(v))
    suffix = Property(str, lambda self: self._box.suffix, lambda self, v: self._box.setSuffix(v))


class ctkPathLineEdit(QWidget):
    """A line for a path, without its menu and its history."""

    currentPathChanged = Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._line = QLineEdit(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line)
        self._line.textChanged.connect(self.currentPathChanged.emit)

    currentPath = Property(str, lambda self: self._line.text, lambda self, v: self._line.setText(v))


class _Paint:
    def setCommonParameter(self, name, value):
        setattr(self, name, value)


class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Remembers what it is told; it paints nothing."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._effect, self._nodes = None, {}

    @Slot(object)
    def setMRMLScene(self, scene):
        if "settings" not in self._nodes:
            raise RuntimeError("qMRMLSegmentEditorWidget: the scene comes before the parameter node")
        super().setMRMLScene(scene)

    def activeEffect(self):
        return self._effect

    def setActiveEffectByName(self, name):
        self._effect = _Paint() if name else None

    def setMRMLSegmentEditorNode(self, node):
        self._nodes["settings"] = node

    def setSegmentationNode(self, node):
        self._nodes["segmentation"] = node

    def setSourceVolumeNode(self, node):
        self._nodes["volume"] = node

    def setCurrentSegmentID(self, segment_id):
        self._nodes["segment"] = segment_id


STAND_INS = (
    qMRMLWidget,
    ctkCollapsibleButton,
    qMRMLNodeComboBox,
    ctkSliderWidget,
    ctkPathLineEdit,
    qMRMLSegmentEditorWidget,
)
