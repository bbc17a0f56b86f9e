"""Settings of preferences, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass
from typing import Literal

Curriculum = Literal["none", "easy_first", "moderate_first"]
Layout = Literal["pickapic", "hpd", "plain"]
JudgeName = Literal["alignment", "aesthetic_proxy", "lettering"]
JudgeWeights = dict[JudgeName, float]
"""How much each judge counts, 0 or more; a judge that is not named is not asked."""


@dataclass(frozen=True)
class PairRules:
    """Which pairs are made of judged images, in which order, and which prompts are held out.

    Pairs of margin 0 or below `min_margin` are ties and dropped, and those above `max_margin` (None: no limit), in
    units of the judge. A prompt gives at most `pairs_per_prompt` pairs. `heldout_prompt_frac` of the prompts, chosen by
    a hash seeded with `seed`, are held out with all their pairs. `curriculum` is the order of the pairs by margin.
    """

    min_margin: float
    max_margin: float | None
    pairs_per_prompt: int
    curriculum: Curriculum
    heldout_prompt_frac: float
    seed: int

    def __post_init__(self) -> None:
        if not self.min_margin >= 0 or (self.max_margin is not None and not self.max_margin > self.min_margin):
            raise ValueError(
                f"margins are {self.min_margin} to {self.max_margin}; allowed: 0 <= min_margin < max_margin, or null"
            )
        if self.pairs_per_prompt < 1:
            raise ValueError(f"pairs_per_prompt is {self.pairs_per_prompt}; allowed: 1 or more")
        if not 0 < self.heldout_prompt_frac < 1:
            raise ValueError(f"heldout_prompt_frac is {self.heldout_prompt_frac}; allowed: above 0, below 1")
