"""NRRD files with a further axis, of whose kind the header says nothing, or nothing that ITK knows."""

import numpy as np
import pytest

from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.volumes.read import read_segmentation, read_volume

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
SPACE = ["(2,0,0)", "(0,2,0)", "(0,0,3)"]


def nrrd(path, array, first, kinds=None, more="", detached=False, end="\n"):
    """A header with a further axis, the first or the last one, in front of the voxels or beside them."""
    sizes, directions = ["4", "3", "2"], list(SPACE)
    sizes.insert(0 if first else 3, str(array.size // ARRAY.size))
    directions.insert(0 if first else 3, "none")
    header = ["NRRD0004", "type: short", "dimension: 4", "space: left-posterior-superior"]
    header += [f"sizes: {' '.join(sizes)}", f"space directions: {' '.join(directions)}"]
    header += [f"kinds: {kinds}"] if kinds else []
    header += ["endian: little", "encoding: raw", "space origin: (0,0,0)", *more.splitlines()]
    header += ["data file: voxels.raw"] if detached else []
    voxels = array.astype("<i2").tobytes()
    path.write_bytes((end.join(header) + 2 * end).encode() + (b"" if detached else voxels))
    if detached:
        (path.parent / "voxels.raw").write_bytes(voxels)
    return path


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [None, "???", "none", "time", "list"])
@pytest.mark.parametrize("detached, end", [(False, "\n"), (True, "\n"), (False, "\r\n")])
def test_a_further_axis_of_one_is_no_hindrance(tmp_path, first, kind, detached, end):
    space = ["domain"] * 3
    kinds = kind and " ".join([kind, *space] if first else [*space, kind])
    path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
    volume = read_volume(nrrd(path, ARRAY, first, kinds, detached=detached, end=end))
    np.testing.assert_array_equal(volume.array, ARRAY)
    assert volume.spacing_kji.tolist() == [3, 2, 2] and volume.name == "a"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [None, "???", "time"])
def test_several_values_a_voxel_are_called_so(tmp_path, first, kind):
    kinds = kind and " ".join([kind, *["space"] * 3] if first else [*["space"] * 3, kind])
    path = nrrd(tmp_path / "a.nrrd", np.stack([ARRAY, ARRAY]), first, kinds)
    with pytest.raises(VolumeError, match="holds 2 values per voxel"):
        read_volume(path)


def test_layers_of_a_segmentation(tmp_path):
    layers = np.stack([ARRAY == 3, ARRAY == 7])
    fields = [f"Segment{n}_{key}:={value}" for n in (0, 1) for key, value in fields_of(n).items()]
    path = nrrd(tmp_path / "a.seg.nrrd", layers, False, more="\n".join(fields))
    found, labels = read_segmentation(path)
    assert [label.name for label in labels] == ["part 0", "part 1"]
    assert [int(ARRAY[found.array == label.value][0]) for label in labels] == [3, 7]


def fields_of(n):
    return {"ID": f"S{n}", "Name": f"part {n}", "LabelValue": 1, "Layer": n}


def test_a_header_of_voxels_that_are_not_there_is_refused(tmp_path):
    path = nrrd(tmp_path / "a.nhdr", ARRAY, True, detached=True)
    (tmp_path / "voxels.raw").unlink()
    with pytest.raises(VolumeError):
        read_volume(path)
