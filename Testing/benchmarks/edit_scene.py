"""A made-up volume to edit: it lives on the device alone, however large."""

import numpy as np
import torch

from HiDiffRefineLib.geometry.grids import Grid, centered_grid, covering_grid
from HiDiffRefineLib.hints.hint import Click, Hint, Scribble
from HiDiffRefineLib.inference.edit import Segment
from HiDiffRefineLib.inference.segmentor import Prior

SPACING_KJI = (1.0, 0.75, 0.75)
# Of the bundle abdomen-ct, whose prior is the largest that an edit meets.
WORKING_KJI, LABELS = (3.0, 1.5, 1.5), 14
# As many hints as the robot user gives a segment; every edit is under those so far.
HINTS = 10


class Scene:
    """A volume with a soft ball in noise, a mask of it that is shifted by 4 mm, and hints that say so.

    Args:
        shape_kji: of the volume.
        radius: of the ball, mm.
    """

    def __init__(self, shape_kji: tuple[int, int, int], radius: float, device: torch.device):
        grid = centered_grid((0, 0, 0), shape_kji, SPACING_KJI)
        working = covering_grid(grid.bounds_ras(), WORKING_KJI)
        generator = torch.Generator(device).manual_seed(0)
        image = ball(grid, (0, 0, 0), radius, device)[None]
        image = image.mul_(0.5).add_(torch.rand(image.shape, device=device, generator=generator), alpha=0.5)
        shown = ball(working, (4, 0, 0), radius, device).half()
        probabilities = torch.zeros((LABELS, *working.shape_kji), dtype=torch.float16, device=device)
        probabilities[0], probabilities[1] = 1 - shown, shown
        self.segment = Segment(image, grid, Prior(probabilities, working), 1)
        self.object_ras = np.array([[-radius, -radius, -radius], [radius, radius, radius]]) + [4, 0, 0]
        self.mask = np.zeros(shape_kji, bool)
        for k in range(shape_kji[0]):  # a float copy of the volume would show in the process's memory
            one = Grid((1, *shape_kji[1:]), grid.ijk_to_ras.copy())
            one.ijk_to_ras[2, 3] += k * SPACING_KJI[0]
            self.mask[k] = (ball(one, (4, 0, 0), radius, device)[0] > 0.5).cpu().numpy()
        self.locked = np.zeros(shape_kji, bool)
        self.hints = hints_near(radius)


def ball(grid: Grid, center_ras, radius: float, device: torch.device) -> torch.Tensor:
    """1 inside and 0 outside, with a border of 2 mm; float32 (k, j, i) on a grid along R, A and S."""
    squared = torch.zeros(1, device=device)
    for axis, n in enumerate(grid.shape_kji):
        ras = 2 - axis
        places = grid.ijk_to_ras[ras, 3] + grid.ijk_to_ras[ras, ras] * np.arange(n) - center_ras[ras]
        shape = [-1 if other == axis else 1 for other in range(3)]
        squared = squared + torch.tensor(places**2, dtype=torch.float32, device=device).view(shape)
    return squared.sqrt_().sub_(radius).mul_(-2).sigmoid_()


def hints_near(radius: float) -> list[Hint]:
    """Clicks, every third a scribble, on both sides of the ball where its mask is wrong."""
    rng = np.random.default_rng(0)
    hints: list[Hint] = []
    for n in range(HINTS):
        positive = n % 2 == 0
        place = np.array([(-1 if positive else 1) * radius + 1.5, *rng.uniform(-0.2, 0.2, 2) * radius])
        if n % 3 == 2:
            hints.append(Scribble(place + rng.uniform(-6, 6, (5, 3)) * [0.1, 1, 1], positive, 3.0))
        else:
            hints.append(Click(place, positive))
    return hints
