"""What an executor knows of a ledger: read once, then only what came since."""

import pytest
from dict_store import DictStore

from components.lineage.errors import LedgerError
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.record import Item, Record
from flows.lineage.known_records import KnownRecords

TIMES = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}


class OnceListed(DictStore):
    """A store that counts how often it is listed and read."""

    asked = 0

    def names(self, prefix):
        self.asked += 1
        return super().names(prefix)

    def read(self, name):
        self.asked += 1
        return super().read(name)


def made(number: int, kind="stage", **facts) -> Record:
    out = Item(role="made", path="artifacts/made", sha256=f"{number:064x}", size=1, dvc=f"md5:{number}")
    return Record(kind=kind, subject="one", fingerprint=f"f{number}", outputs=(out,), **TIMES, **facts)


@pytest.fixture
def store():
    return OnceListed()


@pytest.fixture
def writer(store, tmp_path):
    return Ledger(store, make_key(tmp_path / "key.pem"))


def test_what_others_appended_is_read_alone_and_in_order(store, writer):
    known, reader = KnownRecords(), Ledger(store)
    written = [made(number) for number in range(40)]
    for one in written[:35]:
        writer.append(one)
    known.read(reader)
    for one in written[35:]:
        writer.append(one)
    decision = Record(kind="promotion", subject="easel", **TIMES)
    writer.append(decision)
    store.asked = 0
    known.read(reader)
    assert store.asked == 6 + 5 + 1  # entries, records of stages, and the one that tells that there is no more
    assert [known.of(f"f{number}")[0].id for number in range(40)] == [one.id for one in written]
    assert known.size == 41
    store.asked = 0
    known.read(reader)
    assert store.asked == 1
    assert known.maker("artifacts/made", f"{39:064x}").id == written[39].id


def test_an_acceptance_counts_once_however_often_it_is_written(store, writer):
    known, reader = KnownRecords(), Ledger(store)
    first = made(1)
    writer.append(first)
    for reason in ("a comment", "the same again"):
        facts = {"decision": {"fingerprint_before": "f1"}, "people": {"reason": reason}}
        writer.append(Record(kind="accept", subject="one", fingerprint="f2", **TIMES, **facts))
    assert [one.id for one in known.read(reader).of("f2")] == [first.id]


def test_what_is_not_what_the_log_says_is_named(store, writer):
    known, reader = KnownRecords(), Ledger(store)
    writer.append(made(1))
    known.read(reader)
    second = made(2)
    writer.append(second)
    store.values[f"records/{second.id}.json"] = made(3).data
    with pytest.raises(LedgerError, match=f"records/{second.id}.json"):
        known.read(reader)
    store.values[f"records/{second.id}.json"] = second.data
    assert known.read(reader).of("f2")[0].id == second.id
