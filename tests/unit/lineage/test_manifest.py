import hashlib
import json
import random
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from components.lineage.merkle import inclusion_proof, leaf_hash, node_hash, verify_inclusion
from tests.ledgers import plain_root, sha

FIRST, LAST = "0" * 64, "f" * 64
MOST_BYTES = 1000
digests = st.one_of(
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(1, 40).map(lambda number: f"{number:064x}"),  # dense ones, so that numbers beside each other meet
    st.integers(1, 40).map(lambda number: f"{2**256 - 1 - number:064x}"),
).filter(lambda one: one not in (FIRST, LAST))
sets_of_ids = st.sets(digests, max_size=40)


def ids_of(count: int) -> list[str]:
    return [sha(f"image {number}") for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 9, 31, 64, 65, 300])
def test_root_is_that_of_the_definition_whatever_the_order_of_the_ids(count: int) -> None:
    ids = ids_of(count)
    packed = pack([*reversed(ids), *ids[:3]])
    assert list(unpack(packed)) == sorted(ids)
    assert root_of(packed) == plain_root(packed)


@cache
def deepest(size: int) -> int:
    """The longest audit path in a tree, by how RFC 6962 splits one."""
    if size == 1:
        return 0
    left = 1 << (size - 1).bit_length() - 1
    return 1 + max(deepest(left), deepest(size - left))


def test_the_empty_set_is_one_leaf_from_end_to_end() -> None:
    assert root_of(b"") == leaf_hash(bytes(32) + b"\xff" * 32).hex()
    proof = prove(b"", sha("stranger"))
    assert (proof.leaf, proof.path, proof.is_member) == ((FIRST, LAST), (), False)
    assert check(proof, root_of(b""))


@settings(deadline=None)
@given(sets_of_ids, st.lists(digests, max_size=10))
def test_every_presence_and_absence_is_proven(ids: set[str], strangers: list[str]) -> None:
    packed, root = pack(ids), root_of(pack(ids))
    beside = [f"{int(one, 16) + step:064x}" for one in ids for step in (-1, 1)]
    for sample in {*ids, *strangers, *beside} - {FIRST, LAST}:
        proof = prove(packed, sample)
        assert proof.is_member == contains(packed, sample) == (sample in ids)
        assert check(proof, root)
        assert proof.num_bytes <= 32 * deepest(len(ids) + 1) + 80
        assert SampleProof.from_json(json.dumps(proof.to_json())) == proof


def test_a_proof_holds_for_the_standard_verifier() -> None:
    packed = pack(ids_of(21))
    ends = [bytes(32), *(bytes.fromhex(one) for one in unpack(packed)), b"\xff" * 32]
    leaves = [leaf_hash(ends[at] + ends[at + 1]) for at in range(22)]
    for index, sample in enumerate(unpack(packed), 1):
        for asked in (sample, f"{int(sample, 16) + 1:064x}"):
            proof = prove(packed, asked)
            assert (proof.index, list(proof.path)) == (index, inclusion_proof(leaves, index))
            assert verify_inclusion(leaves[index], index, 22, proof.path, bytes.fromhex(root_of(packed)))


@settings(deadline=None)
@given(st.sets(digests, min_size=1, max_size=40), digests, st.data())
def test_any_lie_is_refused(ids: set[str], stranger: str, data: st.DataObject) -> None:
    packed, root = pack(ids), root_of(pack(ids))
    sample = data.draw(st.sampled_from([*sorted(ids), stranger]))
    proof = prove(packed, sample)
    (low, high), path, size = proof.leaf, proof.path, proof.size
    beyond = data.draw(digests.filter(lambda one: not low <= one < high))
    member, other = sorted(ids)[0], sha("another")
    byte = data.draw(st.integers(0, 32 * len(path) - 1)) if path else 0
    forged = bytearray(b"".join(path))
    forged[byte] ^= data.draw(st.integers(1, 255))
    lies = [
        replace(proof, size=size + (1 << size.bit_length())),
        replace(proof, size=-1),
        replace(proof, size=2**60),
        replace(proof, index=data.draw(st.integers(-1, size + 1).filter(lambda one: one != proof.index))),
        replace(proof, sample_id=beyond),
        replace(proof, sample_id=FIRST),
        replace(proof, sample_id=LAST),
        replace(proof, sample_id=other, leaf=(other, high)),
        replace(proof, sample_id=other, leaf=(FIRST, LAST)),
        replace(proof, leaf=(high, low)),
        replace(proof, leaf=(low, other)),
        replace(proof, leaf=(other, high)),
        replace(proof, path=path[:-1]),
        replace(proof, path=path[1:]),
        replace(proof, path=(*path, path[0])),
        replace(proof, path=tuple(bytes(forged[at : at + 32]) for at in range(0, len(forged), 32))),
        replace(prove(packed, member), leaf=(FIRST, member)),
    ]
    assert not [lie for lie in lies if check(lie, root)]
    assert not check(proof, sha("another root"))
    assert not check(proof, root.upper() + "0")


