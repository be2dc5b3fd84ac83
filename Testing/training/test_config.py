"""Configurations that make no sense are refused with the field's name."""

import json
from pathlib import Path

import pytest

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.training.config import read_config

MODELS = Path(__file__).parents[2] / "models"

GOOD = {"task": "refiner", "bundle": "refiner", "cases": ["a.npy.xz", "b.npy.xz"], "output": "runs/x"}


@pytest.fixture
def written(tmp_path):
    def write(content) -> str:
        path = tmp_path / "train.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def test_fields_and_defaults(written):
    config = read_config(written({**GOOD, "minutes": 8, "fold": 2}))
    assert (config.task, config.cases, config.priors) == ("refiner", ("a.npy.xz", "b.npy.xz"), ())
    assert (config.minutes, config.fold, config.seed) == (8, 2, 0)


def test_overrides_are_json_or_else_text(written):
    overrides = ["minutes=0.5", "fold=null", "output=runs/a=b", "compile=false"]
    overrides += ['priors=["p*"]', "cases=one.xz"]
    config = read_config(written({**GOOD, "fold": 1}), overrides)
    assert (config.minutes, config.fold, config.output, config.compile) == (0.5, None, "runs/a=b", False)
    assert (config.priors, config.cases) == (("p*",), ("one.xz",))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "no readable JSON"),
        (b"\xff\xfe", "no readable JSON"),
        (b"[1, 2]", "no readable JSON"),
        ({**GOOD, "minuets": 3}, "unknown field 'minuets'"),
        ({key: GOOD[key] for key in ("bundle", "cases", "output")}, "'task'"),
        ({key: GOOD[key] for key in ("task", "bundle", "output")}, "'cases'"),
        ({**GOOD, "cases": 3}, "'cases' must be a list of texts, not 3"),
        ({**GOOD, "cases": ["a", 3]}, "'cases' must be a list of texts, not"),
        ({**GOOD, "output": None}, "'output' must be a text, not null"),
        ({**GOOD, "minutes": "8"}, "'minutes' must be a number, not"),
        ({**GOOD, "minutes": True}, "'minutes' must be a number, not true"),
        ({**GOOD, "batch": 1.5}, "'batch' must be a whole number, not 1.5"),
        ({**GOOD, "compile": 1}, "'compile' must be true or false, not 1"),
        ({**GOOD, "fold": "all"}, "'fold' must be a whole number or null, not"),
    ],
    ids=[
        *(
            "cut",
            "not utf-8",
            "list",
            "unknown",
            "no task",
            "no cases",
            "cases a number",
            "a number in cases",
        ),
        *(
            "output null",
            "minutes a text",
            "minutes true",
            "batch a fraction",
            "compile a number",
            "fold a text",
        ),
    ],
)
def test_what_is_wrong_is_named(written, content, sentence):
    with pytest.raises(ConfigError) as caught:
        read_config(written(content))
    assert sentence in caught.value.message
    assert "train.json" in caught.value.message and caught.value.remedy


def test_unknown_override_and_missing_file(written, tmp_path):
    with pytest.raises(ConfigError, match="unknown field 'speed'"):
        read_config(written(GOOD), ["speed=3"])
    with pytest.raises(ConfigError, match="none.json cannot be read: No such file") as caught:
        read_config(tmp_path / "none.json")
    assert caught.value.remedy == "Check the path."


@pytest.mark.parametrize("name", ["abdomen-ct", "brain-mr", "hippocampus-mr", "refiner"])
def test_the_shipped_configurations_are_good(name):
    assert read_config(MODELS / name / "configs" / "train.json").bundle == name
