"""Whether hints belong to the segment, as names say it: of points, lists, segments and files."""

import re
import unicodedata
from collections.abc import Iterable

from HiDiffRefineLib.errors import HintError

# Whole words, in the languages of most hospitals; letter by letter, so a plural has its own entry.
_WORDS = {
    True: """pos positive positives positivity positiv positiver positif positifs positiva positivas positivo
        positivos positivi positief positieve positivni pozitif pozytywny pozytywne pozytywna dodatni dodatnie
        pozitivni pozitiv положительный положительные положительная позитивный позитивные
        θετικο θετικα θετικος positivt positivan positiivinen положительно ポジティブ vordergrund
        foreground fg plus include included inside add 正""",
    False: """neg negative negatives negativity negativ negativer negatif negatifs negativa negativas negativo
        negativos negativi negatief negatieve negativni negatywny negatywne negatywna ujemny ujemne
        отрицательный отрицательные отрицательная негативный негативные αρνητικο αρνητικα αρνητικος
        negativt negativan negatiivinen отрицательно ネガティブ hintergrund
        background bg minus exclude excluded outside remove erase subtract 负 負""",
}
# Languages that write no spaces: anywhere in a word.
_PARTS = {True: ("阳性", "陽性", "양성"), False: ("阴性", "陰性", "음성")}
# Beside one of these it may be meant either way: a false positive is where a mask should not be.
_NOT = """not no non nicht kein keine pas nao nie niet ikke inte не
    false falsch falsche faux fausse falso falsa falsos falsas vals falsk fałszywy ложный"""
_SIGNS = {"+": True, "＋": True, "−": False, "–": False, "-": False, "－": False, "﹣": False}
_ANY = "".join(map(re.escape, _SIGNS))
_SIGN = re.compile(rf"^\s*([{_ANY}])(?=\s|$)|([{_ANY}])\s*$|[(\[{{]\s*([{_ANY}])\s*[)\]}}]|(−)")
# What Slicer and file systems append: HiDiffRefine −-3, HiDiffRefine +_1, hints (2).
_NUMBER = re.compile(r"(?<=.)(?:[-_ ]\d+|\s*\(\d+\))$")
_EXTENSION = re.compile(
    r"(?:\.mrk)?\.json$|(?:\.seg)?\.n(?:rrd|hdr)$|\.nii(?:\.gz)?$|\.mh[ad]$", re.IGNORECASE
)
# Which do not come apart into a letter and its accent.
_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ß": "ss"})
# Letters of one word: promptPos and PROMPTPos are two, POSTERIOR is one.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")


def said_by(name: str) -> set[bool]:
    """What a name says of hints: {True} positive, {False} negative, both or nothing.

    It says it by a word in any letter case ("positive", "NEG-3", "promptPos", "négatif"), or by a sign at its
    beginning or end ("HiDiffRefine −", "+ stroke"), which the numbers of 3D Slicer may follow. A word with a
    "not" or a "false" says both: nobody can tell.
    """
    name = _NUMBER.sub("", _title(name.strip()))
    plain = _plain(name)
    words = [word.casefold() for word in _WORD.findall(plain)]
    said = {sign for sign, known in _KNOWN.items() if known.intersection(words)}
    said |= {sign for sign, parts in _PARTS.items() if any(_plain(part) in plain for part in parts)}
    if said and _CONTRARY.intersection(words):
        return {True, False}
    return said | {_SIGNS[next(filter(None, found))] for found in _SIGN.findall(name)}


def _title(name: str) -> str:
    """Of a file: without its folder and its extension."""
    return _EXTENSION.sub("", re.split(r"[/\\]", name)[-1])


def _plain(text: str) -> str:
    """Letters without accents."""
    letters = unicodedata.normalize("NFKD", text).translate(_LETTERS)
    return "".join(c for c in letters if not unicodedata.combining(c))


_KNOWN = {sign: set(_plain(words).casefold().split()) for sign, words in _WORDS.items()}
_CONTRARY = set(_plain(_NOT).casefold().split())


class Signs:
    """What the user has told of lists, segments and files of hints, beside what their names say.

    Args:
        positive, negative: names of those whose hints belong to the segment, or don't.

    Raises:
        HintError: a name is told to be both.
    """

    def __init__(self, positive: Iterable[str] = (), negative: Iterable[str] = ()):
        self._told = dict.fromkeys(map(_title, positive), True)
        for name in map(_title, negative):
            if self._told.get(name):
                raise HintError(f"'{name}' is told to be positive and negative.", "Tell one of them.")
            self._told[name] = False
        self.unused = set(self._told)

    def of(self, *names: str, default: bool | None = None) -> bool:
        """Whether hints are positive: what was told of one of their names, else what the nearest one says.

        Args:
            names: nearest first, for instance of the point, its list and the file.
            default: where no name says anything.

        Raises:
            HintError: the nearest name that says something says both, or none says anything.
        """
        for name in map(_title, names):
            if name in self._told:
                self.unused.discard(name)
                return self._told[name]
        said = next(filter(None, map(said_by, names)), set())
        if len(said) == 1:
            return said.pop()
        if not said and default is not None:
            return default
        name = next((name for name in names if name and said_by(name) == said), "")
        how = "both positive and negative" if said else "neither positive nor negative"
        raise HintError(
            f"'{name}' says {how}.",
            "Put positive or negative (or + or −) into the name of the list, the segment or the file, or tell"
            " it: --positive NAME or --negative NAME.",
        )

    def check_used(self) -> None:
        """Refuses (HintError) what was told of names that no list, segment or file has."""
        if self.unused:
            raise HintError(
                f"No list, segment or file of hints is called '{min(self.unused)}'.", "Check the spelling."
            )
