"""From nodes to DICOM, on a real scene; run by `run_in_slicer`."""

import numpy as np
import slicer
import slicer.util

from HiDiffRefineLib.dicom.export import export_seg
from HiDiffRefineLib.dicom.read_seg import read_seg
from HiDiffRefineLib.dicom.series import read_series, series_of
from HiDiffRefineLib.errors import VolumeError
from HiDiffRefineLib.scene.dicom_nodes import segments_on, source_files
from HiDiffRefineLib.scene.matrices import as_matrix
from HiDiffRefineLib.session.examining import run
from HiDiffRefineLib.volumes.provenance import NAME, PARAMETERS, TYPE, tags_in
from Testing.dicom.made_up import write_volume
from Testing.scene.application import application_scene
from Testing.scene.made_up import SHAPE, add_transform, click_and_refine, cube, in_node, paint, segmented
from Testing.slicer_checks import outcomes
from Testing.volumes.samples import OBLIQUE_LAS, affine

# Slicer shows a left-handed volume with its slices from the other end.
GRIDS = {
    "straight": affine((1, 1, 2)),
    "oblique": OBLIQUE_LAS,
    "flipped": affine((1, 1.5, 2), flips=(1, -1, 1)),
}


def main() -> dict[str, str]:
    return outcomes(globals(), application_scene)


class Database:
    """Slicer's, as far as it is asked."""

    def __init__(self, series):
        self.files = {str(one.header.SOPInstanceUID): str(one.file) for one in series.slices}

    def fileForInstance(self, uid):  # noqa: N802
        return self.files.get(uid, "")


def loaded(scene, folder, ijk_to_ras, moved=None, shown=None):
    """A segmented volume as if loaded from the database, its series, and the database."""
    array = np.random.default_rng(0).integers(0, 400, SHAPE).astype(np.int16)
    array[6:12, 8:20, 8:20], array[14:18, 8:20, 8:20] = 600, 800
    series = read_series(write_volume(folder, array + 1024, ijk_to_ras))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    node.SetIJKToRASMatrix(as_matrix(ijk_to_ras if shown is None else shown))
    slicer.util.updateVolumeFromArray(node, array)
    node.CreateDefaultDisplayNodes()
    uids = [str(one.header.SOPInstanceUID) for one in series.slices]
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    if moved is not None:
        node.SetAndObserveTransformNodeID(add_transform(scene, moved).GetID())
    return segmented(scene, node), series, Database(series)


def exported(session, series, folder, encoding="BINARY"):
    segments, placed = run(segments_on(series, session.node, session.volume_node))
    assert placed.good
    export_seg(folder / "out.dcm", series, segments, encoding)
    return read_seg(folder / "out.dcm", series)


def check_segments_reach_the_file_from_every_grid_and_under_transforms(scene, folder):
    for name, ijk_to_ras in GRIDS.items():
        for moved in (None, affine(degrees=(20, 30, 40), origin=(5, 6, 7))):
            place = folder / f"{name}{moved is None}"
            place.mkdir()
            session, series, _ = loaded(scene, place, ijk_to_ras, moved)
            for found, segment_id in zip(exported(session, series, place), session.keys, strict=True):
                mask = in_node(session, segment_id)
                assert np.count_nonzero(found.values) == np.count_nonzero(mask) > 0
                # The same places of the patient, whichever way the slices run.
                here = np.argwhere(mask)[:, ::-1] @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
                there = np.argwhere(found.values) + [side.start for side in found.box]
                there = there[:, ::-1] @ series.ijk_to_ras[:3, :3].T + series.ijk_to_ras[:3, 3]
                here, there = (np.unique(np.round(places, 2) + 0.0, axis=0) for places in (here, there))
                np.testing.assert_allclose(here, there, atol=0.02)


