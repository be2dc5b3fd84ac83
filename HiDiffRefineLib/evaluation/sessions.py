"""Editing sessions of the product, as the robot user plays them: nothing of an edit is done here."""

from collections.abc import Callable, Sequence

import numpy as np

from HiDiffRefineLib.evaluation.robot_user import Answer, RobotHint
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.hint import Click, Hint, Scribble
from HiDiffRefineLib.inference.pipeline import Pipeline
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume


def open_session(pipeline: Pipeline, volume: Volume) -> RefinementSession:
    """A session on a volume that is known to be sound, without the seconds that its checks take."""
    return RefinementSession(volume, pipeline, checksum=0)


def edits(
    session: RefinementSession, mask: np.ndarray, steps: int | None = None
) -> Callable[[np.ndarray, Sequence[RobotHint]], Answer]:
    """A `refine` for `robot_user.play`: one segment of a session, every new hint an edit of it.

    Args:
        session: its segment "object", if there is one, makes way.
        mask: bool (k, j, i) to start from; each later call must bring the mask that the one before returned.
        steps: reverse steps; None for the refiner's default.
    """
    if "object" in session.segments:
        session.delete("object")
    session.set_prior(mask, "object")

    def refine(mask: np.ndarray, hints: Sequence[RobotHint]) -> Answer:
        for hint in hints[len(session.hints) :]:
            session.add_hint(as_hint(hint, session.state.grid))
        for _ in session.refine(steps):
            pass
        return Answer(session.mask().copy())

    return refine


def as_hint(hint: RobotHint, grid: Grid) -> Hint:
    """What the robot marked, in RAS mm; a scribble as thin as a voxel."""
    linear, origin = grid.ijk_to_ras[:3, :3], grid.ijk_to_ras[:3, 3]
    points_ras = hint.voxels_kji[:, ::-1] @ linear.T + origin
    if len(points_ras) == 1:
        return Click(points_ras[0], hint.positive)
    return Scribble(points_ras, hint.positive, float(grid.spacing_kji.min()))
