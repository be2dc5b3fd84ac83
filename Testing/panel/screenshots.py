"""Pictures of the module at work, for Resources/Screenshots: panel and four views, 1280 × 800.

On the T1 template of the nilearn wheel (MNI152), cut to the right hippocampus. Run by `make screenshots`.
"""

import sys
from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk
from nilearn.datasets import load_mni152_template

from HiDiffRefineLib.scene.matrices import as_matrix
from Testing.harness.application import running_module
from Testing.harness.modules import REPOSITORY
from Testing.harness.views import SliceView, ThreeDView
from Testing.scene.made_up import paint

SIZE = (1280, 800)
# Of the panel's width, and between the views.
PANEL, GAP = 440, 4
SIDE = ((SIZE[0] - PANEL - GAP) // 2, (SIZE[1] - GAP) // 2)  # of a view
CENTER_RAS = (27.0, -22.0, -16.0)
# In the head of the hippocampus, whose mask is cut off there, as one from elsewhere that ended too early;
# and in the amygdala, for which there is no model.
HEAD_RAS, CUT_A_MM, AMYGDALA_RAS = (23.0, -10.0, -24.0), -13.0, (23.0, -4.0, -18.0)
PINK = (0.9, 0.4, 0.6)  # what Slicer chooses may be as grey as the image
PATIENCE_S = 300


def main(folder: str = str(REPOSITORY / "Resources/Screenshots")) -> list[str]:
    with running_module(SIZE) as running:
        ui, volume = running.ui, add_template()
        ui.modelSelector.currentIndex = ui.modelSelector.findData("hippocampus-mr")
        ui.segmentButton.click()
        running.wait(timeout_s=PATIENCE_S)
        session = running.editor.session
        running.editor.select(next(key for key in session.keys if "anterior" in session.name_of(key)))
        views = [SliceView(orientation, SIDE) for orientation in ("Axial", "Sagittal", "Coronal")]
        for view in views:
            view.show(volume)
            view.look_at(HEAD_RAS)
        views.append(ThreeDView(session.node, SIDE))
        names = [save(running, views, folder, "prior")]
        cut(running)
        click(running, HEAD_RAS)
        ui.hintsSection.collapsed = False
        ui.hintList.currentRow = 0
        names.append(save(running, views, folder, "result"))
        ui.hintsSection.collapsed = True
        ui.newSegmentButton.click()
        session.node.GetSegmentation().GetSegment(session.selected).SetColor(*PINK)
        click(running, AMYGDALA_RAS)
        ui.nextPlaceButton.click()
        names.append(save(running, views, folder, "uncertainty"))
        for view in views:
            view.close()
    return names


def cut(running) -> None:
    """Takes the front of the selected segment away, as the Segment Editor's eraser would."""
    session = running.editor.session
    mask, affine = session.session.mask(), session.volume.ijk_to_ras
    kji = np.argwhere(mask)
    ras = kji[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    front = np.zeros_like(mask)
    front[tuple(kji[ras[:, 1] > CUT_A_MM].T)] = True
    paint(session.node, session.selected, front, session, remove=True)
    running.wait(timeout_s=PATIENCE_S)


def click(running, point_ras) -> None:
    """A positive click, and what comes of it."""
    points = running.editor.session.hint_nodes.positive
    points.AddControlPointWorld(vtk.vtkVector3d(*point_ras))
    running.wait(timeout_s=PATIENCE_S)


def add_template():
    """The template around the hippocampus, as a volume node."""
    template = load_mni152_template(resolution=1)
    array, affine = np.asarray(template.dataobj).T, template.affine.copy()
    i, j, k = np.round(np.linalg.inv(affine) @ [*CENTER_RAS, 1])[:3].astype(int)
    low = np.array([i - 28, j - 32, k - 28])
    affine[:3, 3] += affine[:3, :3] @ low
    part = array[low[2] : k + 28, low[1] : j + 32, low[0] : i + 28]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "MNI152")
    node.SetIJKToRASMatrix(as_matrix(affine))
    slicer.util.updateVolumeFromArray(node, np.round(part * 1000).astype(np.int16))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node


def save(running, views, folder: str, name: str) -> str:
    """Panel on the left, four views on the right."""
    from PySide6.QtCore import QPoint, QRect
    from PySide6.QtGui import QImage, QPainter

    running.wait(timeout_s=PATIENCE_S)
    image = running.picture().toImage()
    painter = QPainter(image)
    for n, view in enumerate(views):
        pixels = view.picture()
        part = QImage(pixels.tobytes(), *SIDE, 3 * SIDE[0], QImage.Format.Format_RGB888)
        corner = QPoint(PANEL + n % 2 * (SIDE[0] + GAP), n // 2 * (SIDE[1] + GAP))
        painter.drawImage(corner, part)
        frame = QRect(corner, part.size()).adjusted(6, 4, -6, -4)
        for letters, flag in ends_of(view):
            for color, shift in (("black", 1), ("white", 0)):
                painter.setPen(color)
                painter.drawText(frame.translated(shift, shift), flag, letters)
    painter.end()
    path = Path(folder) / f"{name}.png"
    image.save(str(path))
    print(path, file=sys.stderr)
    return str(path)


def ends_of(view) -> list[tuple[str, object]]:
    """Where in the patient a slice view's left, right, top and bottom lie, as Slicer itself would say."""
    from PySide6.QtCore import Qt

    if not isinstance(view, SliceView):
        return [("3D, from the front", Qt.AlignTop | Qt.AlignLeft)]
    matrix = view.node.GetSliceToRAS()
    right, top = ([matrix.GetElement(row, column) for row in range(3)] for column in (0, 1))
    found = [(view.orientation, Qt.AlignTop | Qt.AlignLeft)]
    for axis, ends in ((right, (Qt.AlignLeft, Qt.AlignRight)), (top, (Qt.AlignBottom, Qt.AlignTop))):
        row = int(np.argmax(np.abs(axis)))
        letters = ("LR", "PA", "IS")[row]
        letters = letters if axis[row] > 0 else letters[::-1]
        center = Qt.AlignVCenter if axis is right else Qt.AlignHCenter
        found += [(letter, end | center) for letter, end in zip(letters, ends, strict=True)]
    return found
