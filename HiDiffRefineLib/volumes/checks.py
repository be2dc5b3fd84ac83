"""What a volume must be before anything is computed from it. Each refusal says what to do."""

from collections.abc import Iterator, Sequence

import numpy as np

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import slabs, whole_box

# From micro-CT to the thickest slices.
SPACING_RANGE_MM = (0.001, 50.0)
# A kilometre: some programs count from odd places, but none from there.
FARTHEST_MM = 1e6
# Hardly a segmentation has more labels.
MOST_LABELS = 255
# How far from a whole number a label may be that was stored scaled.
LABEL_OFF = 0.25
# See `likeness_to_labels`.
PERHAPS_LABELS, SURELY_LABELS = 1, 2
FEWEST_GREYS, MANY_GREYS = 6, 16
LABELS_EQUAL, MANY_LABELS_EQUAL, IMAGE_EQUAL = 0.94, 0.8, 0.75
IMAGE_STEPS = 0.8
# 1e-3 forgives direction cosines that were rounded to three decimals: 0.3 mm over a 300 mm image.
ORTHONORMAL_TOLERANCE = 1e-3
# Differences of such values still fit into 32 bits.
LARGEST = 1e30
# At a time, in a few milliseconds.
_LOOKED_AT_BYTES = 8 * 2**20


def check_grid(
    size_ijk: Sequence[int], spacing_ijk: Sequence[float], direction: np.ndarray, thinnest: int = 2
) -> None:
    """Refuses a grid that is not a box with right angles.

    Args:
        size_ijk: voxels along (i, j, k) and any further axes of the file.
        spacing_ijk: mm along (i, j, k).
        direction: 3×3, column n is the unit vector of axis n.
        thinnest: fewest voxels along an axis.

    Raises:
        VolumeError: too many or too few axes, no voxels, one voxel thin, spacing or direction absurd.
    """
    if any(n > 1 for n in size_ijk[3:]):
        raise VolumeError(
            f"The image has {len(size_ijk)} dimensions ({' × '.join(map(str, size_ijk))}).",
            "Extract one 3-D frame or time point and load that; of maps of probabilities, one label's mask.",
        )
    if any(n == 0 for n in size_ijk):
        raise VolumeError("The image is empty: it has no voxels.", "Export it again from its source.")
    if len(size_ijk) < 3 or min(size_ijk[:3]) < thinnest:
        raise VolumeError(
            f"The image is only one voxel thin ({' × '.join(map(str, size_ijk))}).",
            "Load a 3-D volume with at least two slices.",
        )
    low, high = SPACING_RANGE_MM
    if not all(low <= s <= high for s in spacing_ijk[:3]):
        raise VolumeError(
            f"The voxel spacing {' × '.join(f'{s:g}' for s in spacing_ijk[:3])} mm is impossible.",
            f"Correct the file's header: each spacing must lie between {low:g} and {high:g} mm.",
        )
    check_direction(direction)


def check_place(ijk_to_ras: np.ndarray) -> None:
    """Refuses (VolumeError) a 4×4 that holds no numbers, or lies where no patient is."""
    if not np.isfinite(ijk_to_ras).all() or np.abs(ijk_to_ras).max() > FARTHEST_MM:
        raise nowhere()


def check_affine(ijk_to_ras: np.ndarray) -> None:
    """Refuses (VolumeError) what is no 4×4 of numbers, and axes that are singular or not at right angles."""
    if np.shape(ijk_to_ras) != (4, 4):
        raise nowhere()
    check_place(ijk_to_ras)
    axes = ijk_to_ras[:3, :3]
    check_direction(axes / np.maximum(np.linalg.norm(axes, axis=0), np.finfo(float).tiny))


def nowhere() -> VolumeError:
    """The refusal of a place that no image has."""
    return VolumeError(
        f"The image lies nowhere: its origin or its axes are no numbers, or beyond {FARTHEST_MM:g} mm.",
        "Correct the origin and the spacing in the file's header, or in 3D Slicer's Volumes module.",
    )


def check_direction(direction: np.ndarray) -> None:
    """Refuses axes that are not at right angles; 3×3, column n is the unit vector of axis n."""
    if not np.isfinite(direction).all() or abs(np.linalg.det(direction)) < ORTHONORMAL_TOLERANCE:
        raise VolumeError(
            "The image's axes do not span three dimensions (singular direction matrix).",
            "Export the image again from its source, or correct the orientation in its header.",
        )
    if np.abs(direction.T @ direction - np.eye(3)).max() > ORTHONORMAL_TOLERANCE:
        raise sheared()


def sheared() -> VolumeError:
    """The refusal of axes that are not at right angles."""
    return VolumeError(
        "The image's axes are not at right angles to each other (sheared or tilted).",
        "Resample it onto a rectangular grid, for instance by hardening its transform in 3D Slicer.",
    )


def check_intensities(array: np.ndarray) -> None:
    """Refuses NaN, infinity, an image of one single value, a segmentation, and what is not 3-D.

    Raises:
        VolumeError: as said.
    """
    for _ in checking_intensities(array):
        pass


