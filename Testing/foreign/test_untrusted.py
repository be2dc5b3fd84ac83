"""What a stranger's files may do: be read, or be refused in a sentence. None of their code runs."""

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from HiDiffRefineLib.bundles import list_bundles
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.foreign.importing import import_bundle
from HiDiffRefineLib.foreign.references import Configuration, read_mapping
from HiDiffRefineLib.foreign.weights import read_weights
from Testing.foreign.conftest import write_zoo, zoo_metadata
from Testing.foreign.test_zoo import SPLEEN, THREE


class Harm:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def zoo(tmp_path, models) -> Path:
    return write_zoo(tmp_path / "some", SPLEEN, zoo_metadata(THREE))


def test_weights_with_code_in_them_are_refused(zoo, tmp_path, models):
    mark = tmp_path / "it ran"
    torch.save({"a": torch.zeros(1), "b": Harm(mark)}, zoo / "models/model.pt")
    with pytest.raises(BundleError, match=r"model\.pt can't be read as weights") as caught:
        import_bundle(zoo)
    assert not mark.exists() and "state_dict" in caught.value.remedy
    assert [bundle.name for bundle in list_bundles()[0]] == ["refiner"] and not list_bundles()[1]


def test_a_torchscript_with_code_in_its_data_is_refused(tmp_path):
    mark, file = tmp_path / "it ran", tmp_path / "model.ts"
    torch.jit.script(torch.nn.Conv3d(1, 1, 1)).save(tmp_path / "good.ts")
    with zipfile.ZipFile(tmp_path / "good.ts") as good, zipfile.ZipFile(file, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith("/data.pkl"):
                content = pickle.dumps({"weight": Harm(mark)}, protocol=2)
            bad.writestr(name, content)
    with pytest.raises(BundleError, match="TorchScript file holds a"):
        read_weights(file)
    assert not mark.exists()
    assert set(read_weights(tmp_path / "good.ts")) == {"weight", "bias"}


@pytest.mark.parametrize(
    "place",
    [
        lambda config: config["network_def"].update(init_filters="$__import__('os').getpid()"),
        lambda config: config["network_def"].update(_target_="$print"),
        lambda config: config["preprocessing"]["transforms"][3].update(pixdim="$[1, 1, 1]"),
        lambda config: config["preprocessing"].update(transforms="$@a + @b"),
        lambda config: config["inferer"].update(roi_size="@of_code", of_code="$1"),
    ],
    ids=["argument", "class", "spacing", "list", "reference"],
)
def test_expressions_are_named_not_run(zoo, place):
    config = json.loads(json.dumps(SPLEEN)) | {"of_code": "$open('/tmp/x', 'w')"}
    place(config)
    (zoo / "configs/inference.json").write_text(json.dumps(config))
    with pytest.raises(BundleError, match="expression") as caught:
        import_bundle(zoo)
    assert "Write its value there" in caught.value.remedy


@pytest.mark.parametrize("target", ["os.system", "torch.load", "monai.networks.nets.resnet50", "HighResNet"])
def test_classes_that_are_not_listed_are_refused(zoo, target):
    config = SPLEEN | {"network_def": SPLEEN["network_def"] | {"_target_": target}}
    (zoo / "configs/inference.json").write_text(json.dumps(config))
    with pytest.raises(BundleError, match=f"The network {target} can't be imported"):
        import_bundle(zoo)


def test_references_are_followed_to_plain_values_only():
    tree = {"a": "@b#1::c", "b": [0, {"c": "%d"}], "d": 7, "round": "@about", "about": "@round", "no": "@x#y"}
    configuration = Configuration(tree, "inference.json")
    assert configuration.find("absent", "a") == 7
    assert configuration.plain(["$@a", "%d"], "here") == [7, 7]
    for name, sentence in (("round", "in a circle|not there"), ("no", "@x#y, which is not there")):
        with pytest.raises(BundleError, match=sentence):
            configuration.find(name)
    many: list = ["x"]
    for _ in range(30):
        many = [many, many]
    with pytest.raises(BundleError, match="too many values"):
        Configuration({"many": many}, "inference.yaml").plain(many, "many")


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.yaml", b"a: !!python/object/apply:os.getpid []"),
        ("a.yaml", b"- 1"),
        ("a.yaml", b"a: [1"),
        ("a.json", b"{"),
        ("a.json", b"[" * 100_000),
        ("a.json", b"\xff"),
        ("a.json", b" " * (2 << 20)),
    ],
)
def test_configurations_that_are_none_are_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        read_mapping(tmp_path / name)


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "can't be read as weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"PK\x03\x04 cut", "can't be read as weights"),
        (pickle.dumps([1, 2]), "can't be read as weights|holds no weights"),
    ],
    ids=["empty", "pointer", "cut", "pickle"],
)
def test_files_that_are_no_weights_are_refused_by_name(tmp_path, content, sentence):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(BundleError, match=sentence):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("place", ["network_weights", "state_dict", "model"])
def test_weights_are_found_among_what_training_saves(tmp_path, place):
    state = {"module.a": torch.ones(2, dtype=torch.float16), "module.n": torch.tensor(3)}
    torch.save({place: state, "epoch": 7, "optimizer": {"state": {}}}, tmp_path / "model.pt")
    found = read_weights(tmp_path / "model.pt")
    assert found["a"].dtype == torch.float32 and found["n"].dtype == torch.int64


def test_a_zip_writes_nothing_outside(zoo, tmp_path, models):
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", zoo.parent, "some"))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../../escaped.txt", "x")
        archive.writestr("/escaped.txt", "x")
    assert import_bundle(packed).name == "packed"
    assert not list(tmp_path.parent.glob("escaped.txt")) and not Path("/escaped.txt").exists()
    assert sorted(path.name for path in models.iterdir()) == ["packed", "refiner"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", " . "])
def test_names_that_lead_elsewhere_are_refused(zoo, name):
    with pytest.raises(BundleError, match="no name for a bundle"):
        import_bundle(zoo, name=name or "..")


def test_what_is_neither_layout_is_refused(tmp_path, models):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="neither a MONAI bundle"):
        import_bundle(tmp_path / "empty")
    with pytest.raises(BundleError, match="no folder and no zip"):
        import_bundle(tmp_path / "absent")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/configs/inference.json", "{}")
        archive.writestr("b/configs/inference.json", "{}")
    (tmp_path / "two.zip").write_bytes(buffer.getvalue())
    with pytest.raises(BundleError, match="several models: a, b"):
        import_bundle(tmp_path / "two.zip")
