"""Counts of catalogue rows equal those of plain Python over drawn sets."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.lineage.audit.attributions import Attributions
from components.lineage.audit.document import AuditError

IDS = [hashlib.sha256(bytes([number // 256, number % 256])).hexdigest() for number in range(2000)]


def pack(ids: list[str]) -> bytes:
    return b"".join(bytes.fromhex(one) for one in sorted(set(ids)))


def write(file: Path, ids: list[str], draw: random.Random) -> dict[str, tuple[str, str]]:
    words = {
        one: (draw.choice(["MIT", "CC0-1.0", ""]), draw.choice(["https://a.example/x", "b/1", "HTTP"])) for one in ids
    }
    licence = [words[one][0] or None for one in ids]
    pq.write_table(
        pa.table({"sample_id": ids, "licence": licence, "source_id": [words[one][1] for one in ids]}), file,
        row_group_size=100,
    )  # fmt: skip
    return words


@pytest.mark.parametrize("seed", range(5))
def test_counts_equal_those_of_sets(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    first, second = draw.sample(IDS, 900), draw.sample(IDS, 700)
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    words = write(other, second, draw) | write(one, first, draw)  # of both the first table decides
    sets = [draw.sample(IDS, draw.randint(0, 1200)) for _ in range(3)]
    members = set().union(*sets)
    found = Attributions([one, other], [pack(ids) for ids in sets])
    assert found.count() == len(members)
    assert found.unlisted() == len(members - set(first) - set(second))
    listed = members & (set(first) | set(second))
    assert found.tally(("licence",)) == Counter((words[one][0],) for one in listed)
    hosts = {"https://a.example/x": "a.example"}
    expected = Counter((words[one][0], hosts.get(words[one][1], "")) for one in listed)
    assert found.tally(("licence", "domain")) == expected


def test_no_table_and_no_member() -> None:
    assert Attributions([], [pack(IDS[:3])]).unlisted() == 3
    assert not Attributions([], [pack(IDS[:3])]).tally(("licence",))
    assert Attributions([], []).count() == Attributions([], [b""]).count() == 0


def test_a_table_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.parquet"
    for columns in ({"sample_id": ["no hex"], "licence": [""]}, {"licence": ["MIT"]}):
        pq.write_table(pa.table(columns), file)
        with pytest.raises(AuditError, match=r"catalogue\.parquet: [^\n]+$"):
            Attributions([file], [pack(IDS[:1])]).tally(("licence",))
    file.write_bytes(b"nothing")
    with pytest.raises(AuditError, match=r"catalogue\.parquet: [^\n]+$"):
        Attributions([file], [pack(IDS[:1])]).unlisted()
    with pytest.raises(AuditError, match="not counted by sample_id"):
        Attributions([file], []).tally(("sample_id",))
