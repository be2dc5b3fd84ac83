"""The segmentor, the refiner and what they are built of; `build` makes them, and DSSM, by name."""
