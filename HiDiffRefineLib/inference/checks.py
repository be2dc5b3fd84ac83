"""Whether a bundle can do what is asked of it, from what it says about itself: no torch, no weights."""

from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.errors import ConfigError

# What may give a prior: networks of a segmentor's bundle.
MODES = ("segmentor", "dssm")
# How many times smaller or larger than anything trained on voxels and the field of view may be.
UNLIKE_VOXELS, UNLIKE_VIEW = 3.0, 2.0


def check_segmentor(bundle: Bundle, mode: str = "segmentor") -> None:
    """Refuses a bundle that is no segmentor, or has no weights for the mode "dssm".

    Raises:
        ConfigError: as said.
    """
    if bundle.kind != "segmentor":
        raise ConfigError(
            f"'{bundle.name}' is a {bundle.kind}, not a segmentor.",
            "Choose one that `python -m HiDiffRefineLib bundles` lists as segmentor.",
        )
    if mode == "dssm" and mode not in bundle.settings["weights"]:
        raise ConfigError(f"'{bundle.name}' has no one-shot network (DSSM).", "Use its segmentor.")


def unlike_in_size(bundle: Bundle, bounds_ras: np.ndarray, spacing_kji: Sequence[float]) -> str | None:
    """The warning about voxels or a field of view unlike those that a bundle was trained on; None if alike.

    Args:
        bounds_ras: (2, 3) RAS mm, what is looked at.
        spacing_kji: of the image, mm.
    """
    small, large = bundle.settings.get("voxels_mm", (0.0, np.inf))
    if min(spacing_kji) < small / UNLIKE_VOXELS or max(spacing_kji) > large * UNLIKE_VOXELS:
        voxels = " × ".join(f"{step:.3g}" for step in spacing_kji[::-1])
        return (
            f"The voxels of {voxels} mm are unlike those of the images that '{bundle.name}' was trained on"
            f" ({small:g} to {large:g} mm): look at every segment twice."
        )
    low, high = np.array(bundle.settings.get("field_of_view_mm", ((0.0,) * 3, (np.inf,) * 3)))
    sides = np.diff(bounds_ras, axis=0)[0]
    if (sides < low / UNLIKE_VIEW).any() or (sides > high * UNLIKE_VIEW).any():
        view, seen = (" × ".join(f"{side:.0f}" for side in one) for one in (sides, (low + high) / 2))
        return (
            f"The field of view of {view} mm (right-left, front-back, up-down) is unlike that of the images"
            f" that '{bundle.name}' was trained on (about {seen} mm): look at every segment twice."
        )
    return None


def is_whole(value: object) -> bool:
    """Whether something is a whole number, Python's or NumPy's; True is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def checked_steps(refiner: Bundle, steps: int | None) -> int:
    """The number of reverse steps; None for the refiner's default.

    Raises:
        ConfigError: no whole number, more steps than the refiner's chain has, or none.
    """
    longest = refiner.settings["chain"]["T"]
    if steps is None:
        return refiner.settings["steps"]
    if not is_whole(steps) or not 1 <= steps <= longest:
        raise ConfigError(f"{steps} reverse steps are not possible.", f"Choose 1 to {longest}.")
    return int(steps)
