"""The log: appended by many, signed, and read in order."""

import threading
from datetime import timedelta

import pytest
from dict_store import DictStore
from small_logs import NOON, record

from components.lineage.errors import LedgerError
from components.lineage.index import Index
from components.lineage.keys import load_signer, make_key
from components.lineage.log import Ledger
from components.lineage.log_check import check_log, examine_log
from components.lineage.store import FolderStore
from flows.lineage.known_records import KnownRecords


@pytest.fixture
def signer(tmp_path):
    return make_key(tmp_path / "key.pem")


@pytest.fixture
def ledger(tmp_path, signer):
    return Ledger(FolderStore(tmp_path / "ledger"), signer)


def test_records_come_back_in_the_order_of_appending(ledger):
    written = [record(number) for number in range(5)]
    entries = [ledger.append(one) for one in written]
    assert [entry.index for entry in entries] == list(range(5))
    assert [(entry, one.id) for entry, one in ledger.records()] == [
        (entry, one.id) for entry, one in zip(entries, written, strict=True)
    ]
    assert ledger.head().size == 5


def test_a_record_appended_twice_changes_nothing(ledger, tmp_path, signer):
    first = ledger.append(record(1), {"patches/aa": b"a patch"})
    ledger.append(record(2))
    before = ledger.store.names("")
    assert Ledger(FolderStore(tmp_path / "ledger"), signer).append(record(1)) == first
    assert ledger.append(record(1)) == first
    assert ledger.store.names("") == before
    assert ledger.blob("patches/aa") == b"a patch"


def test_proofs_hold_for_the_key_that_signed_and_no_other(ledger, signer, tmp_path):
    entries = [ledger.append(record(number)) for number in range(3)]
    old = ledger.head()
    entries += [ledger.append(record(number)) for number in range(3, 7)]
    other = make_key(tmp_path / "other.pem")
    for entry in entries:
        proof = ledger.inclusion(entry.record_id)
        assert proof.holds(signer.public_pem)
        assert not proof.holds(other.public_pem)
        assert not proof.model_copy(update={"entry": entries[entry.index - 1]}).holds(signer.public_pem)
    assert ledger.consistency(3).holds(old.root, signer.public_pem)
    assert not ledger.consistency(2).holds(old.root, signer.public_pem)


def test_a_clock_that_goes_backwards_is_noted(tmp_path, signer):
    times = iter([NOON, NOON, NOON - timedelta(seconds=90), NOON, *[NOON + timedelta(seconds=1)] * 2])
    ledger = Ledger(FolderStore(tmp_path / "ledger"), signer, clock=lambda: next(times))
    entries = [ledger.append(record(number)) for number in range(3)]
    assert [(entry.appended_at, entry.clock_behind_s) for entry in entries] == [
        ("2026-11-23T12:00:00.000Z", ""),
        ("2026-11-23T12:00:00.000Z", "90.0"),
        ("2026-11-23T12:00:01.000Z", ""),
    ]


def test_a_reader_cannot_append_and_is_told_why(tmp_path):
    with pytest.raises(LedgerError, match="open for reading only"):
        Ledger(FolderStore(tmp_path / "ledger")).append(record(1))


class KilledError(Exception):
    """The writer is no more."""


class WatchedStore(DictStore):
    """Calls `before` with the number of each `create`, from 0."""

    def __init__(self, values, before):
        super().__init__(values)
        self.before, self.calls = before, 0

    def create(self, name, data):
        self.calls += 1
        self.before(self.calls - 1)
        return super().create(name, data)


def test_a_writer_killed_at_any_step_leaves_a_log_that_holds_and_the_next_finishes(signer):
    first = DictStore()
    Ledger(first, signer).append(record(0))
    steps = 0
    while True:

        def die(call, last=steps):
            if call == last:
                raise KilledError

        store = WatchedStore(first.values, die)
        try:
            Ledger(store, signer).append(record(1), {"patches/1": b"one"})
            break
        except KilledError:
            store.before = lambda _: None
        assert check_log(store) is None
        for number in (2, 1):
            Ledger(store, signer).append(record(number), {f"patches/{number}": b"one"})
        report = examine_log(store, [signer.public_pem])
        assert (report.fault, report.size, report.remarks) == (None, 3, ())
        steps += 1
    assert steps == 5  # the key, the patch, the record, the entry, the head


