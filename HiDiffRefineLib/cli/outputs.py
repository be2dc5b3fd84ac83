"""Files that a command will write: refused before the long work, and written without a traceback."""

import json
from collections.abc import Sequence
from pathlib import Path

from HiDiffRefineLib.errors import ConfigError, VolumeError
from HiDiffRefineLib.volumes.new_files import write_whole


def check_distinct(inputs: Sequence[Path], outputs: Sequence[Path | None]) -> None:
    """Refuses outputs that would overwrite an input or one another; None stands for no output."""
    seen = [path.resolve() for path in inputs]
    for output in filter(None, outputs):
        if output.resolve() in seen:
            raise ConfigError(
                f"'{output}' would overwrite another file of this command.", "Choose another name."
            )
        seen.append(output.resolve())


def write_json(path: Path, content: dict) -> None:
    """Writes figures, which have been printed by then, so that a full disk loses none."""
    write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def check_complete(result: dict) -> None:
    """Refuses (VolumeError) figures that lack cases, when those of the others are written; ends a Ctrl+C."""
    if result.get("stopped"):
        raise KeyboardInterrupt
    if result["left_out"]:
        names = list(result["left_out"])
        cases = f"{len(names)} case{'s' if len(names) > 1 else ''}"
        raise VolumeError(f"The figures lack {cases}: {', '.join(names)}.", "See the warnings.")
