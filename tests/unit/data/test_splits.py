"""Held-out splits: whole concepts and cells, decided by the concept alone."""

import numpy as np
import pyarrow as pa
import pytest

from components.data.config import SplitShares
from components.data.splits import SPLITS, Splitter, concept_hash

STYLES = ("Noto", "blob", "flat Twemoji", "Fluent 3D", "Fluent flat", "EmojiOne")
SHARES = SplitShares(0.1, 0.2, 0.15, (("Fluent 3D", "Fluent flat"),))
CONCEPTS = [f"{0x1F300 + i:x}" for i in range(2000)]


def split_samples(styles: list[str], concepts: list[str], shares: SplitShares, batch_size: int = 999) -> np.ndarray:
    style_names, style = np.unique(np.array(styles), return_inverse=True)
    concept_names, concept = np.unique(np.array(concepts), return_inverse=True)
    batches = [slice(start, start + batch_size) for start in range(0, len(styles), batch_size)]
    ids = pa.array([f"image {row}" for row in range(len(styles))])
    splitter = Splitter(
        style_names.tolist(), concept_names.tolist(), shares, lambda: ((style[b], concept[b]) for b in batches)
    )
    return np.array(SPLITS)[
        np.concatenate([splitter.split(style[b], concept[b], ids[b.start : b.stop]) for b in batches])
    ]


def grid(concepts: list[str], styles: tuple[str, ...] = STYLES) -> tuple[list[str], list[str], np.ndarray]:
    pairs = [(style, concept) for concept in concepts for style in styles]
    s, c = [list(column) for column in zip(*pairs, strict=True)]
    return s, c, split_samples(s, c, SHARES)


def test_shares_are_those_asked_for() -> None:
    _, concepts, splits = grid(CONCEPTS)
    whole = {c for c, split in zip(concepts, splits, strict=True) if split == "heldout_concept"}
    partly = {c for c, split in zip(concepts, splits, strict=True) if split == "heldout_cell"}
    # 4 standard deviations of a binomial draw of 2000
    assert abs(len(whole) / 2000 - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 2000)
    assert abs(len(partly) / 2000 - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 2000)
    assert not whole & partly


def test_a_held_out_concept_is_held_out_in_every_style() -> None:
    _, concepts, splits = grid(CONCEPTS)
    for concept in {c for c, split in zip(concepts, splits, strict=True) if split == "heldout_concept"}:
        assert {s for c, s in zip(concepts, splits, strict=True) if c == concept} == {"heldout_concept"}


def test_a_held_out_cell_is_one_style_family_of_a_concept_that_others_show() -> None:
    styles, concepts, splits = grid(CONCEPTS)
    cells: dict[str, set[str]] = {}
    for style, concept, split in zip(styles, concepts, splits, strict=True):
        if split == "heldout_cell":
            cells.setdefault(concept, set()).add(style)
    seen = {frozenset(hidden) for hidden in cells.values()}
    fluent = frozenset({"Fluent 3D", "Fluent flat"})
    assert seen == {fluent, *(frozenset({style}) for style in STYLES if style not in fluent)}


def test_a_concept_in_too_few_styles_gives_no_cell() -> None:
    _, _, splits = grid(CONCEPTS, ("Noto", "blob"))
    assert "heldout_cell" not in set(splits)
    _, _, splits = grid(CONCEPTS, ("Noto", "Fluent 3D", "Fluent flat"))  # two families
    assert "heldout_cell" not in set(splits)


def test_more_data_moves_nothing() -> None:
    styles, concepts, splits = grid(CONCEPTS[:500])
    _, _, longer = grid(CONCEPTS)
    assert (longer[: len(splits)] == splits).all()
    order = np.random.default_rng(0).permutation(len(splits))
    shuffled = split_samples([styles[i] for i in order], [concepts[i] for i in order], SHARES)
    assert (shuffled == splits[order]).all()


def test_everything_held_out_lies_below_the_two_shares() -> None:
    _, concepts, splits = grid(CONCEPTS)
    assert all(concept_hash(c) < 0.3 for c, split in zip(concepts, splits, strict=True) if split != "train")


def test_of_samples_without_a_concept_a_share_is_held_out_one_by_one() -> None:
    splits = split_samples(["clip art"] * 4000, [""] * 4000, SHARES)
    assert set(splits) == {"train", "heldout_image"}
    assert abs((splits == "heldout_image").mean() - 0.15) < 4 * np.sqrt(0.15 * 0.85 / 4000)
    held = np.flatnonzero(splits == "heldout_image")
    assert all(concept_hash(f"image {row}") < 0.15 for row in held)
    none = SplitShares(0.1, 0.2, 0.0, ())
    assert set(split_samples(["clip art"] * 50, [""] * 50, none)) == {"train"}


def test_the_size_of_the_batches_does_not_matter() -> None:
    styles, concepts, splits = grid(CONCEPTS[:100])
    assert (split_samples(styles, concepts, SHARES, 7) == splits).all()


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.0), (-0.1, 0.2, 0.0), (0.1, -0.2, 0.0), (0.1, 0.1, 1.0)])
def test_shares_that_leave_nothing_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="held-out shares"):
        split_samples(["Noto"], ["1f34e"], SplitShares(*shares, ()))
