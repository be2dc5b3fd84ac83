"""Draws the icon's PNG files from Resources/HiDiffRefine.svg: `make icon`."""

import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

REPOSITORY = Path(__file__).resolve().parents[2]
TARGETS = ("Resources/HiDiffRefine.png", "HiDiffRefine/Resources/Icons/HiDiffRefine.png")

if __name__ == "__main__":
    application = QGuiApplication([])
    image = QImage(128, 128, QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    QSvgRenderer(str(REPOSITORY / "Resources/HiDiffRefine.svg")).render(painter)
    painter.end()
    for target in TARGETS:
        image.save(str(REPOSITORY / target))
