"""Broken and odd bundles: each is used, or refused in a sentence with a remedy.

Weights are spoilt under their own digest as well: whoever makes a bundle enters the digest of whatever was
written.
"""

import hashlib
import json
import random
import shutil
from pathlib import Path

import torch

from HiDiffRefineLib.bernoulli import BernoulliChain
from HiDiffRefineLib.bundles import load_bundle, refiner_of, update_settings, write_weights
from HiDiffRefineLib.bundles.schema import METADATA_FILE
from HiDiffRefineLib.inference.models import load_network
from HiDiffRefineLib.networks.build import build_network
from Testing.spoil import change_a_value, spoilt
from Testing.tally import Tally, content_of

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
        change_a_value(part, chance)
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


def use(folder: Path, key: str) -> None:
    """All that commands do with a bundle before the first voxel."""
    bundle = load_bundle(folder)
    refiner_of(bundle)
    assert bundle.labels or bundle.kind == "refiner"
    assert len(bundle.patch_size_kji) == 3
    if "chain" in bundle.settings:
        BernoulliChain(bundle.settings["chain"]["T"], bundle.settings["chain"]["schedule"])
    load_network(bundle, key, torch.device("cpu"))


def bundles(count: int, seed: int, folder: Path) -> Tally:
    """So many spoilt bundles; what something was wrong with stays in the folder."""
    chance, tally = random.Random(seed), Tally()
    good = good_bundles(folder)
    for n in range(count):
        source = chance.choice(list(good))
        target = folder / f"{n} {good[source]}"
        shutil.copytree(source, target)
        spoil(target, good[source], chance)
        before = content_of(target)
        fine = tally.take(target.name, lambda target=target, key=good[source]: use(target, key))
        if content_of(target) != before:
            tally.wrong.append(f"{target.name}: reading has changed it")
        elif fine:
            shutil.rmtree(target)
    return tally
