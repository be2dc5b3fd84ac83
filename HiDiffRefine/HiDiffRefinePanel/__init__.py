"""The panel of the module: widgets, timer, mouse and keys. Imports qt and slicer; no torch."""
