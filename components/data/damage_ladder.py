"""Ten versions of each image, from as it is to hardly recognisable: tiers 10 to 1 of which the order is known.

These are PROXY labels: nobody judged anything. What learns from them ranks freedom from such damage, not taste.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import UInt8

from components.data.degradations import DEGRADATIONS, Images
from components.data.errors import DataError

TIERS = 10


def ladder(
    images_u8: UInt8[np.ndarray, "n h w 3"], kinds: Sequence[str], strengths: Sequence[float], seed: int
) -> list[UInt8[np.ndarray, "n h w 3"]]:
    """The images as they are, then with each of nine rising strengths of one kind of damage, the kinds taking turns.

    The noise follows from `seed`. DataError for a kind that there is not, or whose strengths do not all look different.
    """
    unknown = sorted(set(kinds) - set(DEGRADATIONS))
    if unknown or not kinds:
        raise DataError(f"kinds of damage are {list(kinds)}; allowed: some of {', '.join(DEGRADATIONS)}")
    if len(strengths) != TIERS - 1 or list(strengths) != sorted(set(strengths)):
        raise DataError(f"strengths are {list(strengths)}; allowed: {TIERS - 1} that rise, one for each tier below 10")
    versions = [images_u8, *(_damaged(images_u8, kinds, strength, seed) for strength in strengths)]
    for first, kind in enumerate(kinds):
        shown = [version[first :: len(kinds)] for version in versions]
        if any(len(one) and np.array_equal(one, other) for one, other in pairwise(shown)):
            raise DataError(f"{kind}: two of the strengths {list(strengths)} look the same; leave the kind out")
    return versions


def _damaged(images_u8: Images, kinds: Sequence[str], strength: float, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    out = images_u8.copy()
    for first, kind in enumerate(kinds):
        turn = slice(first, None, len(kinds))
        if len(out[turn]):
            out[turn] = DEGRADATIONS[kind](images_u8[turn], float(strength), rng)
    return out
