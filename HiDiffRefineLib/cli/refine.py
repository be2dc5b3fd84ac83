"""refine IMAGE MASK: a mask from anywhere, corrected by clicks and scribbles, into a file."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from HiDiffRefineLib.cli.outputs import check_distinct
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import print_change, print_hints, warn, warn_about_image
from HiDiffRefineLib.dicom.images import read_image
from HiDiffRefineLib.errors import ConfigError, HintError, VolumeError
from HiDiffRefineLib.geometry.grids import Grid
from HiDiffRefineLib.hints.files import read_hints
from HiDiffRefineLib.hints.hint import Hint
from HiDiffRefineLib.hints.naming import NEW_SEGMENT
from HiDiffRefineLib.hints.rasterize import describe
from HiDiffRefineLib.hints.signs import Signs
from HiDiffRefineLib.inference.checks import unlike_in_size
from HiDiffRefineLib.inference.extents import ANSWER, LEVELS
from HiDiffRefineLib.session.editing import SEED
from HiDiffRefineLib.volumes.labels import Label, nameless_label
from HiDiffRefineLib.volumes.new_files import new_files
from HiDiffRefineLib.volumes.provenance import made_here, tagged
from HiDiffRefineLib.volumes.read import read_segmentation
from HiDiffRefineLib.volumes.volume import Volume, laid_on
from HiDiffRefineLib.volumes.volume_table import volume_table, write_volume_table
from HiDiffRefineLib.volumes.write import SEGMENTATION_EXTENSIONS, check_destination, write_segmentation

DESCRIPTION = """\
Corrects one segment of a mask by hints, as in a session: one edit after each hint, in the order of the files
and, in a file, of its points. Each hint holds in the result (where two disagree, the later one), and no voxel
of another segment changes. An empty MASK starts a structure from the hints.
Point lists, lines and curves of 3D Slicer (.mrk.json) are positive (this belongs to the segment) or negative
as a name says with "positive" or "negative", + or −: a point's label, else its list's name, else the file's;
where none does, tell it with --positive NAME or --negative NAME. Scribbles painted on a labelmap or .seg.nrrd
of any geometry: 1 is positive, 2 negative, unless the segment's name says it, or the file's where nothing but
1 is painted. Of the module's own lists and strokes only those for the chosen segment count."""

