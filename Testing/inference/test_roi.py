"""Cubes along R, A and S in volumes of any orientation."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.geometry.boxes import part_of
from HiDiffRefineLib.inference.roi import RegionOfInterest


@pytest.mark.parametrize("kind", ["straight", "flipped", "reordered", "oblique", "anisotropic"])
def test_the_box_holds_every_voxel_of_the_cube(grids, kind):
    roi = RegionOfInterest((92, -42, 38), 12)
    box = roi.box(grids[kind])
    inside = roi.holds(grids[kind])
    assert inside.any()
    assert inside[box].sum() == inside.sum()
    assert np.array_equal(roi.holds(part_of(grids[kind], box)), inside[box])
    # Its volume is the cube's.
    assert inside.sum() * np.prod(grids[kind].spacing_kji) == pytest.approx(24**3, rel=0.15)


def test_a_cube_at_the_border_is_clipped(grids):
    box = RegionOfInterest((71, -46, 34), 15).box(grids["straight"])
    assert box[2].start == 0 and 10 <= box[2].stop < 30


@pytest.mark.parametrize("center", [(1000, 0, 0), (100, -46, 80), (137, -46, 34)])
def test_a_cube_outside_says_where_the_image_is(grids, center):
    with pytest.raises(VolumeError, match=r"holds too little of the image") as caught:
        RegionOfInterest(center, 10).box(grids["straight"])
    assert "(70, -76, 12) to (130, -16, 56)" in caught.value.remedy


def test_a_volume_thinner_than_the_least_is_no_fault_of_the_cube(grids):
    thin = part_of(grids["straight"], (slice(0, 3), slice(0, 50), slice(0, 50)))
    assert RegionOfInterest(tuple(thin.center_ras), 15).box(thin)[0] == slice(0, 3)
