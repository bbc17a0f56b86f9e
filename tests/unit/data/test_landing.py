"""Landing: parts are bounded and never rewritten, only what is new costs, a killed landing resumes to equal files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.data import landing, records
from components.data.errors import DataError
from components.data.landing import PartLimits, land
from components.data.landing_ledger import read_refusals
from components.data.readers.interface import Item, Outcome, Refusal, RefusedError, Sample
from components.data.readers.words import no_words
from components.data.records import RAW, raw_parts


class Planned:
    """A source in memory: each key's outcomes; counts what is read, and can die at a sample."""

    def __init__(self, items: dict[str, list[Outcome]], *, at_once: int = 1, twice: tuple[str, ...] = ()) -> None:
        self.items, self.num_at_once, self.twice = items, at_once, twice
        self.read: list[str] = []
        self.die_at = ""

    def listing(self) -> Iterator[Item]:
        for key in (*self.items, *self.twice):
            yield Item(key, hashlib.sha256(repr(self.items[key]).encode()).hexdigest(), 0)

    def rows(self, item: Item) -> Iterator[Outcome]:
        self.read.append(item.key)
        for outcome in self.items[item.key]:
            if isinstance(outcome, Sample) and outcome.source_id == self.die_at:
                raise KeyboardInterrupt
            if isinstance(outcome, Refusal) and outcome.name == item.key:
                raise RefusedError(outcome.name, outcome.reason, outcome.detail, outcome.status)
            yield outcome


def sample(name: str, num_bytes: int = 10) -> Sample:
    return Sample(name, name.encode().ljust(num_bytes, b"."), no_words() | {"title_en": name})


def shards(num_shards: int, rows: int) -> dict[str, list[Outcome]]:
    return {f"s{k}": [sample(f"s{k}/{row}") for row in range(rows)] for k in range(num_shards)}


def files(pool: Path) -> dict[str, bytes]:
    return {str(file.relative_to(pool)): file.read_bytes() for file in sorted(pool.rglob("*")) if file.is_file()}


def names(pool: Path) -> list[str]:
    return [name for part in raw_parts(pool) for name in pq.read_table(part).column("source_id").to_pylist()]


def test_parts_are_bounded_in_rows_and_bytes_and_hold_every_row_once(tmp_path: Path) -> None:
    source = Planned(shards(3, 7) | {"big": [sample(f"big/{k}", 900) for k in range(3)]})
    done = land(source, tmp_path / "p", origin="here", limits=PartLimits(max_rows=5, max_bytes=1000))
    tables = [pq.read_table(part) for part in raw_parts(tmp_path / "p")]
    assert all(table.schema == RAW for table in tables)
    assert max(table.num_rows for table in tables) == 5
    assert max(sum(map(len, table.column("image").to_pylist())) for table in tables) <= 1000
    assert names(tmp_path / "p") == [s.source_id for outcomes in source.items.values() for s in outcomes]
    assert done.num_landed == 24
    assert {table.column("source")[0].as_py() for table in tables} == {"p"}


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_second_landing_reads_only_what_is_new_and_rewrites_nothing(tmp_path: Path, at_once: int) -> None:
    items = shards(2, 3) | {"bad": [Refusal("bad", "empty")]}
    source = Planned(items, at_once=at_once)
    land(source, tmp_path / "p", origin="here")
    before = files(tmp_path / "p")
    again = land(source, tmp_path / "p", origin="here")
    assert (again.num_landed, again.num_known, files(tmp_path / "p")) == (0, 3, before)
    items["s9"] = [sample("s9/0")]
    source.read.clear()
    third = land(source, tmp_path / "p", origin="here")
    assert (third.num_landed, source.read) == (1, ["s9"])
    after = files(tmp_path / "p")
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["landed/part-00001.parquet", "part-00001.parquet"]


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("die_at", ["s0/0", "s0/4", "s1/1", "s3/6"])
def test_a_landing_that_dies_anywhere_resumes_to_the_same_files(tmp_path: Path, die_at: str, at_once: int) -> None:
    limits = PartLimits(max_rows=4)
    items = shards(4, 7)
    items["s1"].insert(2, Refusal("s1/x", "link", "to /etc/passwd"))
    land(Planned(items, at_once=at_once, twice=("s0", "s2")), tmp_path / "whole", origin="here", limits=limits)
    source = Planned(items, at_once=at_once, twice=("s0", "s2"))
    source.die_at = die_at
    pool = tmp_path / "again" / "whole"
    with pytest.raises(KeyboardInterrupt):
        land(source, pool, origin="here", limits=limits)
    committed = {name: data for name, data in files(pool).items() if "part-" in name}
    source.die_at = ""
    land(source, pool, origin="here", limits=limits)
    assert files(pool) == files(tmp_path / "whole")
    assert {name: files(pool)[name] for name in committed} == committed
    assert len(names(pool)) == len(set(names(pool))) == 28


def test_what_a_killed_landing_left_half_written_is_swept(tmp_path: Path) -> None:
    source = Planned(shards(2, 3))
    land(source, tmp_path / "p", origin="here")
    before = files(tmp_path / "p")
    (tmp_path / "p" / ".part-00001.parquet.123").write_bytes(b"half")
    (tmp_path / "p" / "landed" / ".part-00001.parquet.123").write_bytes(b"half")
    (tmp_path / "p" / "part-00001.parquet").write_bytes(b"a part whose table never came")
    land(source, tmp_path / "p", origin="here")
    assert files(tmp_path / "p") == before


