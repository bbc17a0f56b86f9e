"""Pairs in which rare words are others: what a wish names is then to be copied, for it can be known from nowhere.

A model that has seen each name a few times would learn the names; one that meets names at random learns to copy them.
Words that are in many wishes (colours, numbers, styles) mean something and stay.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence

from components.enhancer.examples import Pair

_NAMES = re.compile(r"[A-Za-z]{3,}|[\u3400-\u9fff]")
COMMON_FRAC = 0.02
"""A word in a larger share of the wishes is no name."""


def renamed(pairs: Sequence[Pair], frac: float, seed: int) -> list[Pair]:
    """The pairs; in a share `frac` of them, every name in both wish and description is another wish's name in both.

    English words are exchanged for such, Chinese characters for such. `seed` decides which pairs and which names.
    """
    draw = random.Random(seed)
    count = Counter(name for pair in pairs for name in sorted(set(_NAMES.findall(pair.wish))))
    names = [name for name in count if count[name] <= COMMON_FRAC * len(pairs)]
    pools = {kind: [name for name in names if name.isascii() == kind] for kind in (True, False)}
    return [_renamed(pair, set(names), pools, draw) if draw.random() < frac else pair for pair in pairs]


def _renamed(pair: Pair, names: set[str], pools: dict[bool, list[str]], draw: random.Random) -> Pair:
    in_both = set(_NAMES.findall(pair.wish)) & set(_NAMES.findall(pair.description)) & names
    others = {name: draw.choice(pools[name.isascii()]) for name in sorted(in_both)}

    def exchanged(text: str) -> str:
        return _NAMES.sub(lambda found: others.get(found[0], found[0]), text)

    return Pair(exchanged(pair.wish), pair.width, pair.height, exchanged(pair.description))