# Segments that a message lists: more than that is likelier an image given as a mask.
MOST_NAMES = 20


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser(
        "refine", help="correct a mask by clicks and scribbles", description=DESCRIPTION
    )
    parser.add_argument("image", type=Path, help="NIfTI, NRRD or MHA file, or a folder of DICOM")
    parser.add_argument("--series", help="number or description, where a DICOM folder holds several")
    parser.add_argument("mask", type=Path, help="labelmap or .seg.nrrd on the image's voxels, may be empty")
    parser.add_argument(
        "--hints", type=Path, nargs="+", required=True, metavar="FILE", help=".mrk.json, or painted labelmap"
    )
    add_signs(parser)
    parser.add_argument("--output", type=Path, required=True, help=".seg.nrrd for 3D Slicer, or .nii.gz")
    parser.add_argument(
        "--bundle",
        default="refiner-only",
        help="model whose intensity rule and spacing suit the image (default: the refiner alone, any image)",
    )
    parser.add_argument(
        "--segment", metavar="NAME", help="name or value of the segment to correct, where MASK has several"
    )
    parser.add_argument(
        "--new-segment", action="store_true", help="begin a further segment, called as --segment says"
    )
    parser.add_argument(
        "--volumes", type=Path, metavar="FILE.csv", help="also write a table of all segments' millilitres"
    )
    parser.add_argument("--steps", type=int, help="reverse steps of an edit (default: the refiner's)")
    parser.add_argument(
        "--extent",
        type=int,
        nargs="+",
        choices=LEVELS,
        default=[ANSWER],
        metavar="LEVEL",
        help=f"how much each hint changes, from {LEVELS[0]}, itself alone, to {LEVELS[-1]}; one for all hints"
        f" or one for each, in their order (default: {ANSWER}, as the refiner answers)",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.set_defaults(run=run)


def add_signs(parser) -> None:
    """Adds --positive and --negative."""
    for sign in ("positive", "negative"):
        parser.add_argument(
            f"--{sign}",
            nargs="+",
            default=[],
            metavar="NAME",
            help=f"lists, segments or files whose hints are {sign}, whatever their names say",
        )


def run(options) -> None:
    """Corrects a mask and writes the result."""
    from HiDiffRefineLib.bundles import load_bundle
    from HiDiffRefineLib.inference.models import choose_device
    from HiDiffRefineLib.inference.pipeline import Pipeline

    check_destination(options.output, SEGMENTATION_EXTENSIONS)
    if options.volumes:
        check_destination(options.volumes, (".csv",))
    check_distinct([options.image, options.mask, *options.hints], [options.output, options.volumes])
    told = cache(warn)  # each edit tells of a full GPU, and one warning is enough
    pipeline = Pipeline(load_bundle(options.bundle), choose_device(options.device), notify=told)
    pipeline.check(options.steps, ["refiner"])
    volume = read_image(options.image, options.series)
    pipeline.check_modality(volume)
    warn_about_image(volume, pipeline.bundle)
    mask, labels = read_mask(options.mask, volume)
    label, labels = choose_label(labels, options.segment, options.mask.name, options.new_segment)
    grid = Grid(volume.array.shape, volume.ijk_to_ras)
    signs = Signs(options.positive, options.negative)
    owner = NEW_SEGMENT if options.new_segment else label.id
    hints = [hint for path in options.hints for hint in read_hints(path, grid, signs, owner)]
    signs.check_used()
    levels = options.extent * len(hints) if len(options.extent) == 1 else options.extent
    if len(levels) != len(hints):
        raise ConfigError(
            f"--extent has {len(levels)} levels for {len(hints)} hints.", "Give one for all, or one for each."
        )
    if warning := unlike_in_size(pipeline.bundle, grid.bounds_ras(), grid.spacing_kji):
        told(warning)
    started = time.monotonic()
    corrected = correct(pipeline, volume, mask, label, labels, hints, options.steps, levels)
    steps = options.steps or pipeline.refiner_bundle.settings["steps"]
    made = made_here(bundle=pipeline.bundle.name, seed=SEED, steps=steps, hints=len(hints))
    labels = [tagged(one, made) if one is label else one for one in labels]
    with new_files(options.output, options.volumes) as (mask_file, table_file):
        write_segmentation(mask_file, corrected, volume.ijk_to_ras, labels, forms=volume.forms)
        if table_file:
            write_volume_table(table_file, volume_table(corrected, volume.ijk_to_ras, labels))
    print_change(label.name, mask == label.value, corrected == label.value, volume.ijk_to_ras)
    print_hints(hints, corrected == label.value, grid)
    written = [str(path.resolve()) for path in (options.output, options.volumes) if path]
    print(f"Wrote {' and '.join(written)} in {time.monotonic() - started:.0f} s on {pipeline.device}.")
    if pipeline.bundle.research_only or pipeline.refiner_bundle.research_only:
        print("This model is for research use only: see its LICENSE.")


def read_mask(path: Path, volume: Volume) -> tuple[np.ndarray, list[Label]]:
    """A labelmap (k, j, i) on the grid of a volume, and its labels, no two of one name.

    Raises:
        VolumeError: unreadable, or another geometry.
    """
    mask, labels = read_segmentation(path)
    labelmap = laid_on(volume, mask)
    if labelmap is None:
        raise VolumeError(
            f"{path.name}: The mask has another geometry than the image {volume.name}.",
            "Resample it onto the image's grid; in 3D Slicer, export the segmentation as a labelmap with the"
            " image as its reference volume.",
        )
    return labelmap, unlike_names(labels)


def unlike_names(labels: Sequence[Label]) -> list[Label]:
    """The same labels, no two of one name: equal ones get their values added, which is told on stderr."""
    names = Counter(label.name for label in labels)
    taken, result = {name for name, count in names.items() if count == 1}, []
    for label in labels:
        name = label.name
        if names[name] > 1:
            name = f"{name} ({label.value})"
            while name in taken:
                name += "'"
            warn(
                f"Several segments are called '{label.name}'. The one of value {label.value} is '{name}' now."
            )
            taken.add(name)
        result.append(replace(label, name=name))
    return result


def choose_label(
    labels: Sequence[Label], wanted: str | None, mask: str, new: bool = False
) -> tuple[Label, Sequence[Label]]:
    """The label that the hints concern, and all labels of the result.

    Args:
        labels: of the mask; none where it is empty and names nothing.
        wanted: a name or a value; None where there is no choice.
        mask: its file's name, for the message.
        new: begin a further one of that name.

    Raises:
        ConfigError: no such label, or several and none chosen; a new one without a name of its own.
    """
    found = [label for label in labels if wanted in (None, label.name)]
    found = found or [label for label in labels if wanted == str(label.value)]
    if new:
        if wanted is None or found:
            raise ConfigError(
                f"A new segment of {mask} needs a name that no other has.", "Give it with --segment NAME."
            )
        label = replace(
            nameless_label(max(label.value for label in labels) + 1 if labels else 1), name=wanted
        )
        return label, [*labels, label]
    if not labels:
        label = nameless_label(1)
        label = label if wanted is None else replace(label, name=wanted)
        return label, [label]
    if len(found) == 1:
        return found[0], labels
    names = ", ".join(f"{label.value} {label.name}" for label in labels[:MOST_NAMES])
    if len(labels) > MOST_NAMES:
        names += f" and {len(labels) - MOST_NAMES} more (is it a mask and no image?)"
    if wanted is None:
        raise ConfigError(f"{mask} has several segments.", f"Choose one with --segment: {names}.")
    raise ConfigError(
        f"{mask} has no segment '{wanted}'.", f"Choose one of: {names}. Or begin it: --new-segment."
    )


def correct(
    pipeline,
    volume: Volume,
    mask: np.ndarray,
    label: Label,
    labels: Sequence[Label],
    hints: Sequence[Hint],
    steps: int | None,
    levels: Sequence[int] | None = None,
) -> np.ndarray:
    """The labelmap (k, j, i) after one edit for each hint.

    Args:
        mask: labelmap (k, j, i).
        label: of the segment that the hints concern; the other `labels` are protected.
        levels: how much each edit changes, see `RefinementSession.set_extent`; None as it was answered.

    Raises:
        HintError: a hint asks for a voxel of another segment.
    """
    from HiDiffRefineLib.session.session import RefinementSession

    session = RefinementSession(volume, pipeline)
    for other in labels:
        if other != label:
            session.set_prior(mask == other.value, other.name)
    session.set_prior(mask == label.value, label.name)
    _check_possible(session, hints)
    with progress_bar() as progress:
        for n, hint in enumerate(hints):
            progress(n / len(hints), f"hint {n + 1} of {len(hints)}")
            session.add_hint(hint)
            for _ in session.refine(steps):
                pass
            if levels is not None and session.extent is not None:
                session.set_extent(levels[n])
        progress(1.0, "done")
    corrected = mask.astype(np.min_scalar_type(max(one.value for one in labels)))
    corrected[mask == label.value] = 0
    corrected[session.mask()] = label.value
    return corrected


def _check_possible(session, hints: Sequence[Hint]) -> None:
    """Refuses a hint that can't hold before the first edit: what is protected stays the same throughout."""
    for number, hint in enumerate(hints, 1):
        try:
            session.add_hint(hint)
        except HintError as error:
            raise HintError(f"Hint {number} ({describe(hint)}): {error.message}", error.remedy) from error
    for _ in hints:
        session.undo()
