"""The commands as a user calls them."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from HiDiffRefineLib import __version__
from HiDiffRefineLib.bundles import update_settings
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.errors import MAKE_ROOM, MEMORY_FULL
from HiDiffRefineLib.volumes.provenance import TYPE, tags_in
from HiDiffRefineLib.volumes.read import read_segmentation
from Testing.volumes.full_disk import full_after


def test_bundles_says_what_a_model_may_be_used_for(capsys):
    assert main(["bundles"]) == 0
    printed = capsys.readouterr().out
    assert "abdomen-ct (segmentor)" in printed
    assert "research use only" in printed
    assert "pancreas" in printed


def test_broken_bundle_is_named_and_the_others_shown(small_models, capsys):
    (small_models / "refiner" / "configs" / "metadata.json").write_text("{")
    assert main(["bundles"]) == 0
    out, err = capsys.readouterr()
    assert "hippocampus-mr (segmentor)" in out
    assert "'refiner'" in err


def test_segment_writes_mask_and_probabilities(small_models, image, tmp_path, capsys):
    mask, probabilities = tmp_path / "out.seg.nrrd", tmp_path / "p.nii.gz"
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--output", str(mask), "--steps", "2"]
    assert main([*command, "--probabilities", str(probabilities), "--device", "cpu"]) == 0
    labelmap = sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
    maps = sitk.GetArrayFromImage(sitk.ReadImage(str(probabilities)))
    assert labelmap.shape == (20, 30, 30)
    assert maps.shape == (2, 20, 30, 30)
    # The mask is the likeliest label, background being what the labels leave.
    expected = np.where(maps.max(0) > 1 - maps.sum(0), maps.argmax(0) + 1, 0)
    np.testing.assert_array_equal(labelmap, expected)
    printed = capsys.readouterr().out
    assert "ml" in printed
    assert f"Wrote {mask} and {probabilities} in" in printed
    labels = read_segmentation(mask)[1]
    assert {tags_in(label.tags)[TYPE] for label in labels} == {"AUTOMATIC"}


def test_a_bundle_may_keep_the_refiner_for_hints(small_models, image, tmp_path):
    masks = [tmp_path / "prior.nii.gz", tmp_path / "mask.nii.gz"]
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--device", "cpu", "--output"]
    assert main([*command, str(masks[0]), "--prior-only"]) == 0
    update_settings(small_models / "hippocampus-mr", refined_without_hints=False)
    update_settings(small_models / "refiner", weights={})  # not needed either
    assert main([*command, str(masks[1])]) == 0
    prior, mask = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in masks)
    np.testing.assert_array_equal(prior, mask)


def test_segment_writes_a_table_of_volumes(small_models, image, tmp_path, capsys):
    mask, table = tmp_path / "m.nii.gz", tmp_path / "v.csv"
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--prior-only", "--output", str(mask)]
    assert main([*command, "--volumes", str(table), "--roi", "-15,-15,10,9", "--roi", "-15,-15,8,6"]) == 0
    head, *rows = (line.split(",") for line in table.read_text(encoding="utf-8").splitlines())
    # Names of regions hold commas, so they are quoted.
    assert head[:4] == ["value", "segment", "voxels", "ml"] and '"ml at -15' in head
    labelmap = sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
    assert [int(row[2]) for row in rows] == [np.count_nonzero(labelmap == value) for value in (1, 2)]
    assert f"and {table} in" in capsys.readouterr().out
    assert main([*command, "--volumes", str(tmp_path / "v.txt")]) == 1
    assert "no extension that can be written" in capsys.readouterr().err


def test_what_was_written_is_named_by_its_whole_path(small_models, image, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--output", "m.nii.gz", "--prior-only"]
    assert main(command) == 0
    assert f"Wrote {tmp_path / 'm.nii.gz'} in" in capsys.readouterr().out


def test_segment_warns_of_an_8_bit_ct_and_of_an_empty_result(small_models, tmp_path, monkeypatch, capsys):
    update_settings(
        small_models / "hippocampus-mr",
        modality="CT",
        intensity={"rule": "hu_window", "low": -125, "high": 275},
    )
    monkeypatch.setattr(
        "HiDiffRefineLib.inference.pipeline.segment",
        lambda pipeline, volume, *_: (np.zeros(volume.array.shape, np.uint8), []),
    )
    array = np.random.default_rng(0).integers(0, 256, (20, 20, 20)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "ct.nii"))
    command = ["segment", str(tmp_path / "ct.nii"), "--bundle", "hippocampus-mr", "--prior-only"]
    assert main([*command, "--output", str(tmp_path / "m.nii")]) == 0
    error = capsys.readouterr().err
    assert "Warning: ct has values in 0…255 only" in error
    assert "every segment is empty" in error


def test_a_missing_refiner_may_be_left_out(small_models, image, tmp_path, capsys):
    update_settings(small_models / "refiner", weights={})
    output = tmp_path / "m.nii.gz"
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--output", str(output)]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "carries no weights 'refiner'" in error and "--prior-only" in error
    assert main([*command, "--prior-only"]) == 0


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"HiDiffRefine {__version__}\n"


def test_a_reader_that_has_enough_is_no_error():
    command = [sys.executable, "-m", "HiDiffRefineLib", "bundles"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_same_seed_same_bits(small_models, image, tmp_path):
    results = []
    for name, seed in (("a.nii.gz", 1), ("b.nii.gz", 1), ("c.nii.gz", 2)):
        path = tmp_path / name
        command = [
            "segment",
            str(image),
            "--bundle",
            "hippocampus-mr",
            "--output",
            str(tmp_path / "m.nii.gz"),
        ]
        assert main([*command, "--seed", str(seed), "--probabilities", str(path), "--device", "cpu"]) == 0
        results.append(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_regions_leave_the_rest_empty(small_models, image, tmp_path):
    mask = tmp_path / "m.nii.gz"
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--output", str(mask), "--prior-only"]
    # LPS (15, 15, 10) is RAS (-15, -15, 10): a value that starts with a minus must do.
    assert main([*command, "--roi", "-15,-15,10,6", "--device", "cpu"]) == 0
    labelmap = sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
    inside = np.zeros_like(labelmap, bool)
    inside[3:18, 8:23, 8:23] = True
    assert not labelmap[~inside].any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bundle", "nonsense"], "no model bundle 'nonsense'"),
        (["--bundle", "refiner"], "'refiner' is a refiner, not a segmentor"),
        (["--bundle", "hippocampus-mr", "--steps", "0"], "0 reverse steps are not possible"),
        (["--bundle", "hippocampus-mr", "--steps", "11"], "11 reverse steps are not possible"),
        (["--bundle", "hippocampus-mr", "--seed", "-1"], "seed -1 is negative"),
        (["--bundle", "hippocampus-mr", "--roi", "500,0,0,10"], "too little of the image"),
        (["--bundle", "hippocampus-mr", "--output", "no/such/folder/a.nii.gz"], "could not be written"),
        (["--bundle", "hippocampus-mr", "--output", "a.png"], "no extension that can be written"),
        (["--bundle", "hippocampus-mr", "--probabilities", "p.txt"], "no extension that can be written"),
    ],
)
def test_bad_wishes_get_a_sentence_and_leave_no_file(
    small_models, image, tmp_path, arguments, sentence, capsys
):
    output = tmp_path / "out.nii.gz"
    assert main(["segment", str(image), "--output", str(output), *arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not output.exists()


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,-4", "nan,0,0,5"])
def test_bad_region_is_a_usage_error(small_models, image, tmp_path, text):
    with pytest.raises(SystemExit) as stopped:
        main(["segment", str(image), "--bundle", "hippocampus-mr", "--output", "a.nii.gz", "--roi", text])
    assert stopped.value.code == 2


def test_interrupt_leaves_no_file(small_models, image, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("HiDiffRefineLib.inference.pipeline.run_segmentor", interrupted)
    output = tmp_path / "out.nii.gz"
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--output", str(output)]
    assert main(command) == 130
    assert not output.exists()
    assert "Stopped" in capsys.readouterr().err


def test_evaluate_writes_the_promised_json(small_models, image, tmp_path, capsys):
    cases = tmp_path / "cases"
    for folder in ("images", "labels"):
        (cases / folder).mkdir(parents=True)
    source = sitk.ReadImage(str(image))
    for name in ("one", "two"):
        sitk.WriteImage(source, str(cases / "images" / f"{name}.nii.gz"))
        sitk.WriteImage(sitk.Cast(source > 250, sitk.sitkUInt8), str(cases / "labels" / f"{name}.nii.gz"))
    figures = tmp_path / "figures.json"
    command = ["evaluate", "--bundle", "hippocampus-mr", "--data", str(cases), "--json", str(figures)]
    command += ["--device", "cpu", "--hints", "2", "--prior", "empty"]
    assert main(command) == 0
    result = json.loads(figures.read_text())
    assert result["bundle"] == "hippocampus-mr"
    assert result["cases"] == ["one", "two"]
    assert set(result["rows"]) == {"segmentor", "refiner_1_step", "refiner", "plain_refiner"}
    for row in result["rows"].values():
        assert {"dice", "hd95_mm", "ece", "error_auroc", "seconds_per_case"} <= set(row)
        assert set(row["dice"]["per_label"]) == {"anterior hippocampus", "posterior hippocampus"}
        assert row["missing_organs"] == 2  # no case has a posterior part
    rows = {"refiner_1_step", "refiner", "plain_refiner", "ball", "more_less", "more_less_clumsy"}
    assert set(result["hints"]) == rows
    for row in result["hints"].values():
        assert row["dice"]["0"] == 0 and row["dice"]["2"] > 0
        assert row["satisfaction"] == 1 and row["collateral_voxels"] == 0
    shown = capsys.readouterr().out
    assert "refiner, 1 step" in shown and "ball of ideal radius" in shown


def test_evaluate_names_what_is_missing(small_models, tmp_path, capsys):
    assert main(["evaluate", "--bundle", "hippocampus-mr", "--data", str(tmp_path)]) == 1
    assert "images/ and labels/" in capsys.readouterr().err


def test_train_refuses_unknown_fields(tmp_path, capsys):
    config = tmp_path / "train.json"
    config.write_text('{"task": "segmentor", "bundle": "abdomen-ct", "output": "x", "epochs": 3}')
    assert main(["train", str(config)]) == 1
    assert "unknown field 'epochs'" in capsys.readouterr().err


def test_outputs_never_overwrite_the_image_nor_each_other(small_models, image, tmp_path, capsys):
    before, other = image.read_bytes(), str(tmp_path / "o.nii.gz")
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--prior-only"]
    for outputs in (
        ["--output", str(image)],
        ["--output", other, "--probabilities", str(image)],
        ["--output", other, "--probabilities", other],
    ):
        assert main([*command, *outputs]) == 1
        assert "would overwrite" in capsys.readouterr().err
    assert image.read_bytes() == before


FILES = ("out.nii", "p.nii", "v.csv")


@pytest.fixture
def segment_into_old_files(small_models, image, tmp_path):
    """() → exit status of a command that replaces three old files; the folder with nothing else in it."""
    folder = tmp_path / "results"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(b"old")
    mask, maps, table = (str(folder / name) for name in FILES)
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--prior-only", "--device", "cpu"]
    command += ["--output", mask, "--probabilities", maps, "--volumes", table]
    return folder, lambda: main(command)


def assert_nothing_written(folder, status, told):
    assert status == 1 and "Wrote" not in told.out and "Traceback" not in told.err
    assert "could not be written" in told.err
    assert "Check that its disk has space left." in told.err
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert all((folder / name).read_bytes() == b"old" for name in FILES)


@pytest.mark.parametrize("room", [0, 100, 1000, 20000])
def test_segment_on_a_full_disk_changes_no_file(segment_into_old_files, capsys, room):
    """The mask takes 18 kB, the probabilities 144 kB."""
    folder, segment = segment_into_old_files
    with full_after(room):
        status = segment()
    assert_nothing_written(folder, status, capsys.readouterr())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_segment_changes_no_file_wherever_a_write_fails(segment_into_old_files, monkeypatch, capsys, call):
    folder, segment = segment_into_old_files
    real, failed = getattr(os, call), 0
    while True:
        left = iter(range(failed, -1, -1))

        def failing(*arguments, left=left, **named):
            if next(left, 0) == 0 and not failing.done:
                failing.done = True
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **named)

        failing.done = False
        monkeypatch.setattr(os, call, failing)
        status = segment()
        if not failing.done:
            break
        assert_nothing_written(folder, status, capsys.readouterr())
        failed += 1
    # Each of the three files, at least.
    assert status == 0 and failed >= 3
    assert all((folder / name).read_bytes() != b"old" for name in FILES)


@pytest.mark.parametrize(
    "writer", ["volumes.write.write_segmentation", "volumes.volume_table.write_volume_table"]
)
def test_segment_changes_no_file_where_one_can_not_be_made(
    segment_into_old_files, monkeypatch, capsys, writer
):
    folder, segment = segment_into_old_files

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"HiDiffRefineLib.{writer}", full)
    assert_nothing_written(folder, segment(), capsys.readouterr())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
@pytest.mark.parametrize(
    "place", ["HiDiffRefineLib.dicom.images.read_image", "HiDiffRefineLib.inference.pipeline.run_segmentor"]
)
def test_full_memory_is_a_sentence(small_models, image, tmp_path, monkeypatch, capsys, error, place):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(place, full)
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--prior-only", "--device", "cpu"]
    assert main([*command, "--output", str(tmp_path / "o.nii.gz")]) == 1
    assert capsys.readouterr().err.endswith(f"Error: {MEMORY_FULL} {MAKE_ROOM}\n")
    assert not (tmp_path / "o.nii.gz").exists()


def test_an_error_that_no_one_foresaw_is_not_hidden(small_models, image, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("something else")

    monkeypatch.setattr("HiDiffRefineLib.dicom.images.read_image", broken)
    command = ["segment", str(image), "--bundle", "hippocampus-mr", "--prior-only", "--device", "cpu"]
    with pytest.raises(RuntimeError, match="something else"):
        main([*command, "--output", str(tmp_path / "o.nii.gz")])
