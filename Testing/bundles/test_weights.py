"""Weights survive the round trip; anything but the published bytes is refused by name."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from HiDiffRefineLib.bundles import load_bundle, load_into, load_weights, update_settings, write_weights
from HiDiffRefineLib.bundles.schema import METADATA_FILE
from HiDiffRefineLib.errors import BundleError

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tmp_path):
    """A copy of the refiner bundle without weights."""
    target = tmp_path / "tested"
    shutil.copytree(MODELS / "refiner", target, ignore=shutil.ignore_patterns("*.safetensors"))
    update_settings(target, weights={})
    return target


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3), torch.nn.BatchNorm3d(4))


@pytest.fixture
def written(folder, network):
    write_weights(folder, "refiner", network.state_dict())
    return folder


def weights_file(folder: Path) -> Path:
    return folder / "models/refiner.safetensors"


def set_entry(folder: Path, **changes) -> None:
    path = folder / METADATA_FILE
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["hidiffrefine"]["weights"]["refiner"].update(changes)
    path.write_text(json.dumps(metadata))


def refusal(folder: Path, key: str = "refiner") -> str:
    with pytest.raises(BundleError, match="'tested'") as caught:
        load_weights(load_bundle(folder), key)
    assert caught.value.remedy
    return caught.value.message


def test_round_trip_is_fp16_on_disk_and_float32_in_memory(written, network):
    state = load_weights(load_bundle(written), "refiner")
    original = network.state_dict()
    assert state.keys() == original.keys()
    assert state["0.weight"].dtype == torch.float32
    assert torch.equal(state["0.weight"], original["0.weight"].half().float())
    assert state["1.num_batches_tracked"].dtype == torch.int64
    floats = sum(tensor.numel() for tensor in original.values() if tensor.is_floating_point())
    assert weights_file(written).stat().st_size < 2 * floats + 1000
    load_into(network, state, load_bundle(written))


def test_shared_and_transposed_tensors_are_stored(folder):
    weight = torch.arange(6, dtype=torch.float16).reshape(2, 3)
    flags = torch.tensor([True, False])
    write_weights(folder, "refiner", {"a": weight, "tied": weight, "turned": weight.T, "flags": flags})
    state = load_weights(load_bundle(folder), "refiner")
    assert torch.equal(state["tied"], weight.float())
    assert torch.equal(state["turned"], weight.T.float())
    assert state["flags"].dtype == torch.bool


def test_writing_again_replaces_file_and_digest(written):
    write_weights(written, "refiner", {"w": torch.ones(2)})
    assert load_weights(load_bundle(written), "refiner")["w"].tolist() == [1, 1]
    assert [path.name for path in weights_file(written).parent.iterdir()] == ["refiner.safetensors"]


@pytest.mark.parametrize("value", [1e5, float("nan"), float("inf")])
def test_values_beyond_fp16_are_refused_and_nothing_is_written(folder, value):
    with pytest.raises(BundleError, match="'w' hold a value that fp16 cannot store"):
        write_weights(folder, "refiner", {"w": torch.tensor([0.0, value])})
    assert not weights_file(folder).exists()


def test_unknown_key_is_refused(written):
    with pytest.raises(BundleError, match="no network 'other'"):
        write_weights(written, "other", {"w": torch.ones(1)})
    assert "carries no weights 'other'" in refusal(written, "other")


def test_weights_not_yet_written_are_refused(folder):
    assert "carries no weights 'refiner'" in refusal(folder)


@pytest.mark.parametrize("position", [0, 9, -1])
def test_a_flipped_bit_is_refused(written, position):
    content = bytearray(weights_file(written).read_bytes())
    content[position] ^= 1
    weights_file(written).write_bytes(content)
    assert "refiner.safetensors" in (message := refusal(written))
    assert "SHA-256 differs" in message


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: content[:-1], "truncated"),
        (lambda content: b"", "truncated"),
        (lambda content: content + b"\0", "longer than it should be"),
    ],
)
def test_a_file_of_another_length_is_refused(written, change, sentence):
    weights_file(written).write_bytes(change(weights_file(written).read_bytes()))
    assert sentence in refusal(written)


def test_a_git_lfs_pointer_is_named(written):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2202982\n"
    weights_file(written).write_text(pointer)
    with pytest.raises(BundleError, match="is a Git LFS pointer") as caught:
        load_weights(load_bundle(written), "refiner")
    assert "git lfs pull" in caught.value.remedy


def test_a_missing_file_is_refused(written):
    weights_file(written).unlink()
    assert "models/refiner.safetensors" in refusal(written)


@pytest.mark.parametrize(
    "file", ["../outside.safetensors", "models/../../outside.safetensors", "/etc/outside.safetensors"]
)
def test_a_path_out_of_the_bundle_is_refused(written, file):
    shutil.copy(weights_file(written), written.parent / "outside.safetensors")
    set_entry(written, file=file)
    assert "points outside the bundle" in refusal(written)


def test_a_link_out_of_the_bundle_is_refused(written):
    outside = written.parent / "outside.safetensors"
    shutil.move(weights_file(written), outside)
    try:
        os.symlink(outside, weights_file(written))
    except OSError:
        pytest.skip("this system lets no link be made")
    assert "points outside the bundle" in refusal(written)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a weights file was unpickled",)


def test_a_pickle_with_a_matching_digest_is_not_unpickled(written):
    import hashlib

    content = pickle.dumps(Bomb())
    weights_file(written).write_bytes(content)
    set_entry(written, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    assert "is not a safetensors file" in refusal(written)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"weight": torch.ones(2, 2)}, "bias"),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(2)}, "size mismatch for weight"),
        ({"weight": torch.ones(2, 2), "bias": torch.ones(2), "more": torch.ones(1)}, "more"),
    ],
    ids=["missing", "shape", "left over"],
)
def test_weights_that_do_not_fit_the_network_are_refused(folder, state, sentence):
    with pytest.raises(BundleError, match="'tested' do not fit its Linear") as caught:
        load_into(torch.nn.Linear(2, 2), state, load_bundle(folder))
    assert sentence in caught.value.message


def test_settings_change_only_to_what_is_valid(folder):
    assert update_settings(folder, steps=1).settings["steps"] == 1
    before = (folder / METADATA_FILE).read_bytes()
    with pytest.raises(BundleError, match="99 steps"):
        update_settings(folder, steps=99)
    assert (folder / METADATA_FILE).read_bytes() == before
