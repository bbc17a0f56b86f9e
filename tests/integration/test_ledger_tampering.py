"""A thousand single-byte changes to a ledger: each is found, and the changed file is the one that is named."""

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest
from dict_store import DictStore

from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.log_check import examine_log
from components.lineage.manifest import pack, root_of
from components.lineage.model_signature import sign_model
from components.lineage.record import Record, Samples, SampleSet

NUM_CHANGES = 1000
NUM_UNTOUCHED = 100
NUM_RECORDS = 12


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A ledger of records, sample sets, a patch and receipts, signed with two keys one after another."""
    folder = tmp_path_factory.mktemp("filled") / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"weights")
    store = DictStore()
    clock = (datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=second) for second in itertools.count())
    for half in range(2):
        signer = make_key(folder.parent / f"{half}.pem")
        ledger = Ledger(store, signer, clock=lambda: next(clock))
        for number in range(half * NUM_RECORDS // 2, (half + 1) * NUM_RECORDS // 2):
            packed = pack(f"{number:02x}{member:062x}" for member in range(1, 4 + number))
            sets = (SampleSet(role="kept", root=root_of(packed), count=3 + number),)
            times = {"started_at": "2026-11-23T00:00:00.000Z", "ended_at": "2026-11-23T00:00:01.000Z"}
            record = Record(kind="stage", subject=f"stage_{number}", samples=Samples(sets=sets), **times)
            blobs = {f"sets/{root_of(packed)}": packed, f"receipts/{number}": b"receipt %d" % number}
            ledger.append(record, blobs)
            store.create(f"signatures/{record.id}.json", sign_model(folder, signer, {"record": record.id}))
    return store


def test_a_thousand_changes_of_one_byte_are_all_found_and_named(filled):
    random_ = random.Random(11)
    folders = dict[str, list[str]]()
    for name in filled.values:
        folders.setdefault(name.partition("/")[0], []).append(name)
    assert sorted(folders) == ["entries", "heads", "keys", "receipts", "records", "sets", "signatures"]
    missed, misnamed = [], []
    for number in range(NUM_CHANGES):
        name = random_.choice(folders[sorted(folders)[number % len(folders)]])
        data = bytearray(filled.values[name])
        place = random_.randrange(len(data))
        data[place] ^= random_.randrange(1, 256)
        report = examine_log(filled.changed(**{name: bytes(data)}))
        if report.fault is None:
            missed.append((name, place, data[place]))
        elif report.fault.place != name:
            misnamed.append((name, place, str(report.fault)))
        else:
            assert "\n" not in str(report.fault)
    assert (missed, misnamed) == ([], [])


def test_a_hundred_checks_of_an_untouched_ledger_find_nothing(filled):
    for _ in range(NUM_UNTOUCHED):
        report = examine_log(DictStore(filled.values))
        assert (report.fault, report.size) == (None, NUM_RECORDS)


def test_every_letter_of_a_head_and_an_entry_counts_whatever_case_it_is_written_in(filled):
    for name in ("heads/000000000007.json", "entries/000000000004.json", next(iter(filled.names("keys/")))):
        data = filled.values[name]
        for place in range(len(data)):
            other = data[place : place + 1].swapcase()
            if other != data[place : place + 1]:
                changed = data[:place] + other + data[place + 1 :]
                fault = examine_log(filled.changed(**{name: changed})).fault
                assert fault is not None, (name, place)
                assert fault.place == name
