"""Training of segmentors and of the refiner."""
