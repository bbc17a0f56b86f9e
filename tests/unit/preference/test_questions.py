from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.errors import DataError
from components.data.latents import EncodedSelection, pack_texts
from components.data.records import SELECTION
from components.preference.questions import apportioned, choose_questions, evaluation_texts

STYLES, CATEGORIES = ("blob", "Noto"), ("food", "animals", "travel")


def selection(kinds: dict[str, list[str]], splits: list[str]) -> EncodedSelection:
    """Rows of every style and category in turn; `kinds` gives the text of each row by kind."""
    rows = [
        {
            "sample_id": f"id{i}",
            "category": CATEGORIES[i % 3],
            "style": STYLES[i % 2],
            "concept": "",
            "split": split,
            "probability": 0.1 if split == "train" else 0.0,
        }
        for i, split in enumerate(splits)
    ]
    texts = ["", *dict.fromkeys(text for of_kind in kinds.values() for text in of_kind)]
    captions = {kind: np.array([texts.index(text) for text in of_kind]) for kind, of_kind in kinds.items()}
    states = [np.full((1 + i, 4), i, np.float16) for i in range(len(texts))]
    return EncodedSelection(pa.Table.from_pylist(rows, schema=SELECTION), captions, pack_texts(states), texts)


def short_texts(num: int) -> list[str]:
    return [f"thing {i}, {STYLES[i % 2]} style" for i in range(num)]


BASE = selection({"short": short_texts(36)}, ["train"] * 30 + ["heldout_cell"] * 6)


def test_each_kind_has_its_share_and_texts_bring_their_own_states() -> None:
    tuned = selection({"request": [f"Draw a “word {i}” please" for i in range(12)]}, ["train"] * 12)
    found = choose_questions([BASE, tuned], {"short": 2.0, "request": 1.0}, 18, seed=0)
    kinds = Counter("request" if "Draw" in one.asked.prompt else "short" for one in found.chosen)
    assert kinds == {"short": 12, "request": 6}
    for one in found.chosen:
        store = tuned if "Draw" in one.asked.prompt else BASE
        number = list(store.prompts).index(one.asked.prompt)
        np.testing.assert_array_equal(one.states, store.texts.of(number))
        assert one.asked.lettering == (f"word {number - 1}" if store is tuned else "")
    assert {one.asked.style for one in found.chosen} == set(STYLES)
    assert Counter((one.asked.style, one.asked.category) for one in found.chosen if "Draw" not in one.asked.prompt) == {
        (style, category): 2 for style in STYLES for category in CATEGORIES
    }


def test_what_any_store_holds_out_is_refused_however_it_is_spelled() -> None:
    tuned = selection({"request": ["THING 31,  Noto style", "new", "other"]}, ["train", "train", "heldout_x"])
    found = choose_questions([BASE, tuned], {"request": 1.0}, 9, seed=0)
    assert [one.asked.prompt for one in found.chosen] == ["new"]
    assert found.num_refused == 1
    assert evaluation_texts([BASE, tuned]) == {*short_texts(36)[30:], "other"}


def test_a_text_is_asked_once_however_many_rows_and_kinds_have_it() -> None:
    twins = selection({"short": ["a cat", "A  cat", "a cat", "a dog"], "request": ["a cat"] * 4}, ["train"] * 4)
    found = choose_questions([twins], {"short": 0.5, "request": 0.5}, 8, seed=0)
    assert sorted(one.asked.prompt.lower().split() for one in found.chosen) == [["a", "cat"], ["a", "dog"]]


def test_the_choice_is_seeded() -> None:
    first, again, other = (choose_questions([BASE], {"short": 1.0}, 10, seed) for seed in (1, 1, 2))
    prompts = [[one.asked.prompt for one in found.chosen] for found in (first, again, other)]
    assert prompts[0] == prompts[1] != prompts[2]


def test_a_kind_that_nothing_has_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no training row has a caption of kind 'long' \(there: short\); change"):
        choose_questions([BASE], {"long": 1.0}, 4, seed=0)


@given(st.integers(0, 500), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_shares_are_whole_numbers_next_to_their_quota(total: int, weights: list[int]) -> None:
    parts = apportioned(total, [float(weight) for weight in weights])
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