@settings(deadline=None, max_examples=30)
@given(st.sets(digests, min_size=1, max_size=9), st.data())
def test_a_member_cannot_be_hidden(ids: set[str], data: st.DataObject) -> None:
    hidden = data.draw(st.sampled_from(sorted(ids)))
    packed, without = pack(ids), pack(ids - {hidden})
    lie = prove(without, hidden)
    assert not lie.is_member
    assert check(lie, root_of(without))
    assert root_of(without) != root_of(packed)
    near = [prove(packed, hidden), *(prove(packed, one) for one in ids)]
    leaves = {lie.leaf, (FIRST, LAST), *(one.leaf for one in near)} - {near[0].leaf}
    paths = {lie.path, *(one.path for one in near)}
    for size in (len(ids), len(ids) - 1):
        for leaf in leaves:
            for path in paths:
                for index in range(size + 1):
                    assert not check(SampleProof(hidden, size, index, leaf, path), root_of(packed))


def test_a_node_of_the_tree_is_no_leaf() -> None:
    packed = pack(ids_of(3))  # four leaves: two nodes below the root
    names = list(unpack(packed))
    left = node_hash(leaf_hash(bytes(32) + packed[:32]), leaf_hash(packed[:64]))
    right = node_hash(leaf_hash(packed[32:96]), leaf_hash(packed[64:] + b"\xff" * 32))
    assert node_hash(left, right).hex() == root_of(packed)
    for sample in (left.hex(), *names):
        assert not check(SampleProof(sample, 0, 0, (left.hex(), right.hex()), ()), root_of(packed))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 6, 7, 8, 9, 30, 31, 32, 33, 100])
def test_no_proof_is_longer_than_its_tree_is_deep(count: int) -> None:
    packed = pack(ids_of(count))
    present = [prove(packed, sample).num_bytes for sample in unpack(packed)]
    absent = [prove(packed, f"{int(sample, 16) + 1:064x}").num_bytes for sample in (FIRST, *unpack(packed))]
    assert max([*present, *absent]) == 32 * deepest(count + 1) + 80


@pytest.mark.parametrize("count", [4094, 4095, 4096])
def test_proofs_in_a_large_set_are_as_short_as_computed(count: int) -> None:
    packed = pack(ids_of(count))
    names = list(unpack(packed))
    root, random_ = root_of(packed), random.Random(5)
    asked = [names[0], names[-1], *random_.sample(names, 8), *(sha(f"stranger {number}") for number in range(8))]
    asked += [f"{1:064x}", f"{2**256 - 2:064x}"]
    for sample in asked:
        proof = prove(packed, sample)
        assert check(proof, root)
        assert proof.num_bytes <= 32 * deepest(count + 1) + 80 <= 32 * 13 + 80


@pytest.mark.parametrize("count", [2**23, 10_000_000, 2**24 - 1, 2**28 - 1])
def test_every_proof_is_at_most_a_kilobyte(count: int) -> None:
    """All places have at most the deepest path; a proof is that, 64 bytes of leaf and two numbers."""
    most = 32 * deepest(count + 1) + 64 + 16
    assert most == {23: 848, 24: 848, 28: 976}[count.bit_length() if count != 2**23 else 23]
    assert most <= MOST_BYTES


def test_ends_of_the_list_are_no_samples() -> None:
    packed = pack(ids_of(9))
    for end, row in ((FIRST, 0), (LAST, 9)):
        for refusing in (lambda end=end: pack([sha("one"), end]), lambda end=end: prove(packed, end)):
            with pytest.raises(ManifestError, match=rf"64 times {end[0]} stands for an end of the list") as refused:
                refusing()
            assert "\n" not in str(refused.value)
        assert not contains(packed, end)
        forged = b"".join(sorted([*(bytes.fromhex(one) for one in ids_of(9)), bytes.fromhex(end)]))
        assert f"row {row} ({end}) stands for an end" in str(first_fault(forged, root_of(forged)))
        for leaf in ((FIRST, FIRST), (FIRST, LAST), (LAST, LAST)):
            assert not check(SampleProof(end, 0, 0, leaf, ()), leaf_hash(bytes.fromhex("".join(leaf))).hex())


def test_a_cut_off_set_has_no_root() -> None:
    with pytest.raises(ValueError, match="95 bytes are no whole number of leaves of 32 bytes"):
        root_of(pack(ids_of(3))[:-1])


@pytest.mark.parametrize("sample", ["", "ab", "g" * 64, "A" * 64, "../" + "0" * 61])
def test_what_is_no_digest_is_refused(sample: str) -> None:
    with pytest.raises(ManifestError, match="64 hexadecimal digits"):
        pack([sample])
    with pytest.raises(ManifestError, match="64 hexadecimal digits"):
        prove(b"", sample)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"sample": 3}',
        '{"sample": "a", "size": "x", "index": 0, "leaf": [], "path": "?"}',
        f'{{"sample": "{FIRST}", "size": 1, "index": 0, "leaf": ["{LAST}"], "path": ""}}',
        f'{{"sample": "{FIRST}", "size": Infinity, "index": 0, "leaf": ["{FIRST}", "{LAST}"], "path": ""}}',
        f'{{"sample": "{FIRST}", "size": 1, "index": 0, "leaf": ["{FIRST}", "{LAST}"], "path": "AAAA"}}',
    ],
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
