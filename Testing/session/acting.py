"""Made-up volumes, users who do anything, and all that a session holds, for comparison."""

import numpy as np

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.hints.hint import Click, Hint, Painted, Scribble
from HiDiffRefineLib.session.blocks import difference
from HiDiffRefineLib.session.codec import encode
from HiDiffRefineLib.volumes.volume import Volume

HINTS = ["click", "click", "scribble", "paint"]
EDITS = ["refine", "refine", "stop"]
OTHERS = ["undo", "undo", "redo", "redo", "select", "lock", "unlock", "set_mask", "withdraw"]
MOVES = ["extent", "extent"]


def noise(seed: int) -> Volume:
    """Noise with a bright box, on a straight, flipped or oblique grid."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(12, 24, 3))
    linear, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if rng.random() < 0.5:
        linear = np.diag(rng.choice([-1.0, 1], 3))
    grid = centered_grid(rng.uniform(-50, 50, 3), shape, rng.uniform(0.8, 3, 3), linear)
    array = rng.uniform(0, 20, shape)
    array[3:9, 4:10, 2:9] += rng.choice([40, 80], 7)
    return Volume(array.astype(np.float32), grid.ijk_to_ras, "noise")


def point_in(volume: Volume, voxel_kji) -> np.ndarray:
    """RAS mm of a place in voxels."""
    return volume.ijk_to_ras[:3, :3] @ np.array(voxel_kji, float)[::-1] + volume.ijk_to_ras[:3, 3]


def random_hint(volume: Volume, kind: str, rng: np.random.Generator) -> Hint:
    """One of `HINTS`."""
    shape, positive = volume.array.shape, bool(rng.random() < 0.6)
    points = np.stack([point_in(volume, rng.uniform(0, np.array(shape) - 1)) for _ in range(2)])
    if kind == "click":
        return Click(points[0], positive)
    if kind == "scribble":
        return Scribble(points, positive, float(rng.uniform(0.5, 4)))
    return Painted(rng.random(shape) < 0.002, volume.ijk_to_ras, positive)


def act(session, action: str, rng: np.random.Generator) -> None:
    """One action of a user, random in its details; "look" leaves an edit open."""
    shape = session.engine.volume.array.shape
    if action in HINTS:
        session.add_hint(random_hint(session.engine.volume, action, rng))
    elif action == "refine":
        for _ in session.refine():
            pass
    elif action == "stop":
        for _ in session.refine():
            break
    elif action == "look":
        session.left_open = session.refine()
        next(session.left_open)
    elif action == "select":
        session.select(str(rng.choice(session.segments)))
    elif action == "lock":
        session.lock(rng.random(shape) < 0.02)
    elif action == "set_mask":
        name = str(rng.choice(session.segments))
        session.set_mask(name, session.mask(name) ^ (rng.random(shape) < 0.01))
    elif action == "extent":
        session.set_extent(int(rng.integers(1, 10)))
    elif action == "withdraw":
        count = len(session.hints)
        session.withdraw(session.selected, [n for n in range(count) if rng.random() < 0.3])
    else:
        getattr(session, action)()


def told(session) -> bytes:
    """Everything in a session that matters, to the last bit."""
    state = session.state
    nothing = np.zeros(state.grid.shape_kji, bool)
    segments = [
        (name, layer.value, layer.label, layer.original, layer.given, difference(nothing, layer.mask))
        for name, layer in state.layers.items()
    ]
    locked = difference(nothing, state.locked)
    rest = {"selected": state.selected, "done": state.done, "undone": state.undone, "locked": locked}
    return encode({"segments": segments, **rest})
