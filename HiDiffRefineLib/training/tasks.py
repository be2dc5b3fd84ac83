"""What can be trained, by the name that a configuration gives it."""

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.training.collaborate import train_collaboration
from HiDiffRefineLib.training.config import TrainConfig
from HiDiffRefineLib.training.dssm import train_dssm
from HiDiffRefineLib.training.edits import train_edits
from HiDiffRefineLib.training.refiner import train_refiner
from HiDiffRefineLib.training.segmentor import train_segmentor
from HiDiffRefineLib.training.synthetic import train_synthetic

TASKS = {
    "segmentor": train_segmentor,
    "dssm": train_dssm,
    "plain_refiner": train_refiner,
    "refiner": train_refiner,
    "edits": train_edits,
    "plain_edits": train_edits,
    "collaborate": train_collaboration,
}


def train(config: TrainConfig) -> None:
    """Trains what a configuration asks for.

    Raises:
        ConfigError: there is no such task.
    """
    if config.task not in TASKS:
        raise ConfigError(f"There is no training task '{config.task}'.", f"Choose one of {', '.join(TASKS)}.")
    # A segmentor of synthetic images has the bundle's network, not its data.
    (train_synthetic if config.synthetic else TASKS[config.task])(config)
