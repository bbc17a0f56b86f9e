import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from components.lineage.catalogue import Catalogue, CatalogueError, extend
from components.lineage.errors import LedgerError
from components.lineage.index import Index
from components.lineage.log import Ledger
from components.lineage.manifest import pack, unpack
from components.lineage.store import FolderStore
from tests.ledgers import Planted, sample_ledger, sample_records, sha


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return sample_ledger(tmp_path / "ledger", versions=2)


def files_of(file: Path) -> dict[str, bytes]:
    return {
        one.relative_to(file.parent).as_posix(): one.read_bytes()
        for one in sorted(file.with_suffix("").rglob("*"))
        if one.is_file() and one.name != ".lock"
    }


def truth(planted: Planted) -> dict[str, list[tuple[str, str]]]:
    """By sample, the sets it is in: read straight off the planted records."""
    found = defaultdict[str, list[tuple[str, str]]](list)
    for record in planted.records:
        for one in record.samples.sets:
            for sample in unpack(planted.sets[one.root]):
                found[sample].append((record.id, one.role))
    return found


def test_every_sample_is_found_in_exactly_its_sets(planted: Planted, tmp_path: Path) -> None:
    index = Index(planted.ledger, tmp_path / "index.duckdb")
    expected = truth(planted)
    assert index.num_samples == len(expected)
    for sample, sets in expected.items():
        assert sorted(index.sets_of(sample)) == sorted(sets)
    for stranger in (sha("stranger"), "0" * 64, "f" * 64):
        assert index.sets_of(stranger) == []


def test_an_empty_ledger_has_an_empty_index(tmp_path: Path) -> None:
    index = Index(Ledger(FolderStore(tmp_path / "none")), tmp_path / "state" / "index.duckdb")
    assert (index.num_samples, index.records(), index.sets_of(sha("stranger"))) == (0, [], [])


def test_an_index_of_an_empty_ledger_grows_with_it(planted: Planted, tmp_path: Path) -> None:
    file = tmp_path / "index.duckdb"
    assert Index(Ledger(FolderStore(tmp_path / "none")), file).num_samples == 0
    assert Index(planted.ledger, file).num_samples == len(truth(planted))


def test_a_deleted_index_comes_back_identical(planted: Planted, tmp_path: Path) -> None:
    file = tmp_path / "index.duckdb"
    first = Index(planted.ledger, file).dump()
    kept = files_of(file)
    assert len(kept) > 8
    file.unlink()
    assert Index(planted.ledger, file).dump() == first
    shutil.rmtree(file.with_suffix(""))
    assert Index(planted.ledger, file).dump() == first
    assert files_of(file) == kept


def test_an_index_that_grew_equals_one_built_at_once(tmp_path: Path) -> None:
    planted = sample_ledger(tmp_path / "whole", versions=2)
    whole = Index(planted.ledger, tmp_path / "whole.duckdb")
    growing = sample_ledger(tmp_path / "growing", versions=0)
    file = tmp_path / "growing.duckdb"
    for number, record in enumerate(planted.records):
        growing.ledger.append(record, planted.blobs_of(record))
        if number % 12 == 5:
            assert len(Index(growing.ledger, file).records()) == number + 1
    grown = Index(growing.ledger, file)
    apart = ("appended_at", "leaf")
    columns = [name for (name,) in whole.query("SELECT column_name FROM (DESCRIBE records)") if name not in apart]
    question = f"SELECT {', '.join(columns)} FROM records ORDER BY position"
    assert grown.query(question) == whole.query(question)
    ours, theirs = grown.dump(), whole.dump()
    assert {name: ours[name] for name in ours if name != "records"} == {n: theirs[n] for n in theirs if n != "records"}
    assert [one.read_bytes() for one in sorted(file.with_suffix("").rglob("*.roaring"))] == [
        one.read_bytes() for one in sorted((tmp_path / "whole").rglob("*.roaring"))
    ]
    catalogues = [sorted((tmp_path / name).glob("catalogue-*")) for name in ("growing", "whole")]
    assert [len(found) for found in catalogues] == [1, 1]
    assert catalogues[0][0].read_bytes() == catalogues[1][0].read_bytes()


