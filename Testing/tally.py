"""What broken and odd inputs come to: read, refused in a sentence, or wrong."""

import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from HiDiffRefineLib.errors import HiDiffRefineError, is_memory_full


def trials(default: int) -> int:
    """How many inputs of a kind a test takes: HIDIFF_BROKEN says it for all kinds."""
    return int(os.environ.get("HIDIFF_BROKEN", default))


@dataclass
class Tally:
    """Of one kind of input.

    Args:
        read: inputs of which something was taken.
        refused: those of which every use ended in a sentence.
        wrong: one line for each thing that was wrong.
    """

    read: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.read + self.refused

    def take(self, name: str, *uses: Callable[[], object]) -> bool:
        """Counts an input after everything that may be asked of it; whether nothing was wrong."""
        before, took = len(self.wrong), False
        for use in uses:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    use()
                took = True
            except HiDiffRefineError as error:
                if not is_sentence(error):
                    self.wrong.append(f"{name}: {error.message!r} {error.remedy!r}")
            except Exception as error:
                # The command line has a sentence for a size that no memory holds.
                if not is_memory_full(error):
                    self.wrong.append(f"{name}: {type(error).__name__} {error}")
        self.read += took
        self.refused += not took
        return len(self.wrong) == before

    def as_dict(self) -> dict:
        """For another process."""
        return asdict(self)


def is_sentence(error: HiDiffRefineError) -> bool:
    """Whether a refusal is one line that ends as sentences do, with a remedy."""
    text = error.message
    ended = text.rstrip().endswith((".", ")", "!", "?")) or ":" in text
    return bool(error.remedy) and ended and "Errno" not in text and "\n" not in text


def content_of(path: Path) -> dict[Path, bytes | None]:
    """All files of a folder, or a file: what is read must be the same afterwards."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    return {one: one.read_bytes() if one.is_file() else None for one in paths}
