"""Running a segmentor and the refiner on a volume."""
