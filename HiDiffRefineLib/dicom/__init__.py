"""DICOM in and out: image series, and segmentations (SEG) written, proven and read."""