def checking_intensities(array: np.ndarray) -> Iterator[np.ndarray]:
    """`check_intensities` some slices at a time, which it yields: a user interface must not wait for all."""
    if array.ndim != 3 or not array.size:
        raise VolumeError(
            f"The image is no block of voxels in three dimensions ({' × '.join(map(str, array.shape))}).",
            "Extract one 3-D frame, time point or channel and use that.",
        )
    ends = []
    for k, _, _ in slabs(whole_box(array.shape), _LOOKED_AT_BYTES // array.itemsize):
        part = array[k]
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(part).all():
            raise not_numbers()
        ends += [part.min(), part.max()]
        yield part
    farthest = max(map(float, ends), key=abs)
    if abs(farthest) > LARGEST:
        raise VolumeError(
            f"The image holds a value of {farthest:.3g}, which no scanner gives.",
            "Replace such values, for instance by the background value, and load it again.",
        )
    if min(ends) == max(ends):
        raise VolumeError(
            f"The image is constant: every voxel is {ends[0]:g}.",
            "Check that the right file was chosen and that its export succeeded.",
        )
    if likeness_to_labels(array) == SURELY_LABELS:
        raise segmentation()


def likeness_to_labels(array: np.ndarray) -> int:
    """Whether an array (k, j, i) is a segmentation: `SURELY_LABELS`, `PERHAPS_LABELS`, or 0 for an image.

    A segmentation holds few values, all whole numbers, in regions: two neighbours within structures have the
    same one. Of images with coarse grey values, as some converters leave them, neighbours differ, and where
    they are so smooth that they don't, they go up and down by one grey value at a time; labels beside each
    other are any two. Measured on seven data sets: 89 to 100 % of the neighbours are equal in segmentations;
    of their unequal ones, 2 to 32 % are one value apart in those of six values or more. Images interpolated
    to half the pixel size have up to 95 % of equal neighbours with 16 grey values or more and 99 % with less,
    and one value apart are 83 to 100 % of the others.
    """
    # Some hundred thousand voxels tell as much as all; fewer than a thousand may hold few values by chance.
    step = int(np.ceil(np.cbrt(array.size / 3e5)))
    values, counts = np.unique(array[::step, ::step, ::step], return_counts=True)
    if array.size <= 1000 or len(values) > MOST_LABELS + 1:
        return 0
    background, slices = values[counts.argmax()], array[:: int(np.ceil(array.size / 1e6))]
    pairs = equal = steps = 0
    for first, second in ((slices[:, 1:], slices[:, :-1]), (slices[..., 1:], slices[..., :-1])):
        inside = (first != background) & (second != background)
        pairs += np.count_nonzero(inside)
        unequal = inside & (first != second)
        equal += np.count_nonzero(inside & ~unequal)
        low, high = (
            np.searchsorted(values, one[unequal].clip(values[0], values[-1])) for one in (first, second)
        )
        steps += np.count_nonzero(np.abs(low - high) == 1)
    share, count = equal / max(pairs, 1), len(values)
    if share <= IMAGE_EQUAL:
        return 0
    whole = (values == np.floor(values)).all()
    stepwise = steps > IMAGE_STEPS * (pairs - equal) and count >= FEWEST_GREYS
    enough = MANY_LABELS_EQUAL if count >= MANY_GREYS else LABELS_EQUAL
    return SURELY_LABELS if whole and share > enough and not stepwise else PERHAPS_LABELS


def not_numbers() -> VolumeError:
    """The refusal of NaN and infinity."""
    return VolumeError(
        "The image holds voxels that are not numbers (NaN or infinity).",
        "Replace them, for instance by the background value, and load it again.",
    )


def segmentation() -> VolumeError:
    """The refusal of a segmentation where an image is asked for."""
    return VolumeError("This is a segmentation, not an image.", "Choose the image that it was made of.")


def damaged() -> VolumeError:
    """The refusal of a file that can't be read."""
    return VolumeError(
        "The file is damaged, incomplete, or not of the kind that its name says.",
        "Copy or export it again from its source.",
    )


def whole_labels(array: np.ndarray) -> np.ndarray:
    """Labels of any type as the smallest unsigned integers that hold them.

    Some programs store labels scaled, so that they come back as 2.9998 or 4.2: values that lie near whole
    numbers, each by itself, are these.

    Raises:
        VolumeError: other values than whole numbers from 0 to 65535.
    """
    # NaN fails each comparison, so it is refused as well.
    if not np.issubdtype(array.dtype, np.integer) and not (array == np.floor(array)).all():
        array = _rounded(array)
    if array.min() < 0 or array.max() > 65535:
        raise no_labelmap()
    return array.astype(np.min_scalar_type(int(array.max())))


def _rounded(array: np.ndarray) -> np.ndarray:
    step = int(np.ceil(np.cbrt(array.size / 3e5)))
    if len(np.unique(array[::step, ::step, ::step])) <= MOST_LABELS + 1:  # else no labels: spares the sorting
        values = np.unique(array)
        labels = np.rint(values)
        if (np.abs(values - labels) < LABEL_OFF).all() and len(np.unique(labels)) == len(values):
            return np.rint(array)
    raise no_labelmap()


def no_labelmap() -> VolumeError:
    """The refusal of an image where a labelmap is asked for."""
    return VolumeError(
        "The file is no labelmap: it holds values that are not whole numbers from 0 to 65535.",
        "Choose the segmentation instead of the image, and no map of probabilities.",
    )
