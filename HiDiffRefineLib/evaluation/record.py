"""Writing a measured evaluation into its bundle: metadata for programs, model card for people."""

import datetime
from pathlib import Path

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.evaluation.table import markdown_table

_CARD = "docs/README.md"
_BEGIN, _END = "<!-- validation: begin -->", "<!-- validation: end -->"


def record_validation(folder: str | Path, result: dict, split: str, command: str) -> None:
    """Enters an evaluation into a segmentor bundle's metadata.json and into its model card.

    Args:
        folder: the bundle's folder.
        result: of `build_result`, on cases that the evaluated weights have not seen.
        split: in words, which cases these are and what the weights were trained on.
        command: what to run to get the figures again.

    Raises:
        BundleError: the result does not fit the schema, or the card has no place for it.
    """
    bundle = load_bundle(folder)
    card = bundle.folder / _CARD
    try:
        before, rest = card.read_text(encoding="utf-8").split(_BEGIN)
        _, after = rest.split(_END)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{_CARD} of the model bundle '{bundle.name}' has no place for validation figures.",
            f"Add the lines {_BEGIN} and {_END}, once each.",
        ) from error
    date = datetime.date.today().isoformat()
    validation = {"split": split, "date": date, "command": command}
    validation |= {"cases": result["cases"], "rows": result["rows"]}
    update_settings(bundle.folder, validation=validation)
    section = f"{_BEGIN}\n{split}\n`{command}`, {date}.\n\n{markdown_table(result)}{_END}"
    card.write_text(before + section + after, encoding="utf-8")
