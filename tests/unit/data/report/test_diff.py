"""A version differs from itself in nothing, and from another in exactly what was planted, both ways."""

from dataclasses import replace

import pyarrow as pa
import pytest

from components.data.report.diff import Change, Version, difference, members
from components.data.report.summary import summarise
from components.data.report.tables import Tables

from .conftest import HOSTILE, replaced, sample_id


def version(name: str, tables: Tables) -> Version:
    return Version(name, summarise(tables), members(tables.selection, tables.catalogue))


def test_a_version_differs_from_itself_in_nothing(tables: Tables) -> None:
    same = difference(version("a", tables), version("b", tables))
    assert same.is_empty
    assert same.changes == ()
    assert (same.came, same.went, same.regrouped) == (0, 0, 0)


def test_planted_changes_are_told(tables: Tables) -> None:
    """The version before lacks image 19, holds 18 as training, and knows another reason."""
    earlier = tables.selection.slice(0, 9)
    earlier = replaced(earlier, "split", ["train"] * 9)
    reasons = ["too_small", *tables.verdicts.column("reason").to_pylist()[1:]]
    before = replace(tables, selection=earlier, verdicts=replaced(tables.verdicts, "reason", reasons))
    found = difference(version("before", before), version("after", tables))
    assert (found.came, found.went, found.regrouped) == (1, 0, 1)
    told = {(change.group, change.name): change for change in found.changes}
    assert told["selected by category", "animals"] == Change("selected by category", "animals", 4, 5, 1, 0)
    assert told["selected by split", "train"] == Change("selected by split", "train", 9, 8, 0, 1)
    assert told["selected by split", "heldout_concept"] == Change("selected by split", "heldout_concept", 0, 2, 2, 0)
    assert told["dropped", "filter: too_small"] == Change("dropped", "filter: too_small", 1, 0)
    assert told["dropped", "filter: flat"] == Change("dropped", "filter: flat", 0, 1)
    assert ("selected by licence", HOSTILE) not in told


def test_an_exchange_that_leaves_the_counts_alike_is_told(tables: Tables) -> None:
    row = replaced(tables.selection.slice(9, 1), "sample_id", [sample_id(9)])
    before = replace(tables, selection=pa.concat_tables([tables.selection.slice(0, 9), row]))
    found = difference(version("before", before), version("after", tables))
    told = {(change.group, change.name): change for change in found.changes}
    assert (found.came, found.went) == (1, 1)
    assert told["selected by category", "animals"] == Change("selected by category", "animals", 5, 5, 1, 1)


def test_the_other_way_round_all_changes_are_turned(tables: Tables, smaller: Tables) -> None:
    one, other = version("one", smaller), version("other", tables)
    there, back = difference(one, other), difference(other, one)
    assert (there.came, there.went) == (back.went, back.came) == (1, 0)
    turned = {Change(c.group, c.name, c.after, c.before, c.went, c.came) for c in back.changes}
    assert turned == set(there.changes)


@pytest.mark.parametrize("side", [0, 1])
def test_without_the_images_counts_are_still_compared(tables: Tables, smaller: Tables, side: int) -> None:
    versions = [version("one", smaller), version("other", tables)]
    versions[side] = replace(versions[side], members=None)
    found = difference(*versions)
    assert (found.came, found.went, found.regrouped) == (None, None, None)
    assert Change("selected by split", "heldout_concept", 1, 2) in found.changes
    assert not found.is_empty
