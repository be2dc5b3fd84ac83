"""Segmentors from elsewhere, made bundles like ours. None of their code runs."""
