"""Affines, grids and resampling: where things are, in RAS millimetres."""
