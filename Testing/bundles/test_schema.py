"""The shipped bundles pass the schema; each way to break a manifest gives its sentence."""

import copy
import json
import shutil
from pathlib import Path

import pytest

from HiDiffRefineLib.bundles import list_bundles, load_bundle, load_weights
from HiDiffRefineLib.bundles.schema import METADATA_FILE, check_metadata
from HiDiffRefineLib.errors import BundleError

MODELS = Path(__file__).parents[2] / "models"
SHIPPED = ["abdomen-ct", "brain-mr", "hippocampus-mr", "refiner"]


def metadata_of(name: str) -> dict:
    return json.loads((MODELS / name / METADATA_FILE).read_text(encoding="utf-8"))


def test_all_shipped_bundles_are_valid():
    bundles, errors = list_bundles()
    assert [bundle.name for bundle in bundles] == SHIPPED
    assert not errors


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_bundle_has_licence_card_and_known_refiner(name):
    bundle = load_bundle(name)
    assert (bundle.folder / "LICENSE").read_text(encoding="utf-8").strip()
    card = (bundle.folder / "docs/README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {bundle.metadata['name']}\n")
    assert ("Research use only" in card) == bundle.research_only
    assert bundle.settings["training_data"]
    if bundle.kind == "segmentor":
        assert load_bundle(bundle.settings["refiner"]).kind == "refiner"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_the_published_ones(name):
    bundle = load_bundle(name)
    if not bundle.settings["weights"]:
        pytest.skip(f"{name} has no weights yet")
    for key in bundle.settings["weights"]:
        assert load_weights(bundle, key)
    # The one-shot network is an extra, the others are what the bundle is for.
    assert set(bundle.settings["networks"]) - {"dssm"} <= set(bundle.settings["weights"])


def test_models_stay_small_enough_for_a_repository():
    size = sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file())
    assert size <= 40 * 2**20


def test_labels_carry_slicers_codes():
    abdomen = {label.name: label for label in load_bundle("abdomen-ct").labels}
    assert len(abdomen) == 13
    left, right = abdomen["left kidney"], abdomen["right kidney"]
    assert (left.value, right.value) == (3, 2)
    assert left.type == right.type and left.type.value == "64033007"
    assert (left.modifier.value, right.modifier.value) == ("7771000", "24028007")
    assert {label.category.value for label in abdomen.values()} == {"123037004"}
    assert len({label.color for label in abdomen.values()}) == 13
    anterior, posterior = load_bundle("hippocampus-mr").labels
    assert anterior.type.value == posterior.type.value == "5366008"
    assert (anterior.modifier.meaning, posterior.modifier.meaning) == ("Anterior", "Posterior")


def test_refiner_knows_no_classes():
    assert load_bundle("refiner").labels == ()


def broken(name, change):
    metadata = copy.deepcopy(metadata_of(name))
    change(metadata, metadata["hidiffrefine"])
    return metadata


