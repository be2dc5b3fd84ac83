"""Ways to damage a file: its bytes, or a value of its JSON."""

import random

# Most of what can go wrong stands in the header.
HEADER = 600
# What means something somewhere: infinity, NaN, huge and negative numbers, Latin-1, words of the formats.
WORDS = [
    b"\0\0",
    b"\xff\xff",
    b"\0\0\x80\x7f",
    b"\0\0\xc0\x7f",
    *(
        word.encode("latin-1")
        for word in ["-1", "nan", "1e40", "99999999999", "é", "0", "none", '"', "true", "null", "[]", "{}"]
    ),
    b"\n",
]
# What may stand in any field of JSON, huge and negative numbers and other types among it.
VALUES = [None, True, 0, 1, -1, 7, 2.5, 1e300, 10**30, "", "x", "é\0", "../..", [], [1], [[]], {}, {"a": 1}]


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, taken out, put in, swapped or cut off."""
    content = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 10])):
        if not content:
            break
        end = min(len(content), HEADER) if chance.random() < 0.85 else len(content)
        place, way = chance.randrange(end), chance.randrange(6)
        if way == 0:
            content[place] = chance.randrange(256)
        elif way == 1:
            del content[place : place + chance.randrange(1, 20)]
        elif way == 2:
            content[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 6)))
        elif way == 3:
            content = content[:place]
        elif way == 4:
            word = chance.choice(WORDS)
            content[place : place + len(word)] = word
        else:
            other = chance.randrange(len(content))
            content[place : place + 8] = content[other : other + 8]
    return bytes(content)


def change_a_value(part: dict, chance: random.Random) -> None:
    """One value somewhere in a part of a JSON becomes another, or goes."""
    places = []

    def walk(node) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(part)
    node, key = chance.choice(places)
    if chance.random() < 0.2:
        del node[key]
    else:
        node[key] = chance.choice(VALUES)