def test_tables_answer_questions_in_sql(planted: Planted, tmp_path: Path) -> None:
    index = Index(planted.ledger, tmp_path / "index.duckdb")
    drawn = "SELECT count FROM sets JOIN records ON id = record WHERE role = 'drawn' AND subject = ? ORDER BY position"
    assert [count for (count,) in index.query(drawn, ["pretrain_1"])] == [
        len(planted.samples["drawn_pretrain_1"]),
        len(planted.samples["drawn_pretrain_1@2"]),
    ]
    above = """WITH RECURSIVE above(id) AS (
        SELECT parent FROM edges WHERE child = ? UNION SELECT parent FROM edges JOIN above ON child = id)
        SELECT count(*) FROM above WHERE id = ?"""
    assert index.query(above, [planted.ids["export_turbo"], planted.ids["ingest"]]) == [(1,)]
    assert index.query("SELECT subject FROM decisions") == [("easel-turbo",)] * 2
    assert [record.id for record in index.records()] == [record.id for record in planted.records]
    with pytest.raises(Exception, match="read-only"):
        index.query("DELETE FROM records")


def test_an_index_of_another_ledger_is_built_anew(planted: Planted, tmp_path: Path) -> None:
    file = tmp_path / "index.duckdb"
    Index(planted.ledger, file)
    other = sample_ledger(tmp_path / "other", decisions=False)
    index = Index(other.ledger, file)
    assert [record.id for record in index.records()] == [record.id for record in other.records]
    names = {one.name for one in (file.with_suffix("") / "sets").iterdir()}
    assert names == {f"{root}.roaring" for root in other.sets}


@pytest.mark.parametrize("lost", ["", "catalogue", "cut", "garbage"])
def test_a_damaged_index_is_built_anew(planted: Planted, tmp_path: Path, lost: str) -> None:
    file = tmp_path / "index.duckdb"
    before = Index(planted.ledger, file).dump()
    match lost:
        case "":
            file.write_bytes(b"")
        case "garbage":
            file.write_bytes(os.urandom(20_000))
        case "cut":
            catalogue = next(file.with_suffix("").glob("catalogue-*"))
            catalogue.write_bytes(catalogue.read_bytes()[:-1])
        case _:
            next(file.with_suffix("").glob("catalogue-*")).unlink()
    assert Index(planted.ledger, file).dump() == before


def test_a_set_that_was_changed_is_named_and_nothing_is_built(planted: Planted, tmp_path: Path) -> None:
    record = planted.record("pretrain_1")
    one = record.sample_set("drawn")
    assert one is not None
    file = tmp_path / "ledger" / "sets" / one.root
    data = bytearray(file.read_bytes())
    data[32 * 3 : 32 * 4] = hashlib.sha256(b"wrong").digest()
    file.write_bytes(data)
    with pytest.raises(LedgerError, match=rf"sets/{one.root}: not the set of drawn .*pretrain_1.* row [234] "):
        Index(planted.ledger, tmp_path / "index.duckdb")
    assert not (tmp_path / "index.duckdb").exists()


def test_a_changed_row_that_keeps_the_order_is_named_by_the_sets_that_should_hold_it(
    planted: Planted, tmp_path: Path
) -> None:
    one = planted.record("pretrain_1").sample_set("drawn")
    assert one is not None
    file = tmp_path / "ledger" / "sets" / one.root
    data = bytearray(file.read_bytes())
    data[32 * 3 + 31] ^= 1
    file.write_bytes(data)
    with pytest.raises(LedgerError, match=rf"row 3 \({data[32 * 3 : 32 * 4].hex()}\) is the first that no other"):
        Index(planted.ledger, tmp_path / "index.duckdb")


