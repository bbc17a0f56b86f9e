"""Parts cover the list, are bounded, and hardly move when the list changes."""

import hashlib

import numpy as np
import pytest

from components.data.parts import MAX_OVER_MEAN, cut_parts

IDS = [hashlib.sha256(str(k).encode()).hexdigest() for k in range(3000)]


def contents(ids: list[str], mean: int) -> set[tuple[str, ...]]:
    return {tuple(ids[part.start : part.stop]) for part in cut_parts(ids, mean)}


@pytest.mark.parametrize("mean", [1, 7, 100, 10**6])
def test_parts_cover_every_row_once_in_order_and_none_is_too_long(mean: int) -> None:
    parts = cut_parts(IDS, mean)
    assert [row for part in parts for row in part] == list(range(len(IDS)))
    assert max(len(part) for part in parts) <= MAX_OVER_MEAN * mean


def test_parts_have_about_the_mean_size() -> None:
    assert np.mean([len(part) for part in cut_parts(IDS, 50)]) == pytest.approx(50, rel=0.3)


@pytest.mark.parametrize("change", ["append", "insert", "drop"])
def test_one_change_changes_few_parts(change: str) -> None:
    other = {"append": [*IDS, "new"], "insert": [*IDS[:1000], "new", *IDS[1000:]], "drop": IDS[:1000] + IDS[1001:]}
    before = contents(IDS, 50)
    assert len(before - contents(other[change], 50)) <= 2


def test_no_rows_make_no_parts_and_mistakes_are_refused() -> None:
    assert cut_parts([], 5) == []
    with pytest.raises(ValueError, match="mean_rows is 0"):
        cut_parts(IDS, 0)
