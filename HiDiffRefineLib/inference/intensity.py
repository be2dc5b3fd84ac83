"""A bundle's intensity rule: from stored values to the 0…1 that networks see."""

import numpy as np

from HiDiffRefineLib.errors import VolumeError

# A CT of nothing but soft tissue spans more than so many Hounsfield units.
NARROWEST_CT = 150.0
# Per cent of the voxels at either end that may lie anywhere.
LEAST_SHARE = 0.2
# The highest number of 16 bits with a sign.
MOST_SIGNED = 32767


def intensity_range(values: np.ndarray, rule: dict) -> tuple[float, float]:
    """The stored values that become 0 and 1.

    Args:
        values: for Hounsfield units the whole volume, whatever part of it is wanted, since only the whole
            tells its units; for percentiles the part that is looked at.
        rule: {"rule": "hu_window", "low", "high"}, a window in Hounsfield units, or {"rule": "percentiles",
            "low", "high"}, since MR units mean nothing and single voxels can be a thousand times too bright.

    Raises:
        VolumeError: values that can't be Hounsfield units.
    """
    lowest, highest = float(values.min()), float(values.max())
    if rule["rule"] == "percentiles":
        # Padding and what a skull stripping blackened hold the lowest value; they say nothing of contrast.
        shown = values[values > lowest] if highest > lowest else values
        low, high = np.percentile(shown, [rule["low"], rule["high"]])
        return (float(low), float(high)) if high > low else (lowest, highest)
    check_hounsfield(values, rule)
    if is_8_bit_display(values, rule):
        return 0.0, 255.0
    return rule["low"], rule["high"]


def check_hounsfield(values: np.ndarray, rule: dict) -> None:
    """Refuses (VolumeError) what is neither in Hounsfield units nor an 8-bit display of the rule's window.

    A constant lowest value is padding, which scanners and programs put where they saw nothing: it tells no
    units. Without it, a CT spans air to bone, and a good part of it lies below 0. Some hundred thousand
    voxels tell as much as all, and a single voxel tells nothing.
    """
    step = int(np.ceil(np.cbrt(values.size / 3e5)))
    sample = values[tuple(slice(None, None, step) for _ in values.shape)].ravel()
    shown = sample[sample > values.min()]
    if not shown.size:
        return
    lowest, most = np.percentile(shown, [LEAST_SHARE, 100 - LEAST_SHARE])
    if most - lowest < NARROWEST_CT:
        raise _scaled(lowest, most)
    highest = float(values.max())
    if most <= MOST_SIGNED and (lowest < 0 or highest <= rule["high"]):
        return
    if highest > MOST_SIGNED:
        if np.mean((shown > MOST_SIGNED / 2) & (shown <= MOST_SIGNED)) > LEAST_SHARE / 100:
            raise _scaled(lowest, most)  # nothing lies there where signs are lost
        raise VolumeError(
            f"This CT is not in Hounsfield units: it reaches up to {highest:.0f}, as negative values do that"
            " are read without their sign.",
            "Read it as signed numbers (subtract 65536 from values above 32767), or load the DICOM series.",
        )
    raise VolumeError(
        "This CT is not in Hounsfield units: it has no value below 0, not even in air.",
        "Apply the rescale slope and intercept (often: subtract 1024), or load the DICOM series.",
    )


def _scaled(lowest: float, highest: float) -> VolumeError:
    span = " and ".join(f"{end:.3g}" if abs(end) < 1000 else f"{end:.0f}" for end in (lowest, highest))
    return VolumeError(
        f"This CT is not in Hounsfield units: its values lie between {span}.",
        "Load the CT as it was before it was scaled, or its DICOM series.",
    )


def is_8_bit_display(values: np.ndarray, rule: dict) -> bool:
    """Whether these are no Hounsfield units but an 8-bit display of the rule's window.

    No CT lacks every value below water.
    """
    return rule["rule"] == "hu_window" and values.min() >= 0 and values.max() <= 255


def scale(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """float32 of the array's shape: low…high as 0…1, clipped."""
    # A region of interest in the air around a patient may be constant.
    scaled = (array.astype(np.float32) - np.float32(low)) / np.float32((high - low) or 1)
    return np.clip(scaled, 0, 1)
