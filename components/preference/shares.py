"""Which images of a set an annotator plays with: a share of her own, and a few that all share, to see if they agree."""

from collections.abc import Sequence

import numpy as np


def share_of(
    images: Sequence[str], annotators: Sequence[str], annotator: str, shared_frac: float, seed: int
) -> list[str]:
    """The images of one of several annotators, in their own order: `shared_frac` of all (2 or more), and her own.

    Every image is somebody's, the shared ones are everybody's, and own shares differ by one at most. Who gets what
    follows from `seed` and the order of `annotators`. Alone, she gets all of them.
    """
    if annotator not in annotators or len(set(annotators)) < len(annotators):
        raise ValueError(f"annotators are {', '.join(annotators)}; allowed: different ones, {annotator} among them")
    if not 0 <= shared_frac <= 1:
        raise ValueError(f"shared_frac is {shared_frac}; allowed: 0 to 1")
    order = np.random.default_rng(seed).permutation(len(images))
    num_shared = min(len(images), max(2, round(shared_frac * len(images))))
    shared, rest = order[:num_shared].tolist(), order[num_shared:].tolist()
    own: list[int] = rest[list(annotators).index(annotator) :: len(annotators)]
    return [images[place] for place in sorted([*shared, *own])]
