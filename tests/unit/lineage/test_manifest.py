import hashlib
import json
import random

import pytest

from components.lineage.manifest import (
    WIDTH,
    ManifestError,
    SampleProof,
    check,
    contains,
    first_fault,
    pack,
    prove,
    root_of,
    unpack,
)
from components.lineage.merkle import inclusion_proof, leaf_hash, verify_inclusion
from tests.ledgers import plain_root, sha


def ids_of(count: int) -> list[str]:
    return [sha(f"image {number}") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 9, 31, 64, 65, 300])
def test_root_is_that_of_the_definition_whatever_the_order_of_the_ids(count: int) -> None:
    ids = ids_of(count)
    packed = pack([*reversed(ids), *ids[:3]])
    assert list(unpack(packed)) == sorted(ids)
    assert root_of(packed) == plain_root(packed)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, 64, 65])
def test_every_presence_and_absence_is_proven(count: int) -> None:
    ids = ids_of(count)
    packed, root = pack(ids), root_of(pack(ids))
    strangers = [sha(f"stranger {number}") for number in range(60)]
    for sample in [*ids, *strangers, "0" * 64, "f" * 64]:
        proof = prove(packed, sample)
        assert proof.is_member == contains(packed, sample) == (sample in ids)
        assert check(proof, root)
        assert SampleProof.from_json(json.dumps(proof.to_json())) == proof


def test_inclusion_proof_holds_for_the_standard_verifier() -> None:
    packed = pack(ids_of(21))
    leaves = [leaf_hash(bytes.fromhex(one)) for one in unpack(packed)]
    for index, sample in enumerate(unpack(packed)):
        proof = prove(packed, sample)
        assert sorted(proof.path) == sorted(inclusion_proof(leaves, index))
        standard = inclusion_proof(leaves, index)
        assert verify_inclusion(leaves[index], index, 21, standard, bytes.fromhex(root_of(packed)))


def test_any_change_of_a_proof_is_noticed() -> None:
    ids = ids_of(40)
    packed, root = pack(ids), root_of(pack(ids))
    for sample in (ids[7], sha("stranger"), "0" * 64, "f" * 64):
        told = prove(packed, sample).to_json()
        changed: list[dict[str, object]] = [
            {**told, "index": told["index"] + 1},
            {**told, "size": 400},
            {**told, "sample": sha("another")} if told["members"] == [sample] else {**told, "members": [sample]},
            {**told, "members": told["members"][:-1]},
            {**told, "path": "AAAA" + told["path"][4:]},
            {**told, "path": ""},
        ]
        for one in changed:
            assert not check(SampleProof.from_json(one), root), one
        assert not check(prove(packed, sample), sha("another root"))


def test_neighbours_that_are_not_beside_each_other_prove_nothing() -> None:
    packed = pack(ids_of(16))
    names = list(unpack(packed))
    hidden = names[5]
    without = pack(name for name in names if name != hidden)
    lie = prove(without, hidden)
    assert not lie.is_member
    assert check(lie, root_of(without))
    assert not check(lie, root_of(packed))
    assert not check(SampleProof(hidden, 16, 4, (names[4], names[6]), lie.path), root_of(packed))
    at_an_end = SampleProof(hidden, 16, 4, (names[4],), prove(packed, names[4]).path)
    assert not check(at_an_end, root_of(packed))


def test_a_proof_of_absence_takes_little_more_than_one_of_presence() -> None:
    packed = pack(ids_of(5000))
    strangers = [prove(packed, sha(f"stranger {number}")).num_bytes for number in range(30)]
    present = prove(packed, sha("image 7")).num_bytes
    assert present <= WIDTH * 13 + 16  # 5000 leaves are 13 levels
    assert sorted(strangers)[15] <= present + 4 * WIDTH


@pytest.mark.parametrize("sample", ["", "ab", "g" * 64, "A" * 64, "../" + "0" * 61])
def test_what_is_no_digest_is_refused(sample: str) -> None:
    with pytest.raises(ManifestError, match="64 hexadecimal digits"):
        pack([sample])
    with pytest.raises(ManifestError, match="64 hexadecimal digits"):
        prove(b"", sample)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"sample": 3}', '{"sample": "a", "size": "x", "index": 0, "members": [], "path": "?"}']
)
def test_what_is_no_proof_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ManifestError) as refused:
        SampleProof.from_json(text)
    assert "\n" not in str(refused.value)


def _with_row(packed: bytes, row: int, digest: bytes) -> bytes:
    return packed[: row * WIDTH] + digest + packed[(row + 1) * WIDTH :]


def test_the_wrong_row_of_a_long_manifest_is_named() -> None:
    names = sorted(ids_of(100_000))
    packed = pack(names)
    root = root_of(packed)
    assert first_fault(packed, root) is None
    row = 54_321
    wrong = hashlib.sha256(b"wrong").digest()
    fault = first_fault(_with_row(packed, row, wrong), root)
    assert fault is not None
    assert fault.startswith(f"row {row} ({wrong.hex()}) is out of order")
    assert "row 54320" in fault or "row 54322" in fault
    assert "row 700 " in str(first_fault(_with_row(packed, 700, packed[699 * WIDTH : 700 * WIDTH]), root))
    assert str(first_fault(packed[:-5], root)).startswith("row 99999: cut off after 27 of 32 bytes")


def test_a_wrong_row_that_keeps_the_order_is_named_by_other_sets() -> None:
    packed = pack(ids_of(5000))
    root = root_of(packed)
    row = random.Random(1).randrange(5000)
    start = row * WIDTH
    near = packed[start : start + 31] + bytes([packed[start + 31] ^ 1])
    changed = _with_row(packed, row, near)
    assert "no row is out of order" in str(first_fault(changed, root))
    assert f"row {row} ({near.hex()})" in str(first_fault(changed, root, [packed[: 2000 * WIDTH], packed]))
