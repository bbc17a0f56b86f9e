"""How well an enhancer answers held-out wishes, as it answers and as it is used: behind its guards."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from components.data.captions import Language
from components.enhancer.examples import Pair
from components.enhancer.guards import Enhanced
from components.enhancer.intent import lost
from components.enhancer.language import language_of
from components.enhancer.many import WriteMany, enhance_many


@dataclass(frozen=True)
class Answered:
    """Shares of wishes, and how many times longer than the wishes the texts are in the mean.

    Args:
        intent_kept: nothing of the wish is lost in the text that is used.
        intent_kept_unguarded: nothing of it is lost in what the model answers first.
        right_language: the text that is used is in the language of the wish.
        length_ratio: the mean over both languages of mean lengths: in words, or characters of Chinese.
        fallback_share: the wish itself is used.
    """

    intent_kept: float
    intent_kept_unguarded: float
    right_language: float
    length_ratio: float
    fallback_share: float


def answer(pairs: Sequence[Pair], write_many: WriteMany, seed: int) -> tuple[list[Enhanced], list[str]]:
    """What the guards make of each pair's wish, and the model's first answer to it."""
    first = dict(zip([pair.message for pair in pairs], write_many([pair.message for pair in pairs], seed), strict=True))

    def remembered(messages: Sequence[str], at: int) -> Sequence[str]:
        return [first[message] for message in messages] if at == seed else write_many(messages, at)

    of_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        of_size[pair.width, pair.height].append(number)
    found: dict[int, Enhanced] = {}
    for (width, height), numbers in of_size.items():
        told = enhance_many([pairs[number].wish for number in numbers], width, height, remembered, seed)
        found |= dict(zip(numbers, told, strict=True))
    return [found[number] for number in range(len(pairs))], [first[pair.message] for pair in pairs]


def measured(pairs: Sequence[Pair], told: Sequence[Enhanced], first: Sequence[str]) -> Answered:
    """The figures of what `answer` gives."""
    asked: list[tuple[str, Language, Enhanced]] = [(one.wish, language_of(one.wish) or "en", one) for one in told]
    ratios = [
        sum(_length(one.text, language) for _, language, one in asked if language == this)
        / max(sum(_length(wish, language) for wish, language, _ in asked if language == this), 1)
        for this in sorted({language for _, language, _ in asked})
    ]
    return Answered(
        intent_kept=_mean([not lost(wish, one.text, language) for wish, language, one in asked]),
        intent_kept_unguarded=_mean(
            [not lost(wish, text, language) for (wish, language, _), text in zip(asked, first, strict=True)]
        ),
        right_language=_mean([language_of(one.text) == language for _, language, one in asked]),
        length_ratio=_mean(ratios),
        fallback_share=_mean([not one.was_enhanced for one in told]),
    )


def _length(text: str, language: str) -> int:
    return len(text.split()) if language == "en" else len("".join(text.split()))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
