"""export-dicom MASK --source FOLDER: a segmentation as DICOM SEG, checked before and after."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from HiDiffRefineLib.cli.outputs import check_distinct
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.dicom.checks import FIXES, Check, check_list, fixed
from HiDiffRefineLib.dicom.codes import ALGORITHM_TYPES, LONGEST_NAME
from HiDiffRefineLib.dicom.export import EXTENSIONS, export_seg
from HiDiffRefineLib.dicom.make import CREATOR, ENCODINGS
from HiDiffRefineLib.dicom.masks import read_maps, read_masks
from HiDiffRefineLib.dicom.segments import Segment
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import ConfigError, DicomError
from HiDiffRefineLib.volumes.provenance import TYPE, tagged, tags_in
from HiDiffRefineLib.volumes.write import check_destination

DESCRIPTION = """\
Writes a DICOM segmentation (SEG) that refers to the series it lies on. First comes a check list; then the
file is written, read back and compared voxel by voxel, and only then it appears. Nothing is added that names
a person or a path; what names the patient is the series' own."""


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("export-dicom", help="a mask as DICOM SEG", description=DESCRIPTION)
    parser.add_argument(
        "mask", type=Path, nargs="+", help="labelmap or .seg.nrrd; for fractional what --probabilities wrote"
    )
    parser.add_argument(
        "--source", type=Path, required=True, metavar="FOLDER", help="of the DICOM series, or a slice"
    )
    parser.add_argument("--series", help="number or description, where the folder holds several")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".dcm")
    parser.add_argument(
        "--encoding",
        choices=[name.lower() for name in ENCODINGS],
        default="binary",
        help="binary: any viewer; labelmap: small, new, no overlap; fractional: probabilities",
    )
    parser.add_argument("--bundle", help="the model that made MASK: names and codes for a mask without")
    parser.add_argument(
        "--made",
        choices=[kind.lower() for kind in ALGORITHM_TYPES],
        default="semiautomatic",
        help="how segments were made that do not say it themselves",
    )
    parser.add_argument("--fix", action="store_true", help="apply the remedies that the check list offers")
    parser.add_argument("--creator", default=CREATOR, metavar="NAME", help="who answers for the content")
    parser.set_defaults(run=run)


def run(options) -> None:
    """Prints the check list and writes the file."""
    from HiDiffRefineLib.bundles import load_bundle

    check_destination(options.output, EXTENSIONS)
    check_distinct(options.mask, [options.output])
    encoding = options.encoding.upper()
    if encoding == "FRACTIONAL" and len(options.mask) > 1:
        raise ConfigError("Probabilities come from one file.", "Give one 4-D file.")
    if "\\" in options.creator or len(options.creator) > LONGEST_NAME:
        raise ConfigError(
            "DICOM can't hold that --creator.", f"Give at most {LONGEST_NAME} characters and no backslash."
        )
    labels = load_bundle(options.bundle).labels if options.bundle else ()
    series = read_series(options.source, options.series)
    if encoding == "FRACTIONAL":
        segments, placed = read_maps(options.mask[0], series, labels)
    else:
        segments, placed = read_masks(options.mask, series, labels)
    segments = [_made(segment, options.made.upper()) for segment in segments]
    if options.fix:
        segments = fixed(segments, FIXES)
    checks = check_list(series, segments, encoding, placed)
    print_checks(checks)
    if not all(check.good for check in checks):
        raise DicomError(
            "Not everything in the check list is good: nothing was written.", "See the remedies."
        )
    started = time.monotonic()
    with progress_bar() as progress:
        export_seg(options.output, series, segments, encoding, options.creator, progress)
    size = options.output.stat().st_size / 1e6
    seconds = time.monotonic() - started
    print(f"Exported {options.output.resolve()} ({encoding}, {size:.1f} MB) in {seconds:.0f} s.")
    print(f"Read back, {len(segments)} segments are the same in every voxel and code.")


def _made(segment: Segment, kind: str) -> Segment:
    told = {TYPE: kind} | tags_in(segment.label.tags)
    return replace(segment, label=tagged(segment.label, told))


def print_checks(checks: Sequence[Check]) -> None:
    """Prints the check list, with a remedy below each line that is not good."""
    for check in checks:
        print(f"  {'ok' if check.good else 'NO':<3} {check.text}")
        if check.remedy:
            print(f"      {check.remedy}{' (--fix does it.)' if check.fix else ''}")
