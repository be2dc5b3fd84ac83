"""Writing measured figures into their bundle: metadata for programs, model card for people."""

import datetime
from pathlib import Path

from HiDiffRefineLib.bundles import Bundle, load_bundle, update_settings
from HiDiffRefineLib.errors import BundleError, ConfigError
from HiDiffRefineLib.evaluation.hint_table import HINT_ROWS, markdown_hint_table
from HiDiffRefineLib.evaluation.table import markdown_table
from HiDiffRefineLib.volumes.new_files import write_whole

_CARD = "docs/README.md"
# What a hint table is told from others by. A new measurement of the same takes the old one's place.
_SETUP = ("data", "prior", "robot")
# Sessions that start at the same mean Dice, but for what devices make of it, start from the same masks.
_SAME_DICE = 0.002
_GIVERS = {
    "click": "clicks at the deepest point of the largest error",
    "jitter": "clicks up to 5 mm off the deepest point of the largest error",
    "random": "clicks at any point of the largest error",
    "off": "clicks up to 3 voxels off the deepest point of the largest error, in it or not",
    "scribble": "scribbles along the middle of the largest error",
}
_STARTS = {
    "segmentor": "the segmentor's masks",
    "empty": "nothing",
    "coarse": "ellipsoids at the structures' places",
}


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
    _parted(bundle, "validation")
    validation = {"split": split, "date": _today(), "command": command}
    validation |= {"cases": result["cases"], "rows": result["rows"]}
    update_settings(bundle.folder, validation=validation)
    _replace(bundle, "validation", f"{split}\n`{command}`, {_today()}.\n\n{markdown_table(result)}")


def record_dssm(folder: str | Path, result: dict, split: str, command: str) -> None:
    """Enters an evaluation of DSSM; arguments and errors as `record_validation`."""
    bundle = load_bundle(folder)
    _parted(bundle, "dssm")
    validation = {"split": split, "date": _today(), "command": command}
    validation |= {key: value for key, value in result.items() if key not in ("bundle", "left_out")}
    update_settings(bundle.folder, dssm={**bundle.settings.get("dssm", {}), "validation": validation})
    _replace(bundle, "dssm", f"{split}\n`{command}`, {_today()}.\n\n{markdown_table(result)}")


def record_hints(folder: str | Path, result: dict, split: str, command: str) -> None:
    """Enters the robot user's table into any bundle, beside those of other data, priors and robots.

    Args:
        result: holds "cases", "hints" and "hints_setup" of `evaluate_hints`. Others: see `record_validation`.

    Raises:
        BundleError: the result does not fit the schema, or the card has no place for it.
    """
    bundle = load_bundle(folder)
    table = {"split": split, "date": _today(), "commands": [command], "cases": result["cases"]}
    table |= {"setup": result["hints_setup"], "rows": result["hints"]}
    tables = bundle.settings.get("hints", [])
    others = [one for one in tables if any(one["setup"][key] != table["setup"][key] for key in _SETUP)]
    _write_hints(bundle, [*others, table])


def add_to_hints(folder: str | Path, result: dict, command: str) -> None:
    """Adds rows of other tools to the bundle's table of the very same sessions.

    Args:
        result: holds "cases", "hints" and "hints_setup". Its prior may be a folder of the masks that were the
            segmentor's there. A row that the table has already, such as "ball", stays.

    Raises:
        ConfigError: the bundle has no table of these cases, from these masks, with these hints.
        BundleError: as for `record_hints`.
    """
    bundle = load_bundle(folder)
    tables = bundle.settings.get("hints", [])
    for n, table in enumerate(tables):
        if _same_sessions(table, result):
            rows = result["hints"] | table["rows"]
            table = table | {"rows": {name: rows[name] for name in HINT_ROWS if name in rows}}
            table["commands"] = [*(one for one in table["commands"] if one != command), command]
            _write_hints(bundle, [*tables[:n], table, *tables[n + 1 :]])
            return
    raise ConfigError(
        f"The bundle '{bundle.name}' has no table of the sessions that these figures are of.",
        "Record `evaluate --hints` with the same cases, prior, robot and number of hints first.",
    )


def _same_sessions(table: dict, result: dict) -> bool:
    ours, theirs = table["setup"], result["hints_setup"]
    if table["cases"] != result["cases"] or any(ours[k] != theirs[k] for k in ("robot", "count", "pairs")):
        return False
    first, other = (next(iter(rows.values()))["dice"]["0"] for rows in (table["rows"], result["hints"]))
    return abs(first - other) <= _SAME_DICE


def _write_hints(bundle: Bundle, tables: list[dict]) -> None:
    _parted(bundle, "hints")
    update_settings(bundle.folder, hints=tables)
    _replace(bundle, "hints", "\n".join(map(_hint_section, tables)))


def _hint_section(table: dict) -> str:
    setup, commands = table["setup"], "\n".join(table["commands"])
    start = _STARTS.get(setup["prior"], f"the masks '{setup['prior']}'")
    told = (
        f"**{setup['data']}, from {start}**: up to {setup['count']} {_GIVERS[setup['robot']]};"
        f" {setup['pairs']} structures in {len(table['cases'])} cases. {table['split']}"
        f" {setup['steps']} reverse steps, seconds on {setup['device']} (other tools: CPU), {table['date']}."
    )
    return f"{told}\n\n{markdown_hint_table(table['rows'])}\n```\n{commands}\n```\n"


def _parted(bundle: Bundle, section: str) -> tuple[str, str]:
    """The model card without what a section holds: up to its opening line, and from its closing line on."""
    begin, end = f"<!-- {section}: begin -->\n", f"<!-- {section}: end -->"
    try:
        before, rest = (bundle.folder / _CARD).read_text(encoding="utf-8").split(begin)
        _, after = rest.split(end)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"{_CARD} of the model bundle '{bundle.name}' has no place for {section} figures.",
            f"Add the lines {begin.strip()} and {end}, once each.",
        ) from error
    return before + begin, end + after


def _replace(bundle: Bundle, section: str, text: str) -> None:
    write_whole(bundle.folder / _CARD, text.join(_parted(bundle, section)).encode())


def _today() -> str:
    return datetime.date.today().isoformat()
