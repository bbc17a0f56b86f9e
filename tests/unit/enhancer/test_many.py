import json
from collections.abc import Sequence

from components.enhancer.guards import enhance
from components.enhancer.many import enhance_many

WISHES = ["a red apple", "a dog", "a red apple", "两个苹果", "🙂", "no text on a blue boat"]


def answer(message: str, seed: int) -> str:
    """Well described at once; only at the second try for dogs; never for boats."""
    wish = json.loads(message)["prompt"]
    if "boat" in wish or ("dog" in wish and seed == 3):
        return "something else entirely, drawn with care"
    return f"{wish}，画面简洁" if wish.startswith("两") else f"{wish}, drawn with care in the middle of the picture"


def test_many_come_out_as_one_by_one_and_are_asked_for_once_an_attempt() -> None:
    calls: list[tuple[list[str], int]] = []

    def write_many(messages: Sequence[str], seed: int) -> list[str]:
        calls.append(([json.loads(message)["prompt"] for message in messages], seed))
        return [answer(message, seed) for message in messages]

    found = enhance_many(WISHES, 64, 48, write_many, 3)
    assert found == [enhance(wish, 64, 48, answer, 3) for wish in WISHES]
    assert [one.attempts for one in found] == [1, 2, 1, 1, 0, 2]
    assert calls == [(["a red apple", "a dog", "两个苹果", "no text on a blue boat"], 3), (["a dog", WISHES[-1]], 4)]


def test_nothing_is_asked_where_no_wish_has_words() -> None:
    def never(messages: Sequence[str], seed: int) -> list[str]:
        raise AssertionError(messages)

    assert [one.was_enhanced for one in enhance_many(["🙂", "123"], 64, 64, never, 0)] == [False, False]
