"""Model bundles: MONAI layout, a strict manifest, weights that are checked before use."""

from HiDiffRefineLib.bundles.bundle import Bundle, list_bundles, load_bundle, models_folder, refiner_of
from HiDiffRefineLib.bundles.weights import load_into, load_weights, update_settings, write_weights

__all__ = [
    "Bundle",
    "list_bundles",
    "load_bundle",
    "load_into",
    "load_weights",
    "models_folder",
    "refiner_of",
    "update_settings",
    "write_weights",
]
