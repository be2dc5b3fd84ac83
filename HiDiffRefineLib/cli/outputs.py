"""Files that a command will write: refused before the long work, and written without a traceback."""

import json
from collections.abc import Sequence
from pathlib import Path

from HiDiffRefineLib.errors import ConfigError
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