def check_how_a_segment_was_made_goes_along(scene, folder):
    session, series, _ = loaded(scene, folder, GRIDS["straight"])
    click_and_refine(session, (8, 22, 14))
    session.add_segment("by hand")
    paint(session.node, session.selected, cube(2, 2, 2), session)
    tags = [
        tags_in(found.label.tags) for found in run(segments_on(series, session.node, session.volume_node))[0]
    ]
    assert tags[0][TYPE] == "SEMIAUTOMATIC" and tags[0][NAME].startswith("HiDiffRefine ")
    assert tags[0][PARAMETERS].startswith("bundle=hippocampus-mr; seed=0; steps=")
    assert tags[0][PARAMETERS].endswith("hints=1") and tags[2][TYPE] == "MANUAL"
    assert tags[1][TYPE] == "AUTOMATIC" and "hints=0" in tags[1][PARAMETERS]


def check_what_a_user_changed_with_no_session_open_is_not_automatic(scene, folder):
    session, series, _ = loaded(scene, folder, GRIDS["straight"])
    session.close()

    def kinds():
        found = run(segments_on(series, session.node, session.volume_node))[0]
        return [tags_in(segment.label.tags)[TYPE] for segment in found]

    assert kinds() == ["AUTOMATIC", "AUTOMATIC"]
    paint(session.node, list(session.keys)[1], cube(2, 2, 2), session)
    assert kinds() == ["AUTOMATIC", "SEMIAUTOMATIC"]


def check_overlapping_and_empty_segments(scene, folder):
    session, series, _ = loaded(scene, folder, GRIDS["straight"])
    paint(session.node, list(session.keys)[1], cube(7, 9, 9), session)
    segments, _ = run(segments_on(series, session.node, session.volume_node))
    assert (segments[0].values[1:4, 1:4, 1:4]).all() and segments[1].box[0].start == 7
    exported(session, series, folder)
    session.add_segment("nothing")
    assert run(segments_on(series, session.node, session.volume_node))[0][2].empty


def check_what_cannot_go_out_says_why(scene, folder):
    session, series, database = loaded(scene, folder, GRIDS["straight"])
    node = session.volume_node
    assert source_files(node, database) == [one.file for one in series.slices]
    database.files.popitem()
    for attribute, words in (
        (node.GetAttribute("DICOM.instanceUIDs"), "1 of the 24"),
        ("", "was not loaded"),
    ):
        node.SetAttribute("DICOM.instanceUIDs", attribute)
        try:
            source_files(node, database)
        except VolumeError as error:
            assert words in error.message and error.remedy, error
        else:
            raise AssertionError("not refused")
    half = series_of([one.file for one in series.slices[:12]])
    other = read_series(write_volume(_new(folder / "other"), np.zeros(SHAPE, int), affine((1, 1, 2.2))))
    for elsewhere in (half, other):
        segments, placed = run(segments_on(elsewhere, session.node, node))
        assert not segments and "not as it was loaded" in placed.text and placed.remedy
    node.SetOrigin(3, 0, 0)  # 'Center volume' moves by whole voxels, too
    assert "not as it was loaded" in run(segments_on(series, session.node, node))[1].text


def check_voxels_beyond_the_volume_are_not_lost(scene, folder):
    session, series, _ = loaded(scene, folder, GRIDS["straight"])
    wide = np.zeros((SHAPE[0] + 2, *SHAPE[1:]), bool)
    wide[:, 5:7, 5:7] = True
    paint(session.node, list(session.keys)[0], wide, session)
    segments, placed = run(segments_on(series, session.node, session.volume_node))
    assert not segments and "8 voxels lie outside" in placed.text, placed


def check_slicer_may_take_another_mean_of_rounded_slice_distances(scene, folder):
    session, series, _ = loaded(scene, folder, affine((1, 1, 2)), shown=affine((1, 1, 2.01)))
    for found, segment_id in zip(exported(session, series, folder), session.keys, strict=True):
        whole = np.zeros(SHAPE, bool)
        whole[found.box] = found.values
        # The series runs the same way here.
        np.testing.assert_array_equal(whole, in_node(session, segment_id))


def _new(folder):
    folder.mkdir()
    return folder
