"""Files that a command will write: refused before the long work, and written without a traceback."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from HiDiffRefineLib.errors import ConfigError
from HiDiffRefineLib.volumes.write import check_folder


def check_distinct(inputs: Sequence[Path], outputs: Sequence[Path | None]) -> None:
    """Refuses outputs that would overwrite an input or one another; None stands for no output."""
    seen = [path.resolve() for path in inputs]
    for output in filter(None, outputs):
        if output.resolve() in seen:
            raise ConfigError(
                f"'{output}' would overwrite another file of this command.", "Choose another name."
            )
        seen.append(output.resolve())


def check_json(path: Path | None) -> None:
    """Refuses a file of figures that could not be written; None stands for none."""
    if path is None:
        return
    check_folder(path)
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(
            f"'{path.name}' could not be written: you may not change it.", "Choose another name."
        )


def write_json(path: Path, content: dict) -> None:
    """Writes figures, which have been printed by then, so that a full disk loses none."""
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"'{path.name}' could not be written ({error.strerror}).", "Choose another folder."
        ) from error
