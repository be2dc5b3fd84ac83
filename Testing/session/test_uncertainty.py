"""Uncertainty: a number where chains disagree, none where the user has spoken or nothing may change."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.inference.messages import Place, Uncertainty
from HiDiffRefineLib.inference.uncertainty import describe_places, mask_border, number_places
from HiDiffRefineLib.session.session import RefinementSession
from Testing.session.acting import noise, told


@pytest.fixture
def session(pipeline):
    session = RefinementSession(noise(1), pipeline)
    session.segment()
    return session


def test_the_map_shows_doubt_and_changes_nothing(session):
    before = told(session)
    uncertainty, again = session.uncertainty(), session.uncertainty()
    assert uncertainty.values.shape == session.mask()[uncertainty.box].shape == uncertainty.grid.shape_kji
    assert uncertainty.values.min() >= 0 and uncertainty.values.max() <= 1 and uncertainty.values.std() > 0.01
    assert np.array_equal(uncertainty.values, again.values) and told(session) == before


def test_no_doubt_where_nothing_may_change(session):
    other = session.mask(session.segments[1])
    session.lock(np.indices(other.shape)[0] == 4)
    uncertainty = session.uncertainty()
    assert not uncertainty.values[(session.state.locked | other)[uncertainty.box]].any()
    assert uncertainty.values.any()


def test_no_doubt_where_the_user_has_spoken(pipeline):
    session = RefinementSession(noise(1), pipeline)
    session.set_prior(session.engine.volume.array > 40, "box")
    painted = np.random.default_rng(0).random(session.mask().shape) < 0.2
    session.add_painted(painted, True)
    uncertainty = session.uncertainty()
    assert not uncertainty.values[painted[uncertainty.box]].any() and uncertainty.values.any()


def test_the_next_doubtful_place_leads_through_all_and_starts_anew(session):
    assert session.last_uncertainty is None
    seen = [session.next_doubtful_place() for _ in range(3)]
    count = len(session.last_uncertainty.places)
    seen += [session.next_doubtful_place() for _ in range(2 * count + 2 - 3)]
    assert count > 0 and seen == 2 * [*range(count), None]
    for name in (session.segments[1], session.segments[0]):
        session.select(name)
        assert session.last_uncertainty is None
    assert session.next_doubtful_place() == 0 and len(session.last_uncertainty.places) == count


def test_an_empty_segment_has_no_doubt(session):
    session.set_prior(np.zeros_like(session.mask()), "empty")
    with pytest.raises(SessionError, match="'empty' is empty"):
        session.uncertainty()


@pytest.fixture
def map_of_a_box():
    """A grid, a box of a mask on it, and uncertainty: a band of a voxel on either side of its border."""
    place = centered_grid((5, 6, 7), (24, 60, 60), (3, 1, 1), np.diag([-1, 1, 1]))
    grid = Grid((24, 60, 60), place.ijk_to_ras)
    mask = np.zeros(grid.shape_kji, bool)
    mask[4:20, 10:50, 10:50] = True
    band = binary_dilation(mask, footprint()) & ~binary_erosion(mask, footprint())
    return grid, mask, np.where(band, np.float32(0.9), np.float32(0))


def footprint():
    """Within slices alone: where the next slice begins, a whole slice may be wrong."""
    return np.ones((1, 3, 3), bool)


def places_in(uncertainty, mask, grid, count=10):
    numbers = number_places(uncertainty, mask_border(mask), grid.spacing_kji, 1.0, count)
    return numbers, describe_places(uncertainty, numbers, grid)


def test_a_band_along_the_border_is_no_place(map_of_a_box):
    grid, mask, uncertainty = map_of_a_box
    numbers, places = places_in(uncertainty, mask, grid)
    assert uncertainty.any() and not numbers.any() and places == ()
    uncertainty[:] = 0
    uncertainty[10, 30, 30] = 1  # a lone voxel
    assert places_in(uncertainty, mask, grid)[1] == ()
    assert places_in(np.zeros_like(uncertainty), mask, grid)[1] == ()


def test_places_are_ranked_by_how_much_the_mask_may_change(map_of_a_box):
    grid, mask, uncertainty = map_of_a_box
    small, large = (slice(8, 10), slice(46, 55), slice(20, 29)), (slice(12, 15), slice(20, 31), slice(20, 31))
    faint = slice(8, 12), slice(20, 30), slice(35, 45)
    uncertainty[small], uncertainty[large], uncertainty[faint] = 0.9, 0.5, 0.1
    numbers, (first, second) = places_in(uncertainty, mask, grid)
    assert (numbers[large] == 1).all() and (numbers == 1).sum() == numbers[large].size
    assert (numbers[small][:, 1:-1, 1:-1] == 2).all()
    # The band leads away from it, and is left behind within two voxels.
    near = np.zeros_like(mask)
    near[8:10, 44:57, 18:31] = True
    assert not (numbers == 2)[~near].any()
    assert np.allclose(first.point_ras, grid.ijk_to_ras[:3, :3] @ (25, 25, 13) + grid.ijk_to_ras[:3, 3])
    assert first.volume_ml == pytest.approx(0.5 / 2 * 3 * 11 * 11 * 3 / 1000)
    assert 0 < second.volume_ml < first.volume_ml
    assert (places_in(uncertainty, mask, grid, 1)[0] == (numbers == 1)).all()


def test_a_border_that_is_undecided_everywhere_tells_where_it_is_more_so(map_of_a_box):
    grid, mask, uncertainty = map_of_a_box
    wide = np.ones((1, 9, 9), bool)
    uncertainty[binary_dilation(mask, wide) & ~binary_erosion(mask, wide)] = 0.9
    assert places_in(uncertainty, mask, grid)[1] == ()
    uncertainty[6:16, 20:45, 20:45] = 0.9
    _, (place,) = places_in(uncertainty, mask, grid)
    assert round((grid.ras_to_ijk @ [*place.point_ras, 1])[2]) in range(8, 14)


def test_what_is_undecided_is_a_part_of_the_segment(map_of_a_box):
    grid, mask, uncertainty = map_of_a_box
    box = tuple(slice(0, n) for n in mask.shape)

    def told(*volumes_ml):
        places = tuple(Place(np.zeros(3), volume_ml) for volume_ml in volumes_ml)
        return Uncertainty(grid, box, uncertainty, np.zeros(mask.shape, np.uint8), places)

    whole_ml = mask.sum() * 3 / 1000
    assert told(1.5, 0.5).volume_ml == 2 and told(1.5, 0.5).share_of(mask) == pytest.approx(2 / whole_ml)
    assert told().share_of(mask) == 0 and told(2 * whole_ml).share_of(mask) == 1
    assert told(1.0).share_of(np.zeros_like(mask)) == 1
