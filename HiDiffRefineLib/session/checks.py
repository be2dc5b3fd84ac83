"""What a session refuses, before anything changes."""

from collections.abc import Sequence

import numpy as np

from HiDiffRefineLib.errors import HintError, SessionError, VolumeError
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import check_inside, hint_values
from HiDiffRefineLib.inference.checks import is_whole
from HiDiffRefineLib.inference.extents import LEVELS
from HiDiffRefineLib.session.layer import Layer
from HiDiffRefineLib.session.state import State


def check_free(name: str, state: State) -> None:
    """Refuses what is no name, and a second segment of one name."""
    if not isinstance(name, str) or not name.strip():
        raise SessionError(f"A segment can't be called {name!r}.", "Give it a name.")
    if name in state.layers:
        raise SessionError(
            f"There is a segment '{name}' already.",
            "Choose another name or a new segmentation, or replace its mask instead.",
        )


def found(name: str | None, state: State) -> Layer:
    """The segment of that name; refuses None and names that are not there."""
    if name not in state.layers:
        what = "No segment is selected." if name is None else f"There is no segment '{name}'."
        known = ", ".join(state.layers) or "none yet; segment the volume or set a prior first"
        raise SessionError(what, f"Segments: {known}.")
    return state.layers[name]


def checked(mask: np.ndarray, state: State) -> np.ndarray:
    """A mask as bool (k, j, i); refuses one of another shape than the volume's, or with other values."""
    mask = np.asarray(mask)
    if mask.shape != state.grid.shape_kji:
        ours, its = (" × ".join(map(str, shape)) for shape in (state.grid.shape_kji, mask.shape))
        raise VolumeError(
            f"The mask has another geometry than the image ({its} voxels, not {ours}).",
            "Resample it onto the image's grid first.",
        )
    # NaN is neither.
    if mask.dtype != bool and not (mask.dtype.kind in "uif" and ((mask == 0) | (mask == 1)).all()):
        raise VolumeError(
            "The mask holds other values than 0 and 1.",
            "Choose one label of a labelmap (labels == 3), or cut probabilities (p > .5).",
        )
    return mask.astype(bool, copy=False)


def check_places(numbers: Sequence[int], hints: Sequence[Hint]) -> list[int]:
    """Places in a list of hints, each once, in order; refuses what is none (SessionError)."""
    for number in numbers:
        if not is_whole(number) or not 0 <= number < len(hints):
            raise SessionError(f"There is no hint {number!r}.", f"The segment has {len(hints)}, from 0 on.")
    return sorted({int(number) for number in numbers})


def check_level(level: int, state: State) -> None:
    """Refuses what is no level of an edit, and a level where there is no edit to take more or less of."""
    if not is_whole(level) or level not in LEVELS:
        raise SessionError(f"There is no level {level}.", f"Choose from {LEVELS[0]} to {LEVELS[-1]}.")
    if state.extent is None:
        raise SessionError(
            "There is no answer to take more or less of.", "Place a hint, and let it be refined first."
        )


def check_new_hint(hint: Hint, state: State) -> None:
    """Refuses a hint on the selected segment that could not hold.

    Raises:
        HintError: no hint at all, outside the volume, in a locked place, or in another segment.
    """
    if not isinstance(hint, Hint):
        raise HintError(f"{hint!r} is no hint.", "Give a Click, a Scribble or a Painted.")
    check_inside([hint], state.grid)
    voxels_kji, _ = hint_values([hint], state.grid)
    if state.locked_at(voxels_kji).any():
        raise _locked_place()
    check_possible([hint], state, state.selected)


def check_possible(hints: Sequence[Hint], state: State, name: str) -> None:
    """Refuses hints that ask to change what no edit of a segment may change.

    Raises:
        HintError: a locked place, or another segment's.
    """
    voxels_kji, values = hint_values(hints, state.grid)
    change = voxels_kji[state.layers[name].mask[tuple(voxels_kji.T)] != (values > 0)]
    place = tuple(change.T)
    if state.locked_at(change).any():
        raise _locked_place()
    for other, layer in state.layers.items():
        if other != name and layer.mask[place].any():
            raise HintError(
                f"The hint for '{name}' lies in the segment '{other}'.",
                f"Take the place away from '{other}' first, with a negative hint there, or undo this hint.",
            )


def _locked_place() -> HintError:
    return HintError("The hint lies in a locked place.", "Unlock it first, or place the hint elsewhere.")
