"""How far from a click an edit may change anything: the box that it looks at, in mm."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference.regions import edit_region, holds

PATCH_KJI = (48, 96, 96)
POINTS = st.tuples(*[st.floats(-500, 500)] * 3)


@given(
    point=POINTS,
    corner=POINTS,
    sides=st.one_of(st.none(), st.tuples(*[st.floats(0, 1000)] * 3)),
    working_kji=st.tuples(*[st.floats(0.5, 10)] * 3),
)
def test_a_click_reaches_no_further_than_its_box(point, corner, sides, working_kji):
    """Whatever the object: a box of the refiner's voxels at the working spacing, around the click."""
    click = Click(np.array(point), True)
    thing = None if sides is None else np.array([corner, np.add(corner, sides)])
    region = edit_region(click, thing, working_kji, PATCH_KJI)
    low, high = region.bounds_ras()
    assert ((high - low)[::-1] <= np.multiply(PATCH_KJI, working_kji) + 1e-6).all()
    assert holds(region, click)
