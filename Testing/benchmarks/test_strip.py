"""The strip of pictures shows a repair from prior to truth."""

from argparse import Namespace

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.errors import HiDiffRefineError
from Testing.benchmarks import strip


@pytest.fixture
def options(tmp_path):
    """A bright block in noise, from nothing."""
    truth = np.zeros((12, 40, 40), np.uint8)
    truth[3:9, 6:18, 6:20] = 1
    image = np.random.default_rng(0).normal(100.0 * truth, 10).astype(np.int16)
    for folder, array in (("images", image), ("labels", truth)):
        (tmp_path / folder).mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / folder / "block.nii.gz"))
    return Namespace(
        **{"bundle": "refiner-only", "data": tmp_path, "case": "block", "label": "1", "hints": 1},
        **{"prior": None, "steps": 2, "output": tmp_path / "strip.png", "device": "cpu"},
    )


def test_a_strip_goes_from_the_prior_to_the_truth(options, monkeypatch):
    drawn = []
    draw = strip.draw
    monkeypatch.setattr(strip, "draw", lambda *arguments: (drawn.append(arguments), draw(*arguments)))
    strip.make(options)
    (row,) = drawn[0][3]
    assert list(row["masks"]) == ["before", "hint", "step 1", "final (step 2)", "truth"]
    assert not row["masks"]["before"].any() and row["masks"]["truth"].sum() == 6 * 12 * 14
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(options.output)))
    assert picture.shape[1] > 1000 and (picture[..., :3] == (0x40, 0xE0, 0xFF)).all(-1).any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": "liver"}, "block.nii.gz has no 'liver'. Choose one of 1."),
        ({"case": "other"}, "has no case 'other'"),
        ({"output": "strip.jpg"}, "no extension that can be written"),
        ({"prior": "segmentor"}, "has no prior of its own"),
    ],
)
def test_bad_wishes_get_a_sentence(options, change, sentence):
    with pytest.raises(HiDiffRefineError, match=sentence):
        strip.make(Namespace(**vars(options) | change))
