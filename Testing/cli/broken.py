"""Command lines on broken files: done or refused in a sentence, and what was there before is whole.

    python -m Testing.cli.broken COUNT SEED FOLDER

prints, as JSON, what they came to. A program of its own, as an odd size may ask for much memory.
"""

import contextlib
import io
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from HiDiffRefineLib.bundles import update_settings
from HiDiffRefineLib.cli.main import main as command_line
from HiDiffRefineLib.errors import HiDiffRefineError
from HiDiffRefineLib.volumes.labels import nameless_label
from HiDiffRefineLib.volumes.read import read_segmentation, read_volume
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.bundles.broken import good_bundles
from Testing.dicom.made_up import write_volume
from Testing.spoil import spoilt
from Testing.tally import Tally

MEMORY = 12 * 2**30
REPOSITORY = Path(__file__).parents[2]


def commands(count: int, seed: int, folder: Path) -> Tally:
    """So many command lines, in a process of their own."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "Testing.cli.broken", str(count), str(seed), str(folder)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=120 + 5 * count, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == "", done.stderr[-3000:]
    return Tally(**json.loads(done.stdout))


def _commands(count: int, seed: int, folder: Path) -> Tally:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chance, tally = random.Random(seed), Tally()
    good = _good_files(folder / "good")
    for n in range(count):
        place = folder / str(n)
        place.mkdir()
        for name, content in good.items():
            (place / name).write_bytes(content)
        name, arguments, victims = chance.choice(_command_lines(place, folder / "good"))
        victim = chance.choice(victims)
        if chance.random() < 0.8:
            (place / victim).write_bytes(spoilt(good[victim], chance))
        told = f"{n}: {name}, {victim} spoilt"
        before = {file.name: file.read_bytes() for file in place.iterdir()}
        found = len(tally.wrong)
        tally.take(told, lambda arguments=arguments: _run(arguments))
        _look(place, before, told, tally)
        if len(tally.wrong) == found:
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
    return tally


def _command_lines(place: Path, good: Path) -> list[tuple[str, list, list[str]]]:
    """Name, arguments, and the files of which one is spoilt; outputs are there already."""
    image, mask, points = place / "image.nii", place / "mask.seg.nrrd", place / "points.mrk.json"
    paint = place / "paint.nii"
    out, table, seg = place / "out.seg.nrrd", place / "out.csv", place / "out.dcm"
    refine = ["refine", image, mask, "--segment", "1", "--output", out, "--volumes", table, "--device", "cpu"]
    segment = ["segment", image, "--bundle", "good segmentor", "--prior-only", "--output", out]
    export = ["export-dicom", mask, "--source", good / "series", "--output", seg, "--fix"]
    return [
        ("refine", [*refine, "--hints", points], [image.name, mask.name, points.name]),
        ("refine", [*refine, "--hints", points, paint], [image.name, mask.name, points.name, paint.name]),
        ("segment", [*segment, "--volumes", table, "--device", "cpu"], [image.name]),
        ("export-dicom", export, [mask.name]),
    ]


def _good_files(folder: Path) -> dict[str, bytes]:
    """What every command finds; bundles and a series stay in the folder."""
    (folder / "series").mkdir(parents=True)
    good_bundles(folder)
    (folder / "good refiner").rename(folder / "refiner")
    update_settings(folder / "refiner", patch_size_kji=[16, 32, 32], hints=[])
    update_settings(folder / "good segmentor", patch_size_kji=[16, 32, 32], hints=[])
    os.environ["HIDIFF_MODELS"] = str(folder)
    k, j, i = np.indices((12, 20, 20))
    ball = (k - 6) ** 2 + (j - 10) ** 2 + (i - 10) ** 2 < 30
    array = np.random.default_rng(0).normal(100, 20, ball.shape) + 300 * ball
    image, files = sitk.GetImageFromArray(array.astype(np.float32)), {}
    sitk.WriteImage(image, str(folder / "image.nii"))
    ijk_to_ras = read_volume(folder / "image.nii").ijk_to_ras
    labels = [nameless_label(1), nameless_label(2)]
    write_segmentation(folder / "mask.seg.nrrd", ball + (ball & (i > 10)), ijk_to_ras, labels)
    paint = sitk.GetImageFromArray(((k == 6) & (j == 10) & (i == 10)).astype(np.uint8))
    sitk.WriteImage(paint, str(folder / "paint.nii"))
    points = [
        {"label": "positive-1", "position": [10, 10, 6]},
        {"label": "negative-2", "position": [3, 3, 3]},
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points}
    (folder / "points.mrk.json").write_text(json.dumps({"markups": [markup]}))
    write_volume(folder / "series", np.zeros(ball.shape, int), ijk_to_ras)
    for name in ("image.nii", "mask.seg.nrrd", "paint.nii", "points.mrk.json"):
        files[name] = (folder / name).read_bytes()
    return files | {"out.seg.nrrd": b"old", "out.csv": b"old", "out.dcm": b"old"}


def _run(arguments: list) -> None:
    """A command line; its refusal as an error."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = command_line([str(argument) for argument in arguments])
    last = errors.getvalue().strip().rsplit("\n", 1)[-1]
    if status == 1 and (last.startswith("Error: ") or "Not written" in out.getvalue()):
        raise HiDiffRefineError(last.removeprefix("Error: ") or "Not written.", "in the same line")
    assert status == 0, (status, errors.getvalue()[-500:])


def _look(place: Path, before: dict[str, bytes], told: str, tally: Tally) -> None:
    """Notes what is neither as it was nor new and whole."""
    now = {file.name: file.read_bytes() for file in place.iterdir()}
    if now.keys() != before.keys():
        tally.wrong.append(f"{told}: left {now.keys() - before.keys()}")
    for name in before:
        if now.get(name) == before[name]:
            continue
        if name == "out.seg.nrrd":
            read_segmentation(place / name)
        elif name == "out.dcm":
            pydicom.dcmread(place / name)
        elif name != "out.csv" or not now[name].startswith(b"value,segment,voxels,ml,cut"):
            tally.wrong.append(f"{told}: {name} is changed")


if __name__ == "__main__":
    print(json.dumps(_commands(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])).as_dict()))
