"""Whether a bundle can do what is asked of it, from what it says about itself: no torch, no weights."""

from HiDiffRefineLib.bundles import Bundle
from HiDiffRefineLib.errors import ConfigError

# What may give a prior: networks of a segmentor's bundle.
MODES = ("segmentor", "dssm")


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


def checked_steps(refiner: Bundle, steps: int | None) -> int:
    """The number of reverse steps; None for the refiner's default.

    Raises:
        ConfigError: more steps than the refiner's chain has, or none.
    """
    longest = refiner.settings["chain"]["T"]
    if steps is None:
        return refiner.settings["steps"]
    if not 1 <= steps <= longest:
        raise ConfigError(f"{steps} reverse steps are not possible.", f"Choose 1 to {longest}.")
    return steps