def test_an_item_listed_twice_lands_once_and_is_noted_once(tmp_path: Path) -> None:
    source = Planned(shards(2, 1), twice=("s0", "s0"))
    for _ in range(2):
        land(source, tmp_path / "p", origin="here")
    assert names(tmp_path / "p") == ["s0/0", "s1/0"]
    (noted,) = read_refusals(tmp_path / "p").to_pylist()
    assert (noted["name"], noted["status"], noted["reason"]) == ("s0", "repeated", "listed_twice")


def test_a_failure_is_asked_again_a_refusal_is_not(tmp_path: Path) -> None:
    items = shards(1, 1) | {"late": [Refusal("late", "too_slow", "", "failed")], "bad": [Refusal("bad", "empty")]}
    items["out"] = [Refusal("out", "noai", "X-Robots-Tag: noai", "opted_out")]
    source = Planned(items)
    source.listing = lambda: iter([Item(key, "1", 0) for key in items])  # type: ignore[method-assign]
    land(source, tmp_path / "p", origin="here")
    before = files(tmp_path / "p")
    source.read.clear()
    land(source, tmp_path / "p", origin="here")
    assert source.read == ["late"]
    assert files(tmp_path / "p") == before, "a failure that is known is not noted again"
    items["late"] = [sample("late")]
    assert land(source, tmp_path / "p", origin="here").num_landed == 1
    assert names(tmp_path / "p") == ["s0/0", "late"]


def test_only_the_last_word_on_an_item_stands_among_the_refusals(tmp_path: Path) -> None:
    versions = dict.fromkeys(("sound", "later", "never", "mended"), "1")
    says: dict[str, list[Outcome]] = {
        "sound": [sample("sound/0"), Refusal("sound/x", "link")],
        "later": [Refusal("later", "too_slow", "", "failed")],
        "never": [Refusal("never", "too_slow", "", "failed")],
        "mended": [Refusal("mended", "empty")],
    }
    source = Planned(says)
    source.listing = lambda: (Item(key, versions[key], 0) for key in versions)  # type: ignore[method-assign]
    pool = tmp_path / "p"

    def standing() -> dict[str, str]:
        land(source, pool, origin="here")
        return {row["name"]: f"{row['status']} {row['reason']}" for row in read_refusals(pool).to_pylist()}

    of_archive = {"sound/x": "refused link"}
    assert standing() == of_archive | {
        "later": "failed too_slow",
        "never": "failed too_slow",
        "mended": "refused empty",
    }
    says["later"], says["never"] = [sample("later")], [Refusal("never", "no_answer", "", "failed")]
    says["mended"], versions["mended"] = [sample("mended")], "2"
    assert standing() == of_archive | {"never": "failed no_answer"}
    assert read_refusals(pool).schema == records.REFUSALS
    assert read_refusals(tmp_path / "never landed").num_rows == 0


def test_an_item_that_fails_midway_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rows = [sample(f"s/{k}") for k in range(5)]
    items: dict[str, list[Outcome]] = {"s": [*rows[:3], Refusal("s", "vanished", "", "failed")]}
    source = Planned(items)
    source.listing = lambda: iter([Item("s", "1", 0)])  # type: ignore[method-assign]
    land(source, tmp_path / "p", origin="here")
    items["s"] = list(rows)
    assert land(source, tmp_path / "p", origin="here").num_landed == 2
    assert names(tmp_path / "p") == [row.source_id for row in rows]


def test_a_changed_item_lands_beside_its_old_version_and_force_starts_anew(tmp_path: Path) -> None:
    items = shards(2, 1)
    source = Planned(items)
    land(source, tmp_path / "p", origin="here")
    items["s1"] = [sample("s1/0", 20)]
    changed = land(source, tmp_path / "p", origin="here")
    assert (changed.num_changed, changed.num_landed, names(tmp_path / "p")) == (1, 1, ["s0/0", "s1/0", "s1/0"])
    land(source, tmp_path / "p", origin="here", force=True)
    assert names(tmp_path / "p") == ["s0/0", "s1/0"]


def test_a_file_that_was_only_touched_does_not_land_again(tmp_path: Path) -> None:
    source = Planned(shards(3, 1), at_once=2)
    land(source, tmp_path / "p", origin="here")
    touched = [Item(key, "another time", 0) for key in source.items]
    source.listing = lambda: iter(touched)  # type: ignore[method-assign]
    again = land(source, tmp_path / "p", origin="here")
    assert (again.num_landed, again.num_known, again.num_changed) == (0, 3, 0)
    source.read.clear()
    land(source, tmp_path / "p", origin="here")
    assert source.read == [], "its new time stamp is known now"
    assert names(tmp_path / "p") == ["s0/0", "s1/0", "s2/0"]


def test_mistakes_are_one_line_and_leave_everything_as_it_was(tmp_path: Path) -> None:
    source = Planned(shards(1, 1))
    land(source, tmp_path / "p", origin="here")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "part-00000.parquet").write_bytes(b"precious")
    before = files(tmp_path)
    for pool, origin, force, wanted in (
        ("p", "there", False, "was landed from here, not there"),
        ("images", "here", True, "was not made by landing"),
    ):
        with pytest.raises(DataError, match=wanted) as error:
            land(source, tmp_path / pool, origin=origin, force=force)
        assert "\n" not in str(error.value)
    empty = Planned({"bad": [Refusal("bad", "empty", "0 bytes")]})
    with pytest.raises(DataError, match=r"none of the 1 items .* \(empty 1; first: bad: 0 bytes\)"):
        land(empty, tmp_path / "new", origin="nowhere")
    with pytest.raises(DataError, match="lists nothing of this kind"):
        land(Planned({}), tmp_path / "new", origin="nowhere")
    with (
        landing._claimed(tmp_path / "p", "here", force=False),
        pytest.raises(DataError, match="another process lands here"),
    ):
        land(source, tmp_path / "p", origin="here")
    assert files(tmp_path) == before