@pytest.mark.parametrize("number", [1, 2])
def test_another_writer_at_any_step_neither_loses_nor_doubles(signer, number):
    first = DictStore()
    Ledger(first, signer).append(record(0))
    for step in range(5):
        store = WatchedStore(first.values, lambda _: None)
        one, other = Ledger(store, signer), Ledger(store, signer)
        other.append(record(0))

        def meet(call, store=store, step=step, other=other):
            if call == step:
                store.before = lambda _: None
                other.append(record(number))

        store.calls, store.before = 0, meet
        entry = one.append(record(1), {"patches/1": b"one"})
        assert entry == one.append(record(1)) == other.append(record(1))
        assert sorted(kept.subject for _, kept in one.records()) == [f"stage_{n}" for n in range(number + 1)]
        assert examine_log(store, [signer.public_pem]).fault is None
        assert one.head().size == number + 1


class LostAnswers(DictStore):
    """Keeps what it is given and says it was there already, as when an answer is lost and the request repeated."""

    def create(self, name, data):
        super().create(name, data)
        return False


def test_a_repeated_request_neither_loses_nor_doubles(signer):
    store = LostAnswers()
    ledger = Ledger(store, signer)
    assert [ledger.append(record(number)).index for number in (0, 1, 1, 2)] == [0, 1, 1, 2]
    assert (examine_log(store, [signer.public_pem]).fault, ledger.head().size) == (None, 3)


def test_a_place_that_is_taken_by_what_cannot_be_read_ends_an_append(tmp_path, signer, ledger):
    ledger.append(record(0))
    (tmp_path / "ledger" / "entries" / "000000000001.json").mkdir()
    for one in (ledger, Ledger(FolderStore(tmp_path / "ledger"), signer)):
        with pytest.raises(LedgerError, match=r"entries/000000000001\.json: taken by what cannot be read"):
            one.append(record(1))


class SlowStore(DictStore):
    """Gives a record out when a second one is asked for at the same time."""

    reads_at_once = 2

    def __init__(self, values):
        super().__init__(values)
        self.both = threading.Barrier(2)

    def read(self, name):
        if name.startswith("records/"):
            self.both.wait(60)
        return super().read(name)


def test_several_records_are_read_at_once_where_a_store_is_slow(signer, tmp_path):
    filled = DictStore()
    for number in range(4):
        Ledger(filled, signer).append(record(number))
    slow = Ledger(SlowStore(filled.values))
    assert len(list(slow.records())) == 4
    assert len(Index(slow, tmp_path / "index.duckdb").records()) == 4
    known = KnownRecords().read(slow)
    assert (known.size, len(known.of(""))) == (4, 4)


def test_the_place_of_a_record_that_is_there_is_looked_for_with_several_reads_at_once(signer):
    filled = DictStore()
    entries = [Ledger(filled, signer).append(record(number)) for number in range(5)]
    readers = set[str]()

    class Noting(DictStore):
        reads_at_once = 2

        def read(self, name):
            if name.startswith("entries/") and name in self.values:
                readers.add(threading.current_thread().name)
            return super().read(name)

    assert Ledger(Noting(filled.values), signer).append(record(3)) == entries[3]
    assert threading.current_thread().name not in readers


def test_records_are_found_by_the_first_digits_of_their_id(ledger):
    ledger.append(record(1))
    assert ledger.find(record(1).id[:6]) == record(1)
    with pytest.raises(LedgerError, match="no record in the ledger begins with"):
        ledger.find(record(2).id)
    with pytest.raises(LedgerError, match="at least 6 hex digits"):
        ledger.find(record(1).id[:5])


def test_a_name_that_holds_something_else_is_refused(ledger):
    ledger.append(record(1), {"receipts/1": b"one"})
    with pytest.raises(LedgerError, match="receipts/1: the ledger holds something else"):
        ledger.append(record(2), {"receipts/1": b"two"})


def test_a_command_signs(tmp_path, signer):
    (tmp_path / "public.pem").write_bytes(signer.public_pem)
    command = f"openssl dgst -sha256 -sign {tmp_path / 'key.pem'}"
    outside = load_signer(command=command, public=tmp_path / "public.pem")
    assert outside.key_id == signer.key_id
    ledger = Ledger(FolderStore(tmp_path / "ledger"), outside)
    proof = ledger.inclusion(ledger.append(record(1)).record_id)
    assert proof.holds(signer.public_pem)
