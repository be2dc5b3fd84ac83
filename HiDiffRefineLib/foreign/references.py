"""Plain values of a MONAI configuration, which is a stranger's: references are followed, no code is run."""

import json
import re
from pathlib import Path

from HiDiffRefineLib.errors import BundleError

# A configuration of the Model Zoo is 5 kB and asks for some hundred values.
_MAX_BYTES, _MAX_VALUES, _MAX_DEPTH = 1 << 20, 20_000, 60
# An expression that is nothing but a reference.
_BARE = re.compile(r"\$@[A-Za-z0-9_#:]+")
_SEPARATOR = re.compile(r"#|::")


class Configuration:
    """A configuration file of a bundle.

    Args:
        tree: the file's content.
        file: its name, for messages.
    """

    def __init__(self, tree: dict, file: str):
        self.tree, self.file = tree, file
        self._count = 0

    def find(self, *keys: str) -> object:
        """The content of the first of these entries that is there and is no expression; None if none is."""
        for key in keys:
            value = self.tree.get(key)
            expression = isinstance(value, str) and value.startswith("$") and not _BARE.fullmatch(value)
            if value is not None and not expression:
                return self.followed(value, key)
        return None

    def followed(self, value: object, place: str, depth: int = 0) -> object:
        """A value, or what it refers to; what is within it stays as it is.

        Raises:
            BundleError: an expression, or a reference that leads nowhere.
        """
        if not isinstance(value, str) or value[:1] not in ("$", "@", "%"):
            return value
        if _BARE.fullmatch(value):
            value = value[1:]
        if value[0] == "$":
            raise BundleError(
                f"{self.file} has the expression {value[:120]} at {place}, and expressions are not run.",
                "Write its value there.",
            )
        found: object = self.tree
        for part in _SEPARATOR.split(value[1:]):
            found = self.followed(found, place, depth + 1) if depth < _MAX_DEPTH else None
            if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, dict) and part in found:
                found = found[part]
            else:
                raise BundleError(
                    f"{self.file} refers at {place} to {value[:120]}, which is not there.",
                    "Write its value there.",
                )
        if depth >= _MAX_DEPTH:
            raise BundleError(f"{self.file} refers at {place} to {value[:120]} in a circle.", "Mend it.")
        return self.followed(found, place, depth + 1)

    def plain(self, value: object, place: str, depth: int = 0) -> object:
        """A value with all references in it followed.

        Raises:
            BundleError: as for `followed`, or more values than a configuration has.
        """
        self._count += 1
        if self._count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise BundleError(f"{self.file} has too many values at {place}.", "Shorten it.")
        value = self.followed(value, place)
        if isinstance(value, dict):
            return {str(key): self.plain(one, f"{place}.{key}", depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.plain(one, f"{place}.{n}", depth + 1) for n, one in enumerate(value)]
        if value is not None and not isinstance(value, (str, int, float, bool)):
            raise BundleError(
                f"{self.file} has a {type(value).__name__} at {place}.", "Write a number or text."
            )
        return value


def read_mapping(path: Path) -> dict:
    """The content of a .json or .yaml file that holds a mapping.

    Raises:
        BundleError: unreadable, too large, or no mapping.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError("it is larger than 1 MiB")
        tree = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{path.name} can't be read: {why}.", "Check the file.") from error
    if not isinstance(tree, dict):
        raise BundleError(f"{path.name} holds no mapping.", "Check the file.")
    return tree


def _yaml(text: bytes) -> object:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise BundleError("YAML can't be read without PyYAML.", "Install it: pip install pyyaml.") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(error) from error
