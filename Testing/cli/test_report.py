"""What the user reads about an image and about the result."""

import numpy as np

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.progress import progress_bar
from HiDiffRefineLib.cli.report import print_change, print_volumes, volumes_at, warn_about_image
from HiDiffRefineLib.inference.roi import RegionOfInterest
from HiDiffRefineLib.volumes.volume import Volume

ABDOMEN = load_bundle("abdomen-ct")
LABELS = load_bundle("hippocampus-mr").labels


def test_an_8_bit_display_is_said_in_one_line(capsys):
    array = np.arange(256).reshape(4, 8, 8)
    warn_about_image(Volume(array, np.eye(4), "head"), ABDOMEN)
    error = capsys.readouterr().err
    assert error.startswith("Warning: head has values in 0…255 only") and error.count("\n") == 1
    assert "-125…275 HU" in error
    warn_about_image(Volume(array - 1, np.eye(4), "head"), ABDOMEN)
    assert capsys.readouterr().err == ""


def test_volumes_of_each_region_and_of_all(capsys):
    labelmap = np.zeros((20, 20, 60), np.uint8)
    labelmap[5:15, 5:15, 5:15] = 1  # 1000 voxels of 8 mm³
    labelmap[5:15, 5:15, 45:50] = 1
    regions = [RegionOfInterest((20, 20, 20), 19), RegionOfInterest((95.5, 20, 20), 19)]
    print_volumes(volumes_at(labelmap, np.diag([2.0, 2, 2, 1]), LABELS, regions))
    out, err = capsys.readouterr()
    assert [line.split() for line in out.splitlines()] == [
        ["ml", "at", "20,20,20", "at", "95.5,20,20", "in", "all"],
        ["anterior", "hippocampus", "8.0", "4.0", "12.0"],
        ["posterior", "hippocampus", "0.0", "0.0", "0.0"],
    ]
    assert err == ""
    print_volumes(volumes_at(labelmap, np.diag([2.0, 2, 2, 1]), LABELS, regions[:1]))
    assert capsys.readouterr().out.splitlines()[1].split() == ["anterior", "hippocampus", "12.0"]


def test_an_empty_result_is_said_in_one_line(capsys):
    print_volumes(volumes_at(np.zeros((4, 4, 4), np.uint8), np.eye(4), LABELS, []))
    error = capsys.readouterr().err
    assert error.startswith("Warning: ") and "every segment is empty" in error and error.count("\n") == 1


def test_progress_says_what_is_done_and_how_long_it_will_take(capsys):
    with progress_bar() as progress:
        progress(0.5, "segmenting")
        progress(1.0, "done")
    assert "done" in (error := capsys.readouterr().err)
    assert "00:00 left" in error


def test_small_and_cut_organs_in_the_table(capsys):
    labelmap = np.zeros((20, 20, 20), np.uint8)
    labelmap[5:7, 5, 5], labelmap[15:, 5:15, 5:15] = 1, 2
    print_volumes(volumes_at(labelmap, np.eye(4), LABELS, []))
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert lines[1][-1].strip() == "2 mm³" and lines[2][-1].strip() == "at least 0.5"
    assert lines[3] == ["At least: cut by the image's border."]


def test_a_corrected_segment_that_is_cut(capsys):
    before, after = np.zeros((2, 20, 20, 20), bool)
    before[5:15, 5:15, 5:15] = after[5:, 5:15, 5:15] = True
    print_change("liver", before, after, np.eye(4))
    told = capsys.readouterr().out
    assert told.startswith("liver: 1.0 ml (1000 voxels) -> at least 1.5 ml (1500 voxels); 500 voxels added")


def test_what_may_be_a_segmentation_is_said_in_one_line(capsys):
    array = np.zeros((20, 20, 20), np.float32)
    array[5:15, 5:15, 5:15] = 0.5
    warn_about_image(Volume(array, np.eye(4), "head"), load_bundle("refiner"))
    error = capsys.readouterr().err
    assert error.startswith("Warning: head holds few values") and error.count("\n") == 1
