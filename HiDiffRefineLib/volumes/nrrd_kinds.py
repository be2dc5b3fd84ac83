"""NRRD files whose header does not say what a further axis is for, which ITK refuses as if they were damaged.

Format: https://teem.sourceforge.net/nrrd/format.html#kinds
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from HiDiffRefineLib.volumes.packed import nrrd_header

_SPACE_DIRECTIONS = re.compile(rb"^space directions: *(.*)$", re.MULTILINE | re.IGNORECASE)
_AXES = re.compile(rb"none|\([^)]*\)", re.IGNORECASE)
_KINDS = re.compile(rb"^kinds: *(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_ELSEWHERE = re.compile(rb"^data ?file: *(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
# What ITK does not know as the kind of an axis that lies in no direction of space.
_UNKNOWN = (b"???", b"none", b"time", b"domain", b"space", b"unknown")


@contextmanager
def with_kinds(path: Path) -> Iterator[Path]:
    """A copy of a file with a further axis of no kind, in which it is a list; any other file as it is."""
    if path.suffix.lower() not in (".nrrd", ".nhdr"):
        yield path
        return
    header, start = nrrd_header(path)
    mended, elsewhere = _with_kinds(header), _ELSEWHERE.search(header)
    place = path.parent / elsewhere[1].decode("utf-8", "replace") if elsewhere else path
    if mended == header or not place.is_file():  # voxels in many files, or in none
        yield path
        return
    if elsewhere:
        # A header may name its voxels by any path.
        mended = mended.replace(elsewhere[0], f"data file: {place.absolute()}".encode())
    with TemporaryDirectory() as folder:
        new = Path(folder) / path.name
        with path.open("rb") as source, new.open("wb") as target:
            source.seek(start)
            target.write(mended.replace(b"\r\n", b"\n") + b"\n\n")
            shutil.copyfileobj(source, target, 1 << 20)
        yield new


def _with_kinds(header: bytes) -> bytes:
    """The header's lines, in which an axis of no direction in space is a list, unless ITK knows its kind."""
    found = _SPACE_DIRECTIONS.search(header)
    directions = _AXES.findall(found[1]) if found else []
    told = _KINDS.search(header)
    kinds = told[1].split() if told else [b"domain"] * len(directions)
    none = [direction.lower() == b"none" for direction in directions]
    if not any(none) or len(kinds) != len(directions):
        return header
    new = [
        b"list" if one and kind.lower() in _UNKNOWN else kind for one, kind in zip(none, kinds, strict=True)
    ]
    if told and new == kinds:
        return header
    line = b"kinds: " + b" ".join(new)
    return header[: told.start()] + line + header[told.end() :] if told else header + b"\n" + line
