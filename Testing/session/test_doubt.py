"""Doubt: a number where chains disagree, none where the user has spoken or nothing may change."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import SessionError
from HiDiffRefineLib.geometry.grids import Grid, centered_grid
from HiDiffRefineLib.inference.doubt import APART_MM, PLACES, doubtful_places
from HiDiffRefineLib.session.session import RefinementSession
from Testing.session.acting import noise, point_in, told


@pytest.fixture
def session(pipeline):
    session = RefinementSession(noise(1), pipeline)
    session.segment()
    return session


def test_the_map_shows_doubt_and_changes_nothing(session):
    before = told(session)
    doubt, again = session.uncertainty(), session.uncertainty()
    assert doubt.values.shape == session.mask()[doubt.box].shape == doubt.grid.shape_kji
    assert doubt.values.min() >= 0 and doubt.values.max() <= 1 and doubt.values.std() > 0.01
    assert np.array_equal(doubt.values, again.values) and told(session) == before


def test_no_doubt_where_nothing_may_change(session):
    other = session.mask(session.segments[1])
    session.lock(np.indices(other.shape)[0] == 4)
    doubt = session.uncertainty()
    assert not doubt.values[(session.state.locked | other)[doubt.box]].any()
    assert doubt.values.any()


def test_no_doubt_where_the_user_has_spoken(pipeline):
    session = RefinementSession(noise(1), pipeline)
    session.set_prior(session.engine.volume.array > 40, "box")
    painted = np.random.default_rng(0).random(session.mask().shape) < 0.2
    session.add_painted(painted, True)
    doubt = session.uncertainty()
    assert not doubt.values[painted[doubt.box]].any() and doubt.values.any()


def test_the_next_doubtful_place_leads_through_all_and_starts_anew(session):
    doubt = session.uncertainty()
    places = doubtful_places(doubt.values, doubt.grid, PLACES)
    seen = [session.next_doubtful_place() for _ in range(len(places) + 1)]
    assert len(places) > 0 and np.array_equal(np.array(seen[:-1]), places) and seen[-1] is None
    assert np.array_equal(session.next_doubtful_place(), places[0])
    session.select(session.segments[1])
    assert not np.array_equal(session.next_doubtful_place(), places[1])


def test_an_empty_segment_has_no_doubt(session):
    session.set_prior(np.zeros_like(session.mask()), "empty")
    with pytest.raises(SessionError, match="'empty' is empty"):
        session.uncertainty()


def test_places_are_ranked_and_apart():
    grid = Grid(
        (20, 30, 40), centered_grid((5, 6, 7), (20, 30, 40), (2, 1, 1), np.diag([-1, 1, 1])).ijk_to_ras
    )
    doubt = np.zeros(grid.shape_kji, np.float32)
    doubt[5, 5:8, 5:8] = 0.5  # a patch is worse than a voxel
    doubt[5, 6, 6] = 0.6
    doubt[15, 25, 35] = 0.9
    doubt[15, 25, 30] = 0.8  # too near
    doubt[10, 15, 20] = 0.1  # too faint
    volume = noise(0)
    volume.ijk_to_ras[:] = grid.ijk_to_ras
    expected = [point_in(volume, (5, 6, 6)), point_in(volume, (15, 25, 35))]
    assert np.allclose(doubtful_places(doubt, grid, 5), expected)
    assert np.allclose(doubtful_places(doubt, grid, 1), expected[:1])
    assert doubtful_places(np.zeros_like(doubt), grid, 5).shape == (0, 3)
    everywhere = doubtful_places(np.ones_like(doubt), grid, 99)
    gaps = np.linalg.norm(everywhere[:, None] - everywhere, axis=-1) + 1e3 * np.eye(len(everywhere))
    assert len(everywhere) > 5 and gaps.min() >= APART_MM
