"""Configuration of the pairs that an enhancer learns from: frozen, torch-free, standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WishMix:
    """What is wished for, beside the image's own subject and style.

    Args:
        styled_frac: share of wishes that name the image's style.
        max_themes: tags told beyond the subject, at most.
        max_keywords: tags that the description tells, at most; those of the wish among them.
        count_frac: of wishes for one countable thing, the share that asks for a number of them.
        colour_frac: the same, for a colour.
        second_frac: the same, for another thing beside it, in a number or colour of its own.
        quoted_frac: of those for just one, the share that asks for words to be legible on it.
        negation_frac: of wishes, the share that rules something out.
    """

    styled_frac: float
    max_themes: int
    max_keywords: int
    count_frac: float
    colour_frac: float
    second_frac: float
    quoted_frac: float
    negation_frac: float

    def __post_init__(self) -> None:
        """ValueError for a share that is none, or for themes that the description could not tell."""
        counted = (self.count_frac, self.colour_frac, self.second_frac)
        shares = (self.styled_frac, *counted, self.quoted_frac, self.negation_frac)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares of wishes are {shares}; allowed: 0 to 1")
        if not 0 <= self.max_themes <= self.max_keywords:
            raise ValueError(
                f"max_themes is {self.max_themes}; allowed: 0 to max_keywords ({self.max_keywords}), "
                "for a description tells what the wish tells"
            )
