"""Reading metadata.json: JSON, then schema.json, then the rules a JSON schema cannot say."""

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from HiDiffRefineLib.errors import BundleError

if TYPE_CHECKING:
    import jsonschema

METADATA_FILE = "configs/metadata.json"
_REMEDY = "Install the bundle again, or mend its configs/metadata.json."
# A manifest of 13 organs with its figures is 15 kB; far larger is not a manifest.
_MAX_METADATA_BYTES = 1 << 20


def read_metadata(folder: Path) -> dict:
    """The checked content of a bundle folder's metadata.json.

    Raises:
        BundleError: no such file, no JSON, or a field that is missing, unknown or wrong.
    """
    path = folder / METADATA_FILE
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_METADATA_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise BundleError(
            f"The model bundle '{folder.name}' cannot be read: {METADATA_FILE}: {reason}.",
            "Check the folder, or install the bundle again.",
        ) from error
    if len(text) > _MAX_METADATA_BYTES:
        raise BundleError(
            f"{METADATA_FILE} of the model bundle '{folder.name}' is larger than 1 MiB.", _REMEDY
        )
    _check_text(text, folder.name)
    return json.loads(text)


@lru_cache(maxsize=16)
def _check_text(text: bytes, bundle: str) -> None:
    """`check_metadata` of a file's content, once: figures make it 10 ms, and sessions open often."""
    try:
        metadata = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{METADATA_FILE} of the model bundle '{bundle}' is not valid JSON ({error}).", _REMEDY
        ) from error
    check_metadata(metadata, bundle)


def check_metadata(metadata: object, bundle: str) -> None:
    """Refuses metadata that the rest of the library could not rely on.

    Args:
        metadata: parsed metadata.json.
        bundle: the bundle's name, for the message.

    Raises:
        BundleError: names the bundle and the first field at fault.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(metadata))
    fault = _schema_fault(error) if error else _rule_fault(metadata["hidiffrefine"])
    if fault:
        raise BundleError(f"{METADATA_FILE} of the model bundle '{bundle}' {fault}.", _REMEDY)


@cache
def _validator() -> "jsonschema.Draft202012Validator":
    import jsonschema  # when a manifest is read: networks and edits run where it is not installed

    schema = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _refuse_constant(name: str) -> None:
    # Python's json takes NaN and Infinity, which pass every "minimum" of a schema.
    raise ValueError(f"{name} is not a JSON number")


def _schema_fault(error: "jsonschema.ValidationError") -> str:
    """One clause that says which field breaks the schema and how."""
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"lacks the field '{'.'.join(filter(None, [place, missing[0]]))}'"
    if error.validator == "additionalProperties":
        unknown = [name for name in error.instance if name not in error.schema["properties"]]
        return f"has the unknown field '{'.'.join(filter(None, [place, unknown[0]]))}'"
    if error.validator == "not":  # "absent" in schema.json
        return f"has the field '{place}', which does not belong to this kind of bundle"
    message = error.message if len(error.message) <= 200 else f"{error.message[:200]}…"
    return f"has a wrong value in '{place or 'the whole file'}': {message}"


def _rule_fault(settings: dict) -> str | None:
    """One clause about the first broken rule between fields, or None."""
    unnamed = set(settings["weights"]) - set(settings["networks"])
    if unnamed:
        return f"has weights '{min(unnamed)}' without a network of that name"
    if settings["kind"] == "refiner":
        if settings["steps"] > settings["chain"]["T"]:
            return f"asks for {settings['steps']} steps of a chain of {settings['chain']['T']}"
        return None
    if settings["intensity"]["low"] >= settings["intensity"]["high"]:
        return "has an intensity rule whose low end is not below its high end"
    for field in ("value", "name"):
        values = [label[field] for label in settings["labels"]]
        if len(set(values)) < len(values):
            return f"has two labels of the same {field}"
    return None
