"""Whether pairs can be trained on: one line for the first thing that is wrong with them."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import pyarrow as pa

from components.data.errors import DataError
from components.preference.prompts import HELDOUT, TRAIN, normalised

Size = tuple[int, int]


def check_pairs(
    pairs: pa.Table,
    sizes: Mapping[str, Size],
    num_needed: int,
    *,
    prompts: Mapping[str, str] | None = None,
    name: Path | str = "pairs",
) -> None:
    """DataError with one line unless `pairs` (`records.PAIRS`) can be trained on, `num_needed` at a time.

    `sizes` are those of the images that are there, by sample id, and `prompts` what each was drawn for, if that is
    known. Both images of a pair must be there, differ, and share size and prompt; margins are finite and above 0; no
    prompt is on both sides of the split; there are at least `num_needed` pairs to train on, of two or more prompts,
    and at least one held out.
    """
    side_of: dict[str, str] = {}
    for number, row in enumerate(pairs.to_pylist()):
        place = f"{name}, row {number}"
        _check_images(row["winner"], row["loser"], sizes, place)
        for image in (row["winner"], row["loser"]):
            asked = row["prompt"] if prompts is None else prompts.get(image, "")
            if normalised(asked) != normalised(row["prompt"]):
                raise DataError(
                    f"{place}: image {image} was made for {asked!r}, not for {row['prompt']!r}; "
                    "compare images of one prompt"
                )
        if not (isfinite(row["margin"]) and row["margin"] > 0):
            raise DataError(f"{place}: margin {row['margin']} by {row['judge']!r}; allowed: above 0, drop the pair")
        side = side_of.setdefault(normalised(row["prompt"]), row["split"])
        if row["split"] not in (TRAIN, HELDOUT) or side != row["split"]:
            raise DataError(
                f"{place}: split {row['split']!r} of {row['prompt']!r}; allowed: {TRAIN} or {HELDOUT}, one per prompt"
            )
    _check_counts(pairs.column("split").to_pylist(), side_of, num_needed, name)


def _check_images(winner: str, loser: str, sizes: Mapping[str, Size], place: str) -> None:
    if winner == loser:
        raise DataError(f"{place}: winner and loser are the same image ({winner}); remove the pair")
    for image in (winner, loser):
        if image not in sizes:
            raise DataError(f"{place}: there is no image {image}; run `preferences` again, or bring the image along")
    if sizes[winner] != sizes[loser]:
        (w_1, h_1), (w_2, h_2) = sizes[winner], sizes[loser]
        raise DataError(f"{place}: sizes differ ({w_1}x{h_1} and {w_2}x{h_2}); compare images of one size")


def _check_counts(splits: list[str], side_of: Mapping[str, str], num_needed: int, name: Path | str) -> None:
    num_train, train_prompts = splits.count(TRAIN), list(side_of.values()).count(TRAIN)
    if num_train < num_needed:
        raise DataError(
            f"{name}: {num_train} pairs to train on, a batch needs {num_needed}; "
            "ask more prompts, draw more candidates, lower min_margin, or take a smaller batch"
        )
    if train_prompts < 2:
        raise DataError(f"{name}: all pairs to train on are of one prompt; ask more prompts")
    if HELDOUT not in splits:
        raise DataError(f"{name}: no pair is held out to stop by; ask more prompts, or raise heldout_prompt_frac")
