"""import-dicom SEG --source FOLDER: a DICOM segmentation as a mask on the grid of its series."""

from pathlib import Path

from HiDiffRefineLib.cli.outputs import check_distinct
from HiDiffRefineLib.dicom.read_seg import find_seg, read_seg
from HiDiffRefineLib.dicom.segments import Segment, labelmap_of, likeliest, overlapping
from HiDiffRefineLib.dicom.series import read_series
from HiDiffRefineLib.errors import ConfigError, DicomError
from HiDiffRefineLib.volumes.write import SEGMENTATION_EXTENSIONS, check_destination, write_segmentation


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser(
        "import-dicom", help="a DICOM SEG as a mask", description="Reads a DICOM segmentation of any writer."
    )
    parser.add_argument(
        "seg", type=Path, help="SEG file, or its folder: binary, labelmap, fractional (likeliest)"
    )
    parser.add_argument(
        "--source", type=Path, required=True, metavar="FOLDER", help="of the DICOM series, or a slice"
    )
    parser.add_argument("--series", help="number or description, where the folder holds several")
    parser.add_argument("--segment", metavar="NAME", help="only this one, by its name or number")
    parser.add_argument("--output", type=Path, required=True, help=".seg.nrrd for 3D Slicer, or .nii.gz")
    parser.set_defaults(run=run)


def run(options) -> None:
    """Writes the mask and says what is in it."""
    check_destination(options.output, SEGMENTATION_EXTENSIONS)
    check_distinct([options.seg], [options.output])
    series = read_series(options.source, options.series)
    segments = read_seg(find_seg(options.seg), series)
    if options.segment is not None:
        segments = [_chosen(segments, options.segment)]
    if any(segment.values.dtype != bool for segment in segments):
        segments = likeliest(segments, series.shape_kji)
    both = overlapping(segments, series.shape_kji)
    if both:
        raise DicomError(
            f"The segments {both[0]} and {both[1]} overlap, which one mask can't hold.",
            "Import one at a time with --segment.",
        )
    labels = [segment.label for segment in segments]
    write_segmentation(options.output, labelmap_of(segments, series.shape_kji), series.ijk_to_ras, labels)
    for segment in segments:
        print(f"  {segment.label.name}: {int(segment.values.sum())} voxels")
    print(f"Wrote {options.output.resolve()}.")


def _chosen(segments: list[Segment], wanted: str) -> Segment:
    for segment in segments:
        if wanted in (segment.label.name, str(segment.label.value)):
            return segment
    names = ", ".join(segment.label.name for segment in segments)
    raise ConfigError(f"There is no segment '{wanted}'.", f"Choose one of: {names}.")
