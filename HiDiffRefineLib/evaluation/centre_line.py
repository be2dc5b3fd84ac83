"""The middle of a region: how deep its voxels lie, and a line that keeps to the deep ones."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra


def depth_mm(region: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance of each voxel of a region to the nearest one outside, which the array's surroundings are.

    Args:
        region: bool, 2-D or 3-D.
        spacing: voxel size in mm along each axis.

    Returns:
        mm, 0 outside the region.
    """
    inner = (slice(1, -1),) * region.ndim
    return distance_transform_edt(np.pad(region, 1), sampling=spacing)[inner]


def centre_line(region: np.ndarray, inside: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    """A line through the part of a 2-D region that is 8-connected to one of its pixels.

    It joins the two pixels that are furthest apart within the part (furthest from `inside`, then furthest
    from there: exact in a tree) by the path on which ∫ ds / depth² is least, so that it keeps to the middle.

    Args:
        region: bool (rows, columns).
        inside: index of a pixel of the region.
        spacing: pixel size in mm along rows and columns.

    Returns:
        int (n, 2): indices from end to end, each an 8-neighbour of the one before.
    """
    pixels = np.argwhere(region)
    number = np.full(np.add(region.shape, 2), -1)  # with a rim, so that every pixel has eight neighbours
    number[tuple(pixels.T + 1)] = np.arange(len(pixels))
    depth = depth_mm(region, spacing)[region]
    starts, ends, lengths = [], [], []
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbour = number[tuple((pixels + 1 + step).T)]
        start = np.flatnonzero(neighbour >= 0)
        starts.append(start)
        ends.append(neighbour[start])
        lengths.append(np.full(start.size, np.linalg.norm(np.multiply(step, spacing))))
    start, end, length = (np.concatenate(parts) for parts in (starts, ends, lengths))
    shape = (len(pixels), len(pixels))
    plain = coo_array((length, (start, end)), shape).tocsr()
    central = coo_array((length / np.minimum(depth[start], depth[end]) ** 2, (start, end)), shape).tocsr()

    first = _furthest(dijkstra(plain, directed=False, indices=number[tuple(np.add(inside, 1))]))
    last = _furthest(dijkstra(plain, directed=False, indices=first))
    _, before = dijkstra(central, directed=False, indices=first, return_predecessors=True)
    path = [last]
    while path[-1] != first:
        path.append(before[path[-1]])
    return pixels[path]


def _furthest(distances: np.ndarray) -> int:
    return int(np.where(np.isfinite(distances), distances, -1).argmax())
