"""What names a stage run, and how a change is put into words."""

import copy
import subprocess
import sys

import pytest
from dvc.lock import make_lock

from flows.freshness import changed_keys, describe, drop_torn_locks, fingerprint, output_hashes

ENTRY = {
    "cmd": "python -m flows stage a",
    "deps": [{"path": "data", "hash": "md5", "md5": "11", "size": 3}, {"path": "components/x.py", "md5": "22"}],
    "params": {"params.yaml": {"a": {"lr": 0.1, "seed": 1}}},
    "outs": [{"path": "artifacts/a", "hash": "md5", "md5": "33"}],
}


def changed(*path, value):
    entry = copy.deepcopy(ENTRY)
    at = entry
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        changed("params", "params.yaml", "a", "lr", value=0.2),
        changed("deps", 0, "md5", value="12"),
        changed("deps", 1, "md5", value="23"),
        changed("cmd", value="python -m flows stage b"),
    ],
    ids=["a hyper-parameter", "an input", "code", "the stage"],
)
def test_the_fingerprint_changes_with(entry):
    assert fingerprint(entry) != fingerprint(ENTRY)


@pytest.mark.parametrize("entry", [changed("outs", 0, "md5", value="34"), dict(reversed(ENTRY.items()))])
def test_the_fingerprint_does_not_change_with_what_was_made_nor_with_order(entry):
    assert fingerprint(entry) == fingerprint(ENTRY)


def test_changed_keys_name_each_difference_once():
    old = {"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]}
    new = {"a": 1, "b": {"c": 2, "d": 4}, "e": [1, 2], "f": 5}
    assert changed_keys(old, new, "s") == ["s.b.d: 3 -> 4", "s.f: None -> 5"]
    assert changed_keys(old, old, "s") == []


def test_describe_speaks_of_inputs_and_outputs():
    assert describe({"changed deps": {"data": "modified"}}) == ["input data modified"]
    assert describe({"changed outs": {"artifacts/a": "deleted"}}) == ["output artifacts/a deleted"]
    assert describe("changed command") == ["changed command"]


def test_output_hashes_carry_their_algorithm():
    assert output_hashes(ENTRY) == {"artifacts/a": "md5:33"}


@pytest.mark.parametrize(
    ("text", "stays"), [('{"read": {"data": [{"pid": 1, "cmd": "x"}]}}', True), ('{"read": {"da', False), ("", False)]
)
def test_a_list_of_locks_that_a_kill_cut_short_is_dropped(tmp_path, text, stays):
    (tmp_path / "rwlock").write_text(text)
    drop_torn_locks(tmp_path)
    assert (tmp_path / "rwlock").exists() == stays


def test_a_list_of_locks_that_another_process_is_writing_is_left_alone(tmp_path):
    (tmp_path / "rwlock").write_text("")
    with make_lock(str(tmp_path / "rwlock.lock"), tmp_dir=str(tmp_path)):
        call = "drop_torn_locks(Path(sys.argv[1]))"
        code = f"import sys; from pathlib import Path; from flows.freshness import drop_torn_locks; {call}"
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    assert (tmp_path / "rwlock").exists()
