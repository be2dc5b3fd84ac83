"""How a segment was made, in tags that 3D Slicer keeps with it and that go out with DICOM."""

from dataclasses import replace

from HiDiffRefineLib import __version__
from HiDiffRefineLib.volumes.labels import Label
from HiDiffRefineLib.volumes.seg_nrrd import tags_of

TYPE, NAME = "DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName"
# Of our own: what Slicer's exporter has no tag for.
PARAMETERS = "HiDiffRefine.Parameters"
OUR_NAME = "HiDiffRefine"
_APART = "; "
# The parameter that says how many voxels there were.
VOXELS = "voxels"


def made_here(automatic: bool = False, **parameters: object) -> dict[str, str]:
    """The tags of a segment that this program made, with what it took: bundle, seed, steps, hints.

    Without the first two Slicer's own exporter would call it drawn by hand.

    Args:
        automatic: whether no user had a part in it.
    """
    note = _APART.join(f"{name}={value}" for name, value in parameters.items())
    kind = "AUTOMATIC" if automatic else "SEMIAUTOMATIC"
    return {TYPE: kind, NAME: f"{OUR_NAME} {__version__}", PARAMETERS: note}


def parameters_in(tags: dict[str, str]) -> dict[str, str]:
    """The parameters that `made_here` has put into tags."""
    pairs = (part.partition("=") for part in tags.get(PARAMETERS, "").split(_APART))
    return {name: value for name, equals, value in pairs if equals}


def tags_in(text: str) -> dict[str, str]:
    """Tags by their keys, from Key:value|Key:value|."""
    pairs = (tag.partition(":") for tag in text.split("|") if ":" in tag)
    return {key: value for key, _, value in pairs}


def tagged(label: Label, tags: dict[str, str]) -> Label:
    """A label with some tags set, the others as they were."""
    together = tags_in(tags_of(label)) | tags
    return replace(label, tags="".join(f"{key}:{value}|" for key, value in together.items()))
