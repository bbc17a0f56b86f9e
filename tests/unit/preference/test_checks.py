from typing import Any

import pyarrow as pa
import pytest

from components.data.errors import DataError
from components.data.records import PAIRS
from components.preference.checks import check_pairs

SIZES = {f"{prompt}{side}": (64, 32) for prompt in "abcd" for side in "12"}


def rows() -> list[dict[str, Any]]:
    return [
        {
            "prompt": prompt,
            "winner": f"{prompt}1",
            "loser": f"{prompt}2",
            "judge": "j",
            "margin": 1.0,
            "is_human": False,
            "split": "heldout" if prompt == "d" else "train",
            "category": "",
        }
        for prompt in "abcd"
    ]


def check(pairs: list[dict[str, Any]], num_needed: int = 3, **changed: Any) -> None:
    prompts = {image: image[0] for image in SIZES} | changed.pop("prompts", {})
    table = pa.Table.from_pylist(pairs, schema=PAIRS)
    check_pairs(table, SIZES | changed.pop("sizes", {}), num_needed, prompts=prompts, name="pairs.parquet")


def test_good_pairs_pass_with_and_without_the_prompts_of_images() -> None:
    check(rows())
    check_pairs(pa.Table.from_pylist(rows(), schema=PAIRS), SIZES, 3)
    check(rows(), prompts={"a1": "  A "})  # one prompt, spelled otherwise


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"loser": "a1"}, "row 0: winner and loser are the same image"),
        ({"loser": "z9"}, "row 0: there is no image z9"),
        ({"winner": "z9"}, "row 0: there is no image z9"),
        ({"loser": "b2"}, "row 0: image b2 was made for 'b', not for 'a'"),
        ({"margin": float("nan")}, "row 0: margin nan by 'j'"),
        ({"margin": 0.0}, "row 0: margin 0.0"),
        ({"margin": -1.0}, "row 0: margin -1.0"),
        ({"split": "heldout_cell"}, "row 0: split 'heldout_cell'"),
    ],
)
def test_a_pair_that_cannot_be_trained_on_is_named(changed: dict[str, Any], told: str) -> None:
    pairs = rows()
    pairs[0] |= changed
    with pytest.raises(DataError, match=rf"^pairs\.parquet, {told}") as error:
        check(pairs)
    assert "\n" not in str(error.value)


def test_images_of_two_sizes_are_named_with_their_sizes() -> None:
    with pytest.raises(DataError, match="row 1: sizes differ \\(64x32 and 32x64\\)"):
        check(rows(), sizes={"b2": (32, 64)})


def test_a_prompt_on_both_sides_of_the_split_is_refused() -> None:
    pairs = [*rows(), {**rows()[0], "winner": "a2", "loser": "a1", "split": "heldout"}]
    with pytest.raises(DataError, match=r"row 4: split 'heldout' of 'a'; allowed: .* one per prompt"):
        check(pairs)


@pytest.mark.parametrize(
    ("kept", "num_needed", "told"),
    [
        ("abcd", 4, "3 pairs to train on, a batch needs 4"),
        ("d", 1, "0 pairs to train on"),
        ("", 1, "0 pairs to train on"),
        ("ad", 1, "all pairs to train on are of one prompt"),
        ("abc", 1, "no pair is held out"),
    ],
)
def test_too_few_pairs_are_refused(kept: str, num_needed: int, told: str) -> None:
    with pytest.raises(DataError, match=rf"^pairs\.parquet: {told}"):
        check([row for row in rows() if row["prompt"] in kept], num_needed)
