"""What a check of the log says: one clear line for each way in which a ledger can be wrong."""

from datetime import timedelta

import pytest
from dict_store import DictStore
from small_logs import NOON, record

from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.log_check import check_log, examine_log
from components.lineage.log_files import Entry, Head, entry_name, head_name, record_name
from components.lineage.manifest import pack, root_of
from components.lineage.record import Samples, SampleSet


@pytest.fixture
def signer(tmp_path):
    return make_key(tmp_path / "key.pem")


@pytest.fixture
def store(signer):
    made = DictStore()
    ledger = Ledger(made, signer, clock=lambda: NOON)
    for number in range(7):
        ledger.append(record(number), {f"patches/{number}": b"patch %d" % number})
    return made


def ids(store):
    return [entry.record_id for entry in Ledger(store).entries()]


def said(store, **options):
    return str(examine_log(store, **options).fault)


def test_an_untouched_log_holds_and_says_who_signed(store, signer):
    report = examine_log(store, [signer.public_pem])
    assert (report.fault, report.size, report.remarks) == (None, 7, ())
    assert [(span.key_id, span.first, span.last) for span in report.spans] == [(signer.key_id, 0, 6)]
    assert report.root == Ledger(store).head().root
    assert check_log(store) is None
    assert "compare the id" in examine_log(store).remarks[0]
    assert examine_log(DictStore()).fault is None


def test_a_removed_record_is_named(store):
    name = record_name(ids(store)[3])
    assert said(store.changed(**{name: None})) == f"{name}: removed: entries/000000000003.json holds it"


def test_a_removed_blob_is_named(store):
    assert said(store.changed(**{"patches/4": None})) == "patches/4: removed: entries/000000000004.json holds it"


@pytest.mark.parametrize(("index", "reason"), [(3, "000000000006.json is there"), (6, "counts 7 entries")])
def test_a_removed_entry_is_named(store, index, reason):
    found = said(store.changed(**{entry_name(index): None}))
    assert found.startswith(f"{entry_name(index)}: removed: ")
    assert reason in found or "heads/000000000007.json counts it" in found


def test_a_record_edited_with_its_digest_recomputed_is_no_longer_the_one_of_the_log(store, signer):
    old = record_name(ids(store)[3])
    forged = record(3, notes=("nothing to see",))
    changed = store.changed(**{old: None, record_name(forged.id): forged.data})
    assert said(changed) == f"{old}: removed: entries/000000000003.json holds it"
    entry = Entry.read(store.values[entry_name(3)], "")
    moved = entry.model_copy(update={"record_id": forged.id})
    found = said(changed.changed(**{entry_name(3): moved.data}))
    assert found.startswith("entries/000000000003.json: changed; heads/000000000007.json signs for another entry here")


def test_reordered_entries_are_named(store):
    values = store.values
    swapped = store.changed(**{entry_name(2): values[entry_name(4)], entry_name(4): values[entry_name(2)]})
    assert said(swapped).startswith("entries/000000000004.json: reordered: what stood here is entries/000000000002")


def test_a_log_that_is_shorter_than_its_head_says_is_named(store):
    cut = store.changed(**{entry_name(5): None, entry_name(6): None})
    assert said(cut) == "entries/000000000005.json: removed: heads/000000000007.json counts 7 entries"


def test_a_log_cut_with_its_heads_is_seen_beside_a_head_kept_elsewhere(store, signer):
    kept = Ledger(store).head()
    gone = [maker(number) for number in (5, 6) for maker in (entry_name, lambda size: head_name(size + 1))]
    cut = store.changed(**dict.fromkeys(gone))
    assert examine_log(cut, [signer.public_pem]).fault is None
    assert said(cut, against=kept) == "entries/000000000005.json: removed: the head kept elsewhere counts 7 entries"


def test_a_second_history_is_seen_by_its_heads_and_beside_a_kept_one(store, signer):
    other = DictStore()
    ledger = Ledger(other, signer, clock=lambda: NOON)
    for number in [0, 1, 2, 13, 14, 15, 16, 17]:
        ledger.append(record(number), {f"patches/{number}": b"patch %d" % number})
    kept = Ledger(store).head()
    assert said(other, against=kept).endswith("forked: the head kept elsewhere has another root at 7")
    both = other.changed(**{head_name(6): store.values[head_name(6)]})
    assert said(both) == "heads/000000000006.json: forked: the first 6 entries have another root than it signs"


