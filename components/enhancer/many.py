"""Many wishes at once, where one by one would take too long: the same guards, with answers written in batches."""

from collections.abc import Callable, Mapping, Sequence

from components.enhancer.guards import ATTEMPTS, Enhanced, enhance

WriteMany = Callable[[Sequence[str], int], Sequence[str]]
"""From user messages and a seed to an answer for each, which must not depend on the others."""


def enhance_many(wishes: Sequence[str], width: int, height: int, write_many: WriteMany, seed: int) -> list[Enhanced]:
    """What `enhance` makes of each wish, in order; `write_many` is called once for each attempt."""
    answers: dict[tuple[str, int], str] = {}
    for at in range(seed, seed + ATTEMPTS):
        asked = (_unanswered(wish, width, height, answers, seed) for wish in wishes)
        messages = list(dict.fromkeys(message for message in asked if message))
        if messages:
            texts = write_many(messages, at)
            answers |= {(message, at): text for message, text in zip(messages, texts, strict=True)}
    return [enhance(wish, width, height, lambda message, at: answers[message, at], seed) for wish in wishes]


def _unanswered(wish: str, width: int, height: int, answers: Mapping[tuple[str, int], str], seed: int) -> str:
    """The first message about the wish that its guards want an answer to and that has none yet, "" if all have."""
    waiting: list[str] = []

    def write(message: str, at: int) -> str:
        if (message, at) not in answers:
            waiting.append(message)
        return answers.get((message, at), "")

    enhance(wish, width, height, write, seed)
    return waiting[0] if waiting else ""
