"""Slicer's desktop application, as far as the panel's tests need it: slicer-core, and PySide6 for qt."""

from Testing.harness.pythonqt import install

# Before any class of Qt's is made: those made earlier would not inherit the changes.
install()