WEIGHT = {"file": "models/segmentor.safetensors", "sha256": "0" * 64, "bytes": 1}
BROKEN = [
    ("abdomen-ct", lambda m, b: m.pop("version"), "lacks the field 'version'"),
    ("abdomen-ct", lambda m, b: m.pop("hidiffrefine"), "lacks the field 'hidiffrefine'"),
    ("abdomen-ct", lambda m, b: m.update(version="one"), "wrong value in 'version'"),
    ("abdomen-ct", lambda m, b: b.pop("kind"), "lacks the field 'hidiffrefine.kind'"),
    ("abdomen-ct", lambda m, b: b.update(kind="magic"), "wrong value in 'hidiffrefine.kind'"),
    ("abdomen-ct", lambda m, b: b.pop("license"), "lacks the field 'hidiffrefine.license'"),
    ("abdomen-ct", lambda m, b: b.pop("labels"), "lacks the field 'hidiffrefine.labels'"),
    ("abdomen-ct", lambda m, b: b.update(pathc_size=[1]), "unknown field 'hidiffrefine.pathc_size'"),
    ("abdomen-ct", lambda m, b: b.update(steps=4), "'hidiffrefine.steps', which does not belong"),
    ("abdomen-ct", lambda m, b: b.update(research_only="no"), "wrong value in 'hidiffrefine.research_only'"),
    ("abdomen-ct", lambda m, b: b.update(patch_size_kji=[48, 128]), "'hidiffrefine.patch_size_kji'"),
    ("abdomen-ct", lambda m, b: b.update(working_spacing_kji_mm=[0, 1, 1]), "working_spacing_kji_mm.0'"),
    ("abdomen-ct", lambda m, b: b.update(region_mm=0), "'hidiffrefine.region_mm'"),
    ("refiner", lambda m, b: b.update(region_mm=120), "'hidiffrefine.region_mm', which does not belong"),
    ("abdomen-ct", lambda m, b: b["intensity"].update(low=300), "low end is not below its high end"),
    ("hippocampus-mr", lambda m, b: b["intensity"].update(high=101), "'hidiffrefine.intensity.high'"),
    ("abdomen-ct", lambda m, b: b["labels"][2].update(value=2), "two labels of the same value"),
    ("abdomen-ct", lambda m, b: b["labels"][2].update(name="liver"), "two labels of the same name"),
    ("abdomen-ct", lambda m, b: b["labels"][0].update(value=0), "'hidiffrefine.labels.0.value'"),
    ("abdomen-ct", lambda m, b: b["labels"][0].update(color=[0, 0, 256]), "labels.0.color.2'"),
    ("abdomen-ct", lambda m, b: b["labels"][0].update(type=["SCT", "78961009"]), "labels.0.type'"),
    ("abdomen-ct", lambda m, b: b.update(validation={}), "lacks the field 'hidiffrefine.validation.split'"),
    ("abdomen-ct", lambda m, b: b["networks"]["segmentor"].pop("arguments"), "segmentor.arguments'"),
    ("abdomen-ct", lambda m, b: b.update(weights={"other": WEIGHT}), "weights 'other' without a network"),
    ("abdomen-ct", lambda m, b: b.update(weights={"segmentor": {**WEIGHT, "file": "m.pt"}}), "file'"),
    ("abdomen-ct", lambda m, b: b.update(weights={"segmentor": {**WEIGHT, "sha256": "?"}}), "sha256'"),
    ("refiner", lambda m, b: b.pop("chain"), "lacks the field 'hidiffrefine.chain'"),
    ("refiner", lambda m, b: b.update(steps=11), "11 steps of a chain of 10"),
    ("refiner", lambda m, b: b.update(labels=[]), "'hidiffrefine.labels', which does not belong"),
]


@pytest.mark.parametrize(("name", "change", "sentence"), BROKEN, ids=[row[2] for row in BROKEN])
def test_broken_metadata_is_refused_with_bundle_and_field(name, change, sentence):
    with pytest.raises(BundleError) as caught:
        check_metadata(broken(name, change), name)
    assert sentence in caught.value.message
    assert f"'{name}'" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1, 2]",
        b"{",
        b"\xff\xfe",
        b'{"version": NaN}',
        b"[" * 100_000,
        b" " * (2 << 20),
        b"1" * 5000,
    ],
    ids=["empty", "list", "cut", "not utf-8", "nan", "deep", "huge", "long number"],
)
def test_unreadable_metadata_is_refused_by_name(tmp_path, content):
    path = tmp_path / "odd" / METADATA_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(BundleError, match="'odd'") as caught:
        load_bundle(path.parents[1])
    assert caught.value.remedy


def test_folder_without_metadata_is_refused_by_name(tmp_path):
    with pytest.raises(BundleError, match=r"'empty' cannot be read: configs/metadata\.json"):
        (tmp_path / "empty").mkdir()
        load_bundle(tmp_path / "empty")


@pytest.mark.parametrize("name", ["", "no-such", "../../no-such", "a\0b", "x" * 5000])
def test_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(BundleError, match="There is no model bundle") as caught:
        load_bundle(name)
    assert ", ".join(SHIPPED) in caught.value.remedy


def test_a_name_of_several_words(tmp_path, monkeypatch):
    """What is listed can be chosen."""
    name = "my é model (2)"
    shutil.copytree(MODELS / "refiner", tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setenv("HIDIFF_MODELS", str(tmp_path))
    assert load_bundle(name).name == name


def test_models_folder_and_path(tmp_path, monkeypatch):
    shutil.copytree(MODELS / "refiner", tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setenv("HIDIFF_MODELS", str(tmp_path))
    assert load_bundle("mine").folder == (tmp_path / "mine").resolve()
    monkeypatch.delenv("HIDIFF_MODELS")
    assert load_bundle(tmp_path / "mine").name == "mine"
    monkeypatch.chdir(tmp_path / "mine")
    assert load_bundle(".").name == "mine"


def test_a_broken_bundle_is_listed_beside_the_good_ones(tmp_path, monkeypatch):
    for name in ("good", "bad"):
        shutil.copytree(MODELS / "refiner", tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "bad" / METADATA_FILE).write_text("{")
    monkeypatch.setenv("HIDIFF_MODELS", str(tmp_path))
    bundles, errors = list_bundles()
    assert [bundle.name for bundle in bundles] == ["good"]
    assert len(errors) == 1 and "'bad'" in errors[0].message
