"""train CONFIG: pack data, train a network."""

from pathlib import Path

from HiDiffRefineLib.errors import ConfigError

# Whose weights a task trains, where its name is not the network's.
NETWORK_OF = {"edits": "refiner", "plain_edits": "plain_refiner"}


def add_to(commands) -> None:
    """Adds this command to the parser."""
    parser = commands.add_parser("train", help="train a network from a JSON configuration")
    parser.add_argument("config", type=Path, help="for instance models/abdomen-ct/configs/train.json")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="override fields")
    parser.add_argument(
        "--pack",
        type=Path,
        metavar="DIR",
        help="only pack DIR (images/ and labels/, or label maps alone) into the config's archive",
    )
    parser.add_argument("--install", action="store_true", help="only put the trained weights into the bundle")
    parser.set_defaults(run=run)


def run(options) -> None:
    """Trains, packs data for training, or installs what was trained."""
    # torch and lightning load only when they are needed.
    from HiDiffRefineLib.training.config import read_config
    from HiDiffRefineLib.training.tasks import train

    config = read_config(options.config, options.set)
    if options.pack:
        _pack(config, options.pack)
        return
    if options.install:
        from safetensors.torch import load_file

        from HiDiffRefineLib.bundles import load_bundle, write_weights

        weights = Path(config.output) / "weights.safetensors"
        if not weights.is_file():
            raise ConfigError(f"There are no weights {weights}.", "Train first.")
        key = NETWORK_OF.get(config.task, config.task)
        write_weights(load_bundle(config.bundle).folder, key, load_file(weights))
        return
    train(config)


def _pack(config, folder: Path) -> None:
    """Packs a folder of cases, or of label maps alone, into the configuration's archive."""
    from HiDiffRefineLib.bundles.bundle import load_bundle
    from HiDiffRefineLib.training.cases import read_folder, save_cases
    from HiDiffRefineLib.training.head_maps import read_head_maps, save_head_maps

    archive, bundle = Path(config.cases[0]), load_bundle(config.bundle)
    if config.synthetic:
        save_head_maps(archive, read_head_maps(folder, bundle))
    else:
        save_cases(archive, read_folder(folder, bundle.settings["intensity"]))
