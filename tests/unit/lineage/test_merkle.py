"""Merkle trees: known vectors, the recursive definition, and proofs that hold for what they say and nothing else."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.lineage import merkle
from components.lineage.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    packed_root,
    root,
    verify_consistency,
    verify_inclusion,
)

# The leaves, roots and paths that Certificate Transparency's own implementations are tested with.
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
hashes = st.lists(st.binary(min_size=0, max_size=5).map(leaf_hash), min_size=1, max_size=40)


def definition(leaves):
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = max(2**i for i in range(10) if 2**i < len(leaves))
    return node_hash(definition(leaves[:k]), definition(leaves[k:]))


def path(leaves, m):
    """RFC 6962 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = max(2**i for i in range(10) if 2**i < len(leaves))
    if m < k:
        return [*path(leaves[:k], m), definition(leaves[k:])]
    return [*path(leaves[k:], m - k), definition(leaves[:k])]


def subproof(leaves, m, is_whole=True):
    """RFC 6962 section 2.1.2, word for word."""
    n = len(leaves)
    if m == n:
        return [] if is_whole else [definition(leaves)]
    k = max(2**i for i in range(10) if 2**i < n)
    if m <= k:
        return [*subproof(leaves[:k], m, is_whole), definition(leaves[k:])]
    return [*subproof(leaves[k:], m - k, False), definition(leaves[:k])]


def test_the_known_roots():
    assert root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [root(LEAVES[: n + 1]).hex() for n in range(8)] == ROOTS


def test_a_known_path():
    found = [one.hex() for one in inclusion_proof(LEAVES, 5)]
    assert found == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(hashes, st.data())
def test_roots_and_proofs_are_the_definitions(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    old = data.draw(st.integers(1, len(leaves)))
    assert root(leaves) == definition(leaves)
    assert inclusion_proof(leaves, index) == path(leaves, index)
    assert consistency_proof(leaves, old) == subproof(leaves, old)


@given(hashes, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_place_and_root_alone(leaves, data):
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    top = root(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, top)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, top)
    assert not verify_inclusion(leaves[index], index, size, [*proof, top], top)
    assert not verify_inclusion(leaves[index], size, size, proof, top)
    for other in set(range(size)) - {index}:
        assert not verify_inclusion(leaves[index], other, size, proof, top) or leaves[other] == leaves[index]
    for place in range(len(proof)):
        changed = [*proof[:place], leaf_hash(b"another"), *proof[place + 1 :]]
        assert not verify_inclusion(leaves[index], index, size, changed, top)


@given(hashes, hashes, st.data())
def test_a_consistency_proof_holds_for_one_history_alone(leaves, others, data):
    old = data.draw(st.integers(1, len(leaves)))
    before, after = root(leaves[:old]), root(leaves)
    proof = consistency_proof(leaves, old)
    assert verify_consistency(old, before, len(leaves), after, proof)
    if root(others) != after:
        assert not verify_consistency(old, before, len(leaves), root(others), proof)
        assert not verify_consistency(old, root(others), len(leaves), after, proof) or root(others) == before
    for place in range(len(proof)):
        changed = [*proof[:place], leaf_hash(b"another"), *proof[place + 1 :]]
        assert not verify_consistency(old, before, len(leaves), after, changed)


@given(st.lists(st.binary(min_size=3, max_size=3), max_size=40), st.sampled_from([1, 2, 4, 8]))
def test_packed_leaves_have_the_root_of_their_hashes_whatever_the_block(leaves, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "_BLOCK", block)
        patch.setattr(merkle, "_FEWEST_SHARED", 1000)  # other processes have the block that they always have
        assert packed_root(b"".join(leaves), 3) == definition([leaf_hash(one) for one in leaves])


@pytest.mark.parametrize("extra", [0, 1, 16384 * 3 + 5])
def test_processes_agree_with_one_leaf_after_another(extra):
    number = 16384 * 17 + extra
    packed = b"".join(value.to_bytes(4) for value in range(number))
    grown = Frontier()
    for at in range(0, len(packed), 4):
        grown.add(leaf_hash(packed[at : at + 4]))
    assert packed_root(packed, 4) == grown.root()


@given(st.lists(st.binary(min_size=2, max_size=2), max_size=40), st.sampled_from([1, 2, 8]), st.data())
def test_leaves_that_share_bytes_have_the_root_of_their_hashes_wherever_the_parts_end(pieces, block, data):
    whole = b"".join(pieces) + b"end"
    leaves = [leaf_hash(whole[at : at + 5]) for at in range(0, 2 * len(pieces), 2)]
    first, second = sorted(data.draw(st.integers(0, len(whole))) for _ in range(2))
    parts = {"before": whole[:first], "after": whole[second:]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merkle, "_BLOCK", block)
        patch.setattr(merkle, "_FEWEST_SHARED", 1000)  # other processes have the block that they always have
        assert packed_root(whole[first:second], 5, step=2, **parts) == definition(leaves)


@pytest.mark.parametrize("extra", [0, 1, 16384 * 3 + 5])
def test_processes_agree_on_leaves_that_share_bytes(extra):
    number = 16384 * 17 + extra
    packed = b"".join(value.to_bytes(4) for value in range(1, number))
    apart = b"".join(value.to_bytes(4) + ((value + 1) % number).to_bytes(4) for value in range(number))
    assert packed_root(packed, 8, step=4, before=bytes(4), after=bytes(4)) == packed_root(apart, 8)


def test_half_a_leaf_and_a_place_outside_are_refused():
    with pytest.raises(ValueError, match="7 bytes are no whole number of leaves of 4 bytes"):
        packed_root(b"1234567", 4)
    with pytest.raises(ValueError, match="7 bytes are no whole number of leaves of 4 bytes"):
        packed_root(b"1234567", 8, step=4)
    with pytest.raises(ValueError, match="0 bytes are no whole number of leaves of 4 bytes"):
        packed_root(b"", 8, step=4)
    with pytest.raises(ValueError, match="leaf 8 of 8; allowed: 0 to 7"):
        inclusion_proof(LEAVES, 8)
    with pytest.raises(ValueError, match="no earlier size 9"):
        consistency_proof(LEAVES, 9)
    with pytest.raises(ValueError, match="has 2 full subtrees, not 1"):
        Frontier(3, [LEAVES[0]])


def test_hashes_that_are_cut_apart_elsewhere_prove_nothing():
    left, right = LEAVES[:2]
    both = node_hash(left, right)
    assert verify_inclusion(left, 0, 2, [right], both)
    assert not verify_inclusion(left + right[:1], 0, 2, [right[1:]], both)
    assert verify_consistency(1, left, 2, both, [right])
    assert not verify_consistency(1, left + right[:1], 2, both, [right[1:]])
