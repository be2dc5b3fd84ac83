"""Broken and odd bundles: each is used, or refused in a sentence with a remedy.

    python -m Testing.bundles.broken COUNT SEED FOLDER

spoils so many and prints what ended otherwise. Weights are spoilt under their own digest as well: whoever
makes a bundle enters the digest of whatever was written.
"""

import hashlib
import json
import random
import shutil
import sys
import warnings
from pathlib import Path

import torch

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.bundles import load_bundle, refiner_of, update_settings, write_weights
from HiDiffRefineLib.bundles.schema import METADATA_FILE
from HiDiffRefineLib.errors import HiDiffRefineError, is_memory_full
from HiDiffRefineLib.inference.models import load_network
from HiDiffRefineLib.networks.build import build_network
from Testing.volumes.broken import spoilt

MODELS = Path(__file__).parents[2] / "models"
NETWORKS = {
    "segmentor": ("residual_unet", {"labels": 3, "channels": [8, 8, 8], "strides": [1, [1, 2, 2], 2]}),
    "dssm": (
        "dssm",
        {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8},
    ),
    "refiner": (
        "bernoulli_refiner",
        {"channels": [8] * 4, "light": [8] * 4, "blocks": [1] * 4, "embedding": 16, "heads": 2},
    ),
}
# What may stand in any field of JSON, huge and negative numbers and other types among it.
VALUES = [None, True, 0, 1, -1, 7, 2.5, 1e300, 10**30, "", "x", "é\0", "../..", [], [1], [[]], {}, {"a": 1}]


def good_bundles(folder: Path) -> dict[Path, str]:
    """Folders of good bundles with small networks, and what each is of."""
    made = {}
    for key, (name, arguments) in NETWORKS.items():
        target = folder / f"good {key}"
        shipped = "refiner" if key == "refiner" else "hippocampus-mr"
        shutil.copytree(MODELS / shipped, target, ignore=shutil.ignore_patterns("*.safetensors"))
        networks = {key: {"name": name, "arguments": arguments}}
        update_settings(target, weights={}, networks=networks)
        write_weights(target, key, build_network(name, arguments).state_dict())
        made[target] = key
    return made


def spoil(folder: Path, key: str, chance: random.Random) -> None:
    """Damages the manifest's bytes or values, the weights, or the folder."""
    manifest, weights = folder / METADATA_FILE, folder / "models" / f"{key}.safetensors"
    way = chance.randrange(6)
    if way == 0:
        manifest.write_bytes(spoilt(manifest.read_bytes(), chance))
    elif way in (1, 2):
        metadata = json.loads(manifest.read_text(encoding="utf-8"))
        # Networks, chain and weights are what the code goes by; the rest is mostly text.
        settings = metadata["hidiffrefine"]
        part = settings["networks"][key] if way == 2 else chance.choice([metadata, settings])
        _change(part, chance)
        manifest.write_text(json.dumps(metadata), encoding="utf-8")
    elif way == 3:
        weights.write_bytes(spoilt(weights.read_bytes(), chance))
    elif way == 4:
        content = weights.read_bytes()
        for _ in range(chance.choice([1, 1, 3])):
            content = spoilt(content, chance) or b"\0"
        weights.write_bytes(content)
        metadata = json.loads(manifest.read_text(encoding="utf-8"))
        entry = metadata["hidiffrefine"]["weights"][key]
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest.write_text(json.dumps(metadata), encoding="utf-8")
    else:
        path = chance.choice([manifest, weights])
        path.unlink()
        if chance.random() < 0.5:
            path.mkdir()


def _change(part: dict, chance: random.Random) -> None:
    """One value somewhere in a part of a JSON becomes another, or goes."""
    places = []

    def walk(node) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(part)
    node, key = chance.choice(places)
    if chance.random() < 0.2:
        del node[key]
    else:
        node[key] = chance.choice(VALUES)


def use(folder: Path, key: str) -> None:
    """All that commands do with a bundle before the first voxel."""
    bundle = load_bundle(folder)
    refiner_of(bundle)
    assert bundle.labels or bundle.kind == "refiner"
    assert len(bundle.patch_size_kji) == 3
    if "chain" in bundle.settings:
        BernoulliChain(bundle.settings["chain"]["T"], bundle.settings["chain"]["schedule"])
    load_network(bundle, key, torch.device("cpu"))


def wrong_endings(count: int, seed: int, folder: Path) -> list[str]:
    """What so many spoilt bundles ended in beside use, and refusals with a remedy; those stay."""
    chance, wrong = random.Random(seed), []
    good = good_bundles(folder)
    for n in range(count):
        source = chance.choice(list(good))
        target = folder / f"{n} {good[source]}"
        shutil.copytree(source, target)
        spoil(target, good[source], chance)
        before = _content(target)
        found = len(wrong)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                use(target, good[source])
        except HiDiffRefineError as error:
            sentence = error.message.endswith((".", ")")) or ":" in error.message
            if not error.remedy or "Errno" in error.message or "\n" in error.message or not sentence:
                wrong.append(f"{target.name}: {error.message!r} {error.remedy!r}")
        except Exception as error:
            # The command line has a sentence for a size that no memory holds.
            if not is_memory_full(error):
                wrong.append(f"{target.name}: {type(error).__name__} {error}")
        if _content(target) != before:
            wrong.append(f"{target.name}: reading has changed it")
        if len(wrong) == found:
            shutil.rmtree(target)
    return wrong


def _content(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


if __name__ == "__main__":
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    found = wrong_endings(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    print("\n".join(found) or "All were used, or refused in a sentence.")