def _build(ledger: Path, file: Path) -> None:
    Index(Ledger(FolderStore(ledger)), file)


def test_killed_builds_leave_no_trace_and_many_may_build_at_once(planted: Planted, tmp_path: Path) -> None:
    whole = Index(planted.ledger, tmp_path / "whole.duckdb")
    context, file = multiprocessing.get_context("fork"), tmp_path / "index.duckdb"
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        child = context.Process(target=_build, args=(tmp_path / "ledger", file))
        child.start()
        time.sleep(delay)
        if child.pid:
            os.kill(child.pid, signal.SIGKILL)
        child.join()
    children = [context.Process(target=_build, args=(tmp_path / "ledger", file)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert Index(planted.ledger, file).dump() == whole.dump()
    ours = {name.partition("/")[2]: data for name, data in files_of(file).items()}
    assert ours == {name.partition("/")[2]: data for name, data in files_of(tmp_path / "whole.duckdb").items()}


def _build_and_die_before_cleaning(ledger: Path, file: Path) -> None:
    Index._clean = lambda self, state: os.kill(os.getpid(), signal.SIGKILL)  # pyright: ignore[reportPrivateUsage]
    _build(ledger, file)


def test_what_a_build_killed_at_its_end_left_goes_when_the_index_is_opened(planted: Planted, tmp_path: Path) -> None:
    file = tmp_path / "index.duckdb"
    Index(sample_ledger(tmp_path / "other", decisions=False).ledger, file)
    child = multiprocessing.get_context("fork").Process(
        target=_build_and_die_before_cleaning, args=(tmp_path / "ledger", file)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    whole = Index(planted.ledger, tmp_path / "whole.duckdb")
    assert len(files_of(file)) > len(files_of(tmp_path / "whole.duckdb"))
    assert Index(planted.ledger, file).dump() == whole.dump()
    ours = {name.partition("/")[2]: data for name, data in files_of(file).items()}
    assert ours == {name.partition("/")[2]: data for name, data in files_of(tmp_path / "whole.duckdb").items()}


def test_waiting_for_another_builder_ends_in_one_line(planted: Planted, tmp_path: Path) -> None:
    import fcntl

    file = tmp_path / "index.duckdb"
    file.with_suffix("").mkdir()
    with (file.with_suffix("") / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LedgerError, match="another process has been building the index"):
            Index(planted.ledger, file, wait_s=0.1)


def test_catalogue_numbers_samples_as_they_come(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    waves = [[rng.bytes(32).hex() for _ in range(count)] for count in (700, 0, 1, 300)]
    waves[3] += waves[0][:100]
    old, expected = None, dict[str, int]()
    for number, wave in enumerate(waves):
        packed = pack(wave)
        for one in unpack(packed):
            expected.setdefault(one, len(expected))
        file = tmp_path / f"{number}.bin"
        rows = extend(old, packed, file)
        assert rows.tolist() == [expected[one] for one in unpack(packed)]
        old = Catalogue(file) if file.exists() else old
    assert old is not None
    assert len(old) == 1001
    assert {one: old.row_of(one) for one in expected} == expected
    assert old.row_of(sha("stranger")) is None
    assert old.file.stat().st_size <= 50 * len(old)


def test_a_catalogue_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    extend(None, pack([sha("one"), sha("two")]), tmp_path / "catalogue.bin")
    data = (tmp_path / "catalogue.bin").read_bytes()
    for wrong in (b"", data[:-1], data[:10], b"x" + data[1:]):
        (tmp_path / "wrong.bin").write_bytes(wrong)
        with pytest.raises(CatalogueError):
            Catalogue(tmp_path / "wrong.bin")


def test_planted_sets_name_every_planted_sample() -> None:
    planted = sample_records()
    assert {one for ids in planted.samples.values() for one in ids} == truth(planted).keys()
