"""Hints: clicks, scribbles and painted voxels in RAS millimetres, and the voxels that they cover."""
