import hashlib
import os

import numpy as np
import pyarrow as pa
import pytest
import rfc8785

from components.data.part_store import PartStore, current_store, open_store, prune

TABLE = pa.table({"sample_id": ["a", "b"], "score": pa.array([0.1, float("nan")], pa.float32())})


def unexpected() -> pa.Table:
    raise AssertionError("made again")


def test_a_part_is_made_once_and_comes_back_identical(tmp_path):
    made = PartStore(tmp_path, "code").table({"part": 1}, lambda: TABLE)
    found = PartStore(tmp_path, "code").table({"part": 1}, unexpected)
    assert made.schema == found.schema == TABLE.schema
    assert str(found.to_pylist()) == str(TABLE.to_pylist())  # nan is not equal to itself


@pytest.mark.parametrize(
    ("code", "key"), [("other", {"part": 1}), ("code", {"part": 2}), ("code", {"part": 1, "px": 8})]
)
def test_another_key_or_other_code_never_sees_it(tmp_path, code, key):
    PartStore(tmp_path, "code").table({"part": 1}, lambda: TABLE)
    assert PartStore(tmp_path, code).table(key, lambda: TABLE.slice(1)).num_rows == 1


def test_the_order_of_a_keys_names_does_not_matter(tmp_path):
    PartStore(tmp_path).table({"a": 1, "b": [2, "x"]}, lambda: TABLE)
    assert PartStore(tmp_path).table({"b": [2, "x"], "a": 1}, unexpected).num_rows == 2


@pytest.mark.parametrize("offset", [0, 30, -1])
def test_a_changed_byte_is_noticed_and_the_part_made_again(tmp_path, offset):
    store = PartStore(tmp_path)
    store.arrays({"part": 1}, lambda: {"x": np.arange(6, dtype=np.float16).reshape(2, 3)})
    (entry,) = (file for file in tmp_path.rglob("*.safetensors"))
    data = bytearray(entry.read_bytes())
    data[offset] ^= 1
    entry.write_bytes(data)
    again = store.arrays({"part": 1}, lambda: {"x": np.ones(2)})
    assert again["x"].tolist() == [1, 1]
    assert (store.num_made, store.num_found) == (2, 0)


def test_transposed_arrays_keep_their_values(tmp_path):
    x = np.arange(6.0).reshape(2, 3).T
    np.testing.assert_array_equal(PartStore(tmp_path).arrays({"x": 1}, lambda: {"x": x})["x"], x)


def test_a_failed_part_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        PartStore(tmp_path).table({"part": 1}, lambda: pa.table({"x": [1 // 0]}))
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_pruning_deletes_what_was_used_longest_ago(tmp_path):
    store = PartStore(tmp_path)
    for part in range(4):
        store.arrays({"part": part}, lambda: {"x": np.zeros(100)})
    files = sorted(tmp_path.rglob("*.safetensors"))
    size = files[0].stat().st_size
    for age, part in enumerate((3, 1, 0, 2)):  # oldest first
        (file,) = (f for f in files if f.name.startswith(_digest(part)))
        os.utime(file, (age, age))
    assert prune(tmp_path, 2 * size) == 2 * size
    store.num_found = 0
    for part in (0, 2):
        store.arrays({"part": part}, lambda: {"x": np.ones(1)})
    assert store.num_found == 2


def _digest(part: int) -> str:
    return hashlib.sha256(rfc8785.dumps({"code": "", "key": {"part": part}})).hexdigest()


def test_only_inside_the_block_is_there_a_store(tmp_path):
    with open_store(tmp_path, "code") as store:
        assert current_store() is store
    assert current_store().table({"part": 1}, lambda: TABLE).num_rows == 2
    assert current_store().num_found == 0
