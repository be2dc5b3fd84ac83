"""Names that say whether hints are positive, and what is told beside them."""

import pytest

from HiDiffRefineLib.errors import HintError
from HiDiffRefineLib.hints.naming import list_name
from HiDiffRefineLib.hints.signs import Signs, said_by

POSITIVE = """positive-1 PromptPositive POSITIVE Positive_2 my_pos_points pos positiv Positifs POSITIVO
    positivos positief pozytywne pozitivní положительные θετικά positivt ポジティブ 阳性
    陽性点 양성 正 foreground.nii.gz add plus liver+ click+.mrk.json positive(2) hints(+)"""
NEGATIVE = """negative-1 NegPoints NEG-3 negatives.mrk.json negativ négatif négatifs NÉGATIVE negativo
    negativa ujemne negativní отрицательный αρνητικά negativan ネガティブ
    Hintergrund 阴性 陰性 음성 負 Background.seg.nrrd remove minus click-.mrk.json hints− hints–"""
NOTHING = """position POSTERIOR POSITION COMPOSED NEGLECT RENEGADE compost opposite exposed F-1 T1-2 case-1-2
    segment_3 -1 hints.mrk.json expose Nego postpositivist"""


@pytest.mark.parametrize(
    "names, said", [(POSITIVE, {True}), (NEGATIVE, {False}), (NOTHING, set())], ids=["+", "-", "0"]
)
def test_what_single_words_say(names, said):
    wrong = {name: found for name in names.split() if (found := said_by(name)) != said}
    assert not wrong


@pytest.mark.parametrize(
    "name, said",
    [
        ("my negatives.mrk.json", {False}),
        ("positive and negative", {True, False}),
        ("not negative", {True, False}),
        ("nicht positiv", {True, False}),
        ("no positivo", {True, False}),
        ("não positivo", {True, False}),
        ("nie dodatni", {True, False}),
        ("не отрицательный", {True, False}),
        ("false positives", {True, False}),
        ("FalseNegative-1", {True, False}),
        ("faux positif", {True, False}),
        ("falsch negativ", {True, False}),
        ("fałszywy pozytywny", {True, False}),
        ("no 7", set()),
        ("compost heap", set()),
        ("liver - right lobe", set()),
        ("liver + spleen", set()),
        ("+ stroke", {True}),
        ("− stroke", {False}),
        ("- stroke", {False}),
        ("positive −", {True, False}),
        ("ne\u0301gatif", {False}),  # as macOS writes file names
        ("", set()),
    ],
)
def test_what_names_of_several_words_say(name, said):
    assert said_by(name) == said


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("more", ["", "-1", "-12", "_1", ".mrk.json", " (2).mrk.json"])
def test_the_modules_own_names_say_it(positive, more):
    assert said_by(list_name(positive) + more) == {positive}


def test_the_nearest_name_that_says_something_decides():
    assert Signs().of("F-1", "negative", "positive.mrk.json") is False
    assert Signs().of("F-1", "", "positive.mrk.json") is True
    assert Signs().of("F-1", default=True) is True


def test_what_says_both_or_nothing_is_refused():
    with pytest.raises(HintError, match="'pos or neg' says both positive and negative") as caught:
        Signs().of("F-1", "pos or neg", "positive")
    assert "--positive NAME" in caught.value.remedy
    with pytest.raises(HintError, match="'F-1' says neither positive nor negative"):
        Signs().of("F-1", "F", "hints.mrk.json")
    with pytest.raises(HintError, match="both"):
        Signs().of("pos or neg", default=True)


def test_what_is_told_counts_whatever_names_say():
    signs = Signs(["negative", "folder/hints.mrk.json"], ["F"])
    assert signs.of("negative-1", "negative") is True
    assert signs.of("positive-1", "F", "hints.mrk.json") is False
    assert signs.of("F-1", "hints.mrk.json") is True
    signs.check_used()
    with pytest.raises(HintError, match="is called 'lost'"):
        Signs(["lost"]).check_used()
    with pytest.raises(HintError, match="'a' is told to be positive and negative"):
        Signs(["a.mrk.json"], ["a"])