def test_a_head_by_a_stranger_is_refused_where_keys_are_known(store, signer, tmp_path):
    stranger = make_key(tmp_path / "other.pem")
    Ledger(store, stranger, clock=lambda: NOON).append(record(9))
    assert examine_log(store).fault is None
    found = said(store, trusted_keys=[signer.public_pem])
    assert found == f"heads/000000000008.json: signed with key {stranger.key_id}, which is none of the trusted keys"


def test_a_head_of_the_right_root_with_a_forged_signature_is_named(store, tmp_path):
    head = Head.read(store.values[head_name(7)], "")
    forged = head.model_copy(update={"signature": make_key(tmp_path / "other.pem").sign(head.signed).hex()})
    assert said(store.changed(**{head_name(7): forged.data})).startswith("heads/000000000007.json: changed: its signat")


def test_removed_keys_and_heads_are_named(store, signer):
    name = f"keys/{signer.key_id}.pem"
    assert said(store.changed(**{name: None})).startswith(f"{name}: removed, or never there")
    trusted = said(store.changed(**{name: None}), trusted_keys=[signer.public_pem])
    assert trusted == f"{name}: removed: heads are signed with it"
    assert said(
        store.changed(**{head_name(4): None})
    ) == "heads/000000000004.json: removed: heads/000000000005.json " + ("extends it")


def test_a_file_that_is_no_entry_is_named(store):
    assert said(store.changed(**{"entries/notes.txt": b"hello"})) == (
        "entries/notes.txt: no entry: it does not belong there"
    )


def test_a_doubled_record_is_named(store, signer):
    entries = Ledger(store).entries()
    again = entries[1].model_copy(update={"index": 7, "previous": entries[6].leaf.hex()})
    doubled = store.changed(**{entry_name(7): again.data})
    Ledger(doubled, signer).seal()
    assert "entries/000000000007.json: doubled: records/" in said(doubled)


def test_what_killed_writers_left_is_a_remark_and_finished_by_the_next(store, signer):
    late = record(8)
    store.create(record_name(late.id), late.data)
    assert "1 stored but not in the log (killed writers)" in examine_log(store).remarks[0]
    ledger = Ledger(store, signer, clock=lambda: NOON)
    ledger.append(late)
    assert examine_log(store, [signer.public_pem]).remarks == ()
    unsigned = store.changed(**{head_name(8): None})
    assert "the last entry is under no signed head yet" in examine_log(unsigned).remarks[0]
    assert said(unsigned.changed(**{entry_name(7): store.values[entry_name(6)]})).startswith(
        "entries/000000000007.json: reordered"
    )
    assert Ledger(unsigned, signer).seal().size == 8
    assert examine_log(unsigned, [signer.public_pem]).remarks == ()


def test_a_clock_that_went_backwards_is_a_remark(store, signer):
    Ledger(store, signer, clock=lambda: NOON - timedelta(hours=1)).append(record(8))
    report = examine_log(store, [signer.public_pem])
    assert report.fault is None
    assert report.remarks == ("entries/000000000007.json: its writer's clock was 3600.0 s behind the entry before",)


def test_a_clock_that_was_far_ahead_once_does_not_fill_the_page(store, signer):
    Ledger(store, signer, clock=lambda: NOON + timedelta(days=4000)).append(record(8))
    for number in range(20, 30):
        Ledger(store, signer, clock=lambda: NOON).append(record(number))
    report = examine_log(store, [signer.public_pem])
    assert (report.fault, len(report.remarks)) == (None, 4)
    assert report.remarks[-1] == "7 more entries whose writers' clocks were behind, last entries/000000000017.json"


def test_a_sample_set_that_is_not_the_one_of_the_record_is_named(store, signer):
    packed = pack(f"{number:08x}" * 8 for number in range(1, 101))
    root = root_of(packed)
    seen = record(8, samples=Samples(sets=(SampleSet(role="kept", root=root, count=100),)))
    Ledger(store, signer, clock=lambda: NOON).append(seen)
    name = f"sets/{root}"
    assert said(store) == f"{name}: removed: entries/000000000007.json holds it"
    whole = store.changed(**{name: packed})
    assert examine_log(whole).fault is None
    row = bytearray(packed)
    row[40 * 32] = 0xFF
    assert said(whole.changed(**{name: bytes(row)})) == (
        f"{name}: not the samples that stage_8 names: row 40 (ff{packed[1281:1312].hex()}) is out of order: "
        f"row 41 after it is {packed[1312:1344].hex()}, which is smaller"
    )
    assert "3168 bytes, where stage_8 says 100 samples" in said(whole.changed(**{name: packed[32:]}))
