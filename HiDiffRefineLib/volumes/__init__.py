"""Volumes in and out of files: an array (k, j, i) with its affine to RAS millimetres."""
