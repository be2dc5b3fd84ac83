"""What a session is handed is looked at before anything changes."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import HiDiffRefineError, VolumeError
from HiDiffRefineLib.hints.hint import Click, Painted, Scribble
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume
from Testing.session.acting import noise

NAN = float("nan")


@pytest.fixture
def session(pipeline, tmp_path):
    """Two segments; "cube" has a hint that an edit obeys and one that waits."""
    session = RefinementSession(noise(0), pipeline, tmp_path / "journal")
    mask = np.zeros(session.state.grid.shape_kji, bool)
    session.set_prior(mask, "other")
    mask[4:8, 4:8, 4:8] = True
    session.set_prior(mask, "cube")
    session.add_click(session.state.grid.center_ras)
    list(session.refine(1))
    session.add_click(session.state.grid.center_ras, False)
    return session


def filled(session, value, kind=float):
    return np.full(session.state.grid.shape_kji, value, kind)


REFUSED = {
    "a sign in words": lambda s: s.add_click(s.state.grid.center_ras, "no"),
    "a sign as a number": lambda s: s.add_click(s.state.grid.center_ras, -1),
    "a stroke's sign": lambda s: s.add_scribble([s.state.grid.center_ras], 1, 2.0),
    "a paint's sign": lambda s: s.add_painted(filled(s, True, bool), None),
    "a point in the plane": lambda s: s.add_click((1.0, 2.0)),
    "two points": lambda s: s.add_click([s.state.grid.center_ras] * 2),
    "a point in words": lambda s: s.add_click("here"),
    "nowhere": lambda s: s.add_click((NAN, 0, 0)),
    "a width in words": lambda s: s.add_scribble([s.state.grid.center_ras], True, "2"),
    "a width of NaN": lambda s: s.add_scribble([s.state.grid.center_ras], True, NAN),
    "no hint": lambda s: s.add_hint("a click"),
    "a mask of NaN": lambda s: s.set_prior(filled(s, NAN), "new"),
    "a mask of -1": lambda s: s.set_mask("cube", filled(s, -1, np.int16)),
    "probabilities": lambda s: s.set_mask("cube", filled(s, 0.3)),
    "a mask of text": lambda s: s.lock(filled(s, "x", "U1")),
    "a labelmap": lambda s: s.lock(filled(s, 3, np.uint8)),
    "a mask of another shape": lambda s: s.lock(np.zeros((1, 2, 3), bool)),
    "painted probabilities": lambda s: s.add_painted(filled(s, 0.3), True),
    "a hint that is not there": lambda s: s.withdraw("cube", [0, 99]),
    "a hint before the first": lambda s: s.withdraw("cube", [-1]),
    "a hint's place in words": lambda s: s.withdraw("cube", ["0"]),
    "no name": lambda s: s.rename("cube", None),
    "an empty name": lambda s: s.set_prior(filled(s, False, bool), " "),
    "a name that is taken": lambda s: s.rename("cube", "other"),
    "no segment": lambda s: s.mask(""),
    "steps in words": lambda s: s.refine(steps="2"),
    "steps that are true": lambda s: s.refine(steps=True),
    "half a step": lambda s: s.refine(steps=1.5),
    "a level in words": lambda s: s.set_extent("5"),
    "half a level": lambda s: s.set_extent(4.5),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
def test_nonsense_is_refused_in_a_sentence_and_nothing_changes(session, tmp_path, ask):
    def seen():
        layers = {name: (layer.mask.tobytes(), layer.given) for name, layer in session.state.layers.items()}
        return layers, session.state.locked.tobytes(), len(session.state.done), session.selected

    before, journal = seen(), (tmp_path / "journal").read_bytes()
    with pytest.raises(HiDiffRefineError) as refused:
        ask(session)
    assert refused.value.message.endswith((".", ")")) and refused.value.remedy
    assert seen() == before and (tmp_path / "journal").read_bytes() == journal


def test_what_means_the_same_is_taken(session):
    session.add_click(list(session.state.grid.center_ras), np.True_)
    session.set_mask("cube", filled(session, 1.0))
    assert session.mask("cube").all()
    session.withdraw("cube", np.array([0, 0]))
    assert list(session.refine(np.int64(1)))
    assert Painted(filled(session, 7, np.uint8), np.eye(4), True).mask.all()
    assert Scribble([(0, 0, 0)], False, np.float32(1)).positive is False
    assert Click([[1, 2, 3]], True).point_ras.tolist() == [1, 2, 3]


SHEARED = np.eye(4)
SHEARED[0, 1] = 0.3


@pytest.mark.parametrize(
    "affine", [SHEARED, np.diag([1.0, 1, 0, 1]), np.full((4, 4), NAN), np.eye(3), np.eye(4) * 1e9]
)
def test_a_volume_that_lies_nowhere_or_askew_opens_no_session(pipeline, tmp_path, affine):
    with pytest.raises(VolumeError):
        RefinementSession(Volume(noise(0).array, affine), pipeline, tmp_path / "journal")
    assert not list(tmp_path.glob("journal*"))
