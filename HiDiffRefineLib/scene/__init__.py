"""An editing session on the nodes of a MRML scene. Imports slicer and vtk; no qt, no torch."""
