"""Which prompts are asked: texts of training rows, in several styles of prompt, and none that an evaluation asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16

from components.data.errors import DataError
from components.data.latents import EMPTY_TEXT, EncodedSelection
from components.data.prompts import Prompt, choose_prompts
from components.data.top_down.facts import quoted_in
from components.preference.judges import Asked
from components.preference.prompts import TRAIN, normalised, refuse_evaluation_prompts

States = Float16[np.ndarray, "_ d"]


@dataclass(frozen=True)
class Question:
    """What is asked for, and its token states."""

    asked: Asked
    states: States


@dataclass(frozen=True)
class Questions:
    """The questions in the order of choice, and how many texts were refused because an evaluation asks them."""

    chosen: list[Question]
    num_refused: int


def choose_questions(
    stores: Sequence[EncodedSelection], shares: Mapping[str, float], num_prompts: int, seed: int
) -> Questions:
    """At most `num_prompts` different texts of training rows, split over kinds of caption by `shares`.

    Within a kind they are spread over style and category as evenly as there are texts. Texts that are equal to one of
    a held-out row of any store, but for case and white space, are refused. DataError for a kind that no store has.
    """
    evaluation = evaluation_texts(stores)
    taken, chosen, num_refused = set[str](), list[Question](), 0
    for kind, number in zip(shares, apportioned(num_prompts, list(shares.values())), strict=True):
        offered = {prompt.text: (prompt, store) for store in stores for prompt in _training_prompts(store, kind)}
        if not offered:
            there = sorted({name for store in stores for name in store.captions})
            raise DataError(
                f"no training row has a caption of kind {kind!r} (there: {', '.join(there)}); "
                "change preferences.own.caption_shares or what the encode stages encode"
            )
        is_refused = refuse_evaluation_prompts(list(offered), evaluation)
        num_refused += int(is_refused.sum())
        allowed = [prompt for (prompt, _), no in zip(offered.values(), is_refused, strict=True) if not no]
        for prompt in choose_prompts([one for one in allowed if normalised(one.text) not in taken], number, seed):
            if normalised(prompt.text) not in taken:
                taken.add(normalised(prompt.text))
                chosen.append(_question(prompt, offered[prompt.text][1]))
    return Questions(chosen, num_refused)


def apportioned(total: int, shares: Sequence[float]) -> list[int]:
    """`total` split into whole numbers as near to `shares` as can be; the first of equal remainders gain.

    Source: Hamilton's method, the largest remainders.
    """
    exact = np.array(shares, np.float64) / np.sum(shares) * total
    whole = np.floor(exact).astype(np.int64)
    gaining = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[gaining] += 1
    return whole.tolist()


def evaluation_texts(stores: Sequence[EncodedSelection]) -> set[str]:
    """The texts of all rows that are held out: an evaluation may ask any of them."""
    return {text for store in stores for text in _heldout_texts(store)}


def _question(prompt: Prompt, store: EncodedSelection) -> Question:
    lettering = " ".join(quoted_in(prompt.text))
    return Question(Asked(prompt.text, prompt.category, prompt.style, lettering), store.texts.of(prompt.text_number))


def _training_prompts(store: EncodedSelection, kind: str) -> list[Prompt]:
    numbers = store.captions.get(kind)
    if numbers is None:
        return []
    rows = store.rows.to_pylist()
    return [
        Prompt(
            **{name: row[name] for name in ("sample_id", "split", "style", "category", "concept")},
            text=str(store.prompts[number]),
            text_number=number,
        )
        for row, number in zip(rows, numbers.tolist(), strict=True)
        if row["split"] == TRAIN and number > EMPTY_TEXT
    ]


def _heldout_texts(store: EncodedSelection) -> set[str]:
    is_heldout = np.array([split != TRAIN for split in store.rows.column("split").to_pylist()], bool)
    numbers = np.concatenate([texts[is_heldout] for texts in store.captions.values()])
    return {str(store.prompts[number]) for number in numbers.tolist() if number > EMPTY_TEXT}
