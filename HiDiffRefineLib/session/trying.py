"""What a hint would do: the edit that it would bring, of which nothing stays."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.rasterize import hint_voxels
from HiDiffRefineLib.inference.checks import checked_steps
from HiDiffRefineLib.inference.messages import EditRequest, Preview
from HiDiffRefineLib.session.blocks import Block, block_of, together
from HiDiffRefineLib.session.checks import check_new_hint, check_possible, found
from HiDiffRefineLib.session.editing import edit_blocks, edit_request, newest_of_each
from HiDiffRefineLib.session.layer import GivenHints

if TYPE_CHECKING:
    from HiDiffRefineLib.session.session import RefinementSession


@dataclass(frozen=True, eq=False)
class Tried:
    """What a hint would change.

    Args:
        hint: that is not placed.
        block: of the selected segment's mask, to the last bit what the hint would bring; None if nothing.
    """

    hint: Hint
    block: Block | None


def trying(
    session: "RefinementSession", hint: Hint, steps: int | None = None, wait: bool = False
) -> Iterator[Tried | None]:
    """What a hint on the selected segment would do; None comes first and in between, the answer last.

    Masks, hints, history and journal stay as they are. It ends as soon as anything else is done, the next
    such question too. Where other work is open nothing comes: nobody waits for this.

    Args:
        steps: reverse steps; None for the refiner's default, as `RefinementSession.refine` has them.
        wait: if not, None comes while nothing is new.

    Raises:
        SessionError, HintError: such a hint would be refused, see `RefinementSession.add_hint` and `refine`.
        BundleError: weights missing or damaged; at the first step.
    """
    if session.works:
        return iter(())
    session._settle()
    session.tried = None
    state, name = session.state, session.selected
    layer = found(name, state)
    check_new_hint(hint, state)
    given = GivenHints((*layer.given.hints, hint), layer.given.refined)
    check_possible(given.pending, state, name)
    request = edit_request(
        session.engine, state, name, checked_steps(session.engine.refiner_bundle, steps), given
    )
    return session._open(_trying(session, name, given, request, wait), asks=True)


def agrees(session: "RefinementSession", hint: Hint) -> bool:
    """Whether the selected segment's mask says of each of a hint's voxels what the hint does."""
    voxels_kji = hint_voxels(hint, session.state.grid)
    return len(voxels_kji) > 0 and bool((session.mask()[tuple(voxels_kji.T)] == hint.positive).all())


def _trying(
    session: "RefinementSession", name: str, given: GivenHints, request: EditRequest, wait: bool
) -> Iterator[Tried | None]:
    last: list[Preview] = []
    with closing(session.engine.run(request, lambda share, what: None, wait)) as answers:
        for preview in answers:
            if preview is not None:
                last = newest_of_each(last, preview)
            yield None
    blocks, _ = edit_blocks(session.state, name, last, None, given)
    block = block_of(*reversed(together(blocks))) if blocks else None
    session.tried = Tried(given.hints[-1], block)
    yield session.tried
