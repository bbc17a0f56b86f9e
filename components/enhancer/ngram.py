"""What a language model must beat: a trigram over the same tokens, trained on the same pairs.

Interpolated Kneser-Ney with one discount per order; below it all lies the uniform distribution over the vocabulary.
Source: Kneser and Ney 1995; Chen and Goodman 1999, section 2.7 (interpolation).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

ORDER = 3


class Trigram:
    """Probabilities of a token after the two before it, from the texts given: tokens, as many as `vocab_size`."""

    def __init__(self, texts: Iterable[Sequence[int]], vocab_size: int) -> None:
        counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(ORDER)]
        for text in texts:
            counts[-1].update(tuple(text[at - ORDER + 1 : at + 1]) for at in range(ORDER - 1, len(text)))
        for order in reversed(range(ORDER - 1)):  # below the highest order it counts how many contexts there are
            counts[order].update(gram[1:] for gram in counts[order + 1])
        self._vocab_size, self._counts = vocab_size, counts
        self._discounts = [_discount(count) for count in counts]
        self._totals, self._kinds = (
            [Counter[tuple[int, ...]]() for _ in counts],
            [Counter[tuple[int, ...]]() for _ in counts],
        )
        for order, count in enumerate(counts):
            for gram, number in count.items():
                self._totals[order][gram[:-1]] += number
                self._kinds[order][gram[:-1]] += 1

    def probability(self, token: int, before: Sequence[int]) -> float:
        """Of `token` after `before`, of which the last two count; over all tokens they sum to 1."""
        found = 1 / self._vocab_size
        for order in range(ORDER):
            context = tuple(before[len(before) - order :]) if order else ()
            total = self._totals[order][context]
            if len(context) < order or not total:
                break
            discount = self._discounts[order]
            kept = max(self._counts[order][(*context, token)] - discount, 0.0)
            found = (kept + discount * self._kinds[order][context] * found) / total
        return found

    def perplexity(self, texts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> float:
        """Of the second parts of the texts, each after its first: exp of the mean of -log p, in nats."""
        losses = list[float]()
        for before, said in texts:
            whole = [*before, *said]
            losses += [-math.log(self.probability(whole[at], whole[:at][-2:])) for at in range(len(before), len(whole))]
        return math.exp(sum(losses) / len(losses))


def _discount(counts: Counter[tuple[int, ...]]) -> float:
    """What is taken off each count: n1 / (n1 + 2 n2) with the numbers of grams seen once and twice."""
    once, twice = (sum(number == times for number in counts.values()) for times in (1, 2))
    return once / (once + 2 * twice) if once else 0.5
