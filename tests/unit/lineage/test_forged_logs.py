"""Logs that somebody without the key wrote, or that say the same in other bytes: none passes for the one signed."""

import json

import pytest
from dict_store import DictStore
from small_logs import NOON, record

from components.lineage.errors import LedgerError
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.log_check import examine_log
from components.lineage.log_files import Entry, Head, entry_name, head_name, key_name, record_name
from components.lineage.manifest import pack, root_of
from components.lineage.model_signature import sign_model
from components.lineage.record import RecordError, Samples, SampleSet, read_record


@pytest.fixture
def signer(tmp_path):
    return make_key(tmp_path / "key.pem")


def filled(signer, numbers=range(5)):
    made = DictStore()
    ledger = Ledger(made, signer, clock=lambda: NOON)
    for number in numbers:
        ledger.append(record(number))
    return made


@pytest.fixture
def store(signer):
    return filled(signer)


def said(store, **options):
    return str(examine_log(store, **options).fault)


def without_heads(store):
    return store.changed(**dict.fromkeys(store.names("heads/")))


def test_a_log_written_anew_without_any_head_does_not_hold_under_a_key(signer, store):
    forged = without_heads(filled(signer, range(10, 15)))
    assert "no signed head" in said(forged, trusted_keys=[signer.public_pem])
    assert "no signed head" in said(DictStore(), trusted_keys=[signer.public_pem])
    assert "5 entries are under no signed head" in examine_log(forged).remarks[0]
    kept = Ledger(store).head()
    assert "the head kept elsewhere has another root at 5" in said(forged, against=kept)


def test_a_head_in_other_words_of_the_same_meaning_is_named(store, signer):
    name = head_name(5)
    value = json.loads(store.values[name])
    for other in ({**value, "size": "5"}, {key: one for key, one in value.items() if key != "schema_name"}):
        changed = store.changed(**{name: json.dumps(other, sort_keys=True, separators=(",", ":")).encode()})
        assert said(changed).startswith(f"{name}: ")
        with pytest.raises(LedgerError, match=name):
            Ledger(changed).head()


def test_an_entry_and_a_record_in_other_words_of_the_same_meaning_are_refused(store, signer):
    value = json.loads(store.values[entry_name(4)])
    for other in ({**value, "index": "4"}, {key: one for key, one in value.items() if key != "clock_behind_s"}):
        data = json.dumps(other, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(LedgerError, match=entry_name(4)):
            Ledger(store.changed(**{entry_name(4): data})).entries()
    value = json.loads(record(1).data)
    for other in ({**value, "attempt": "1"}, {key: one for key, one in value.items() if key != "notes"}):
        with pytest.raises(RecordError, match="not a record"):
            read_record(json.dumps(other, sort_keys=True, separators=(",", ":")).encode())


def test_a_key_under_the_id_of_another_signs_nothing(store, signer, tmp_path):
    """The owner's id, and behind it a stranger's key: in a folder that can be read and not listed it is not seen."""

    class Unlisted(DictStore):
        def names(self, prefix):
            return [name for name in super().names(prefix) if not name.startswith("keys/")]

    stranger = make_key(tmp_path / "stranger.pem")
    forged = Unlisted(filled(stranger, range(10, 13)).values)
    for name in forged.names("heads/"):
        head = Head.read(forged.values[name], name).model_copy(update={"key_id": signer.key_id})
        forged.values[name] = head.model_copy(update={"signature": stranger.sign(head.signed).hex()}).data
    forged.values[key_name(signer.key_id)] = stranger.public_pem
    assert said(forged).startswith(f"{key_name(signer.key_id)}: changed: not the public key whose SHA-256 is its name")
    with pytest.raises(LedgerError, match="not what its signature is of"):
        Ledger(forged).head()


def test_a_set_whose_members_are_not_in_order_or_doubled_is_named(signer):
    one, two = (f"{number:08x}" * 8 for number in (1, 2))
    for packed, what in ((bytes.fromhex(two + one), "out of order"), (bytes.fromhex(one + one), "again")):
        store = DictStore()
        kept = SampleSet(role="kept", root=root_of(packed), count=2)
        Ledger(store, signer).append(record(1, samples=Samples(sets=(kept,))), {f"sets/{kept.root}": packed})
        found = said(store)
        assert found.startswith(f"sets/{kept.root}: ")
        assert what in found


def test_each_record_s_count_of_a_set_is_held_against_it(signer):
    packed, store = pack(["11" * 32, "22" * 32]), DictStore()
    ledger = Ledger(store, signer)
    for number, count in ((1, 2), (2, 3)):
        one = SampleSet(role="kept", root=root_of(packed), count=count)
        ledger.append(record(number, samples=Samples(sets=(one,))), {f"sets/{one.root}": packed})
    assert "64 bytes, where stage_2 says 3 samples" in said(store)


@pytest.mark.parametrize("name", ["heads/000000000005 (copy).json", "heads/notes.txt", "keys/a key.pem", "entries/é"])
def test_a_file_whose_name_is_none_of_the_log_is_a_fault(store, tmp_path, name):
    from components.lineage.store import FolderStore

    folder = FolderStore(tmp_path / "ledger")
    for one, data in store.values.items():
        folder.create(one, data)
    (tmp_path / "ledger" / name).write_bytes(b"hello")
    assert said(folder).startswith(f"{name}: ")


def test_names_that_lead_elsewhere_are_faults_and_are_not_followed(signer):
    class Strict(DictStore):
        def read(self, name):
            from components.lineage.store import checked_name

            return super().read(checked_name(name))

    store = Strict()
    one = SampleSet(role="kept", root="../../etc/passwd", count=1)
    Ledger(store, signer).append(record(1, samples=Samples(sets=(one,))))
    assert "../../etc/passwd" in said(store)
    blobs = Strict()
    ledger = Ledger(blobs, signer)
    entry = ledger.append(record(1))
    first = entry.model_copy(update={"blobs": {"../../etc/passwd": "0" * 64}})
    blobs.values = {entry_name(0): first.data, record_name(record(1).id): record(1).data}
    assert "../../etc/passwd" in said(blobs)


def test_a_signature_and_record_that_come_while_the_log_is_checked_are_no_fault(signer, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"weights")

    class Growing(DictStore):
        """A model is recorded and signed just after the entries were listed."""

        def names(self, prefix):
            found = super().names(prefix)
            if prefix == "entries/" and len(found) == 5:
                Ledger(self, signer, clock=lambda: NOON).append(record(9))
                bundle = sign_model(tmp_path / "model", signer, {"record": record(9).id})
                self.create(f"signatures/{record(9).id}.json", bundle)
            return found

    growing = Growing(filled(signer).values)
    assert said(growing) == "None"
    assert len(growing.names("signatures/")) == 1
    assert said(growing) == "None"


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-23", "2026-13-23T12:00:00.000Z", "2026-11-23T12:00:00.000"])
def test_a_time_that_is_none_is_refused_where_it_stands(store, signer, time):
    entry = Entry.read(store.values[entry_name(4)], "").model_copy(update={"appended_at": time})
    changed = store.changed(**{entry_name(4): entry.data, head_name(5): None})
    assert said(changed).startswith(f"{entry_name(4)}: appended_at: ")
    with pytest.raises(LedgerError, match=f"{entry_name(4)}: appended_at: "):
        Ledger(changed, signer).append(record(7))
