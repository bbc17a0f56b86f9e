"""Digests of files: what a second reading would find, although there is none."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from components.registry.hashes import path_sha256
from flows.lineage import file_digests
from flows.lineage.file_digests import FileDigests

SETTLED_S = 2 * file_digests.SETTLED_NS / 1e9


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    names = list[str]()
    original = file_digests.file_sha256

    def noted(path: Path) -> str:
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(file_digests, "file_sha256", noted)
    return names


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    folder = tmp_path / "work"
    (folder / "data" / "inner").mkdir(parents=True)
    for number in range(3):
        (folder / "data" / "inner" / f"{number}.bin").write_bytes(bytes([number]) * 1000)
    (folder / "table").write_text("a table")
    time.sleep(SETTLED_S)
    return folder


def test_a_folder_has_the_digest_of_its_files_and_a_file_its_own(root: Path) -> None:
    digests = FileDigests(root)
    folder, table = digests.of("data"), digests.of("table")
    assert (folder.sha256, folder.size, folder.count) == (path_sha256(root / "data"), 3000, 3)
    assert set(folder.files) == {"inner/0.bin", "inner/1.bin", "inner/2.bin"}
    assert (table.sha256, table.size, table.count) == (hashlib.sha256(b"a table").hexdigest(), 7, 1)
    assert not table.files


def test_what_did_not_change_is_read_once_by_any_process(root: Path, read: list[str]) -> None:
    for _ in range(2):
        digests = FileDigests(root)
        digests.of("data")
        digests.of("data")
        digests.save()
    assert sorted(read) == ["0.bin", "1.bin", "2.bin"]


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_change_of_the_same_size_is_seen_even_if_its_time_is_set_back(root: Path, keeps_time: bool) -> None:
    digests = FileDigests(root)
    before = digests.of("data")
    file = root / "data" / "inner" / "1.bin"
    at = file.stat()
    file.write_bytes(b"\x07" + file.read_bytes()[1:])
    if keeps_time:
        os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    after = digests.of("data")
    assert after.sha256 == path_sha256(root / "data") != before.sha256


def test_a_file_that_was_just_written_is_read_again(
    root: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests, "SETTLED_NS", 3600 * 10**9)  # however slow the machine is
    digests = FileDigests(root)
    (root / "new").write_text("new")
    assert digests.of("new").sha256 == digests.of("new").sha256
    assert read == ["new", "new"]


def test_a_replaced_file_is_read_again(root: Path) -> None:
    digests = FileDigests(root)
    digests.of("table")
    (root / "other").write_text("A table")
    (root / "other").replace(root / "table")
    assert digests.of("table").sha256 == hashlib.sha256(b"A table").hexdigest()


def test_a_damaged_list_is_no_list(root: Path) -> None:
    FileDigests(root).of("table")
    (root.parent / "home").mkdir()
    (root.parent / "home" / "digests.json").write_text("{")
    assert FileDigests(root).of("table").size == 7


def test_links_and_missing_files_are_named(root: Path) -> None:
    with pytest.raises(ValueError, match="absent: not there"):
        FileDigests(root).of("absent")
    (root / "data" / "link").symlink_to(root / "table")
    with pytest.raises(ValueError, match="link: a symbolic link"):
        FileDigests(root).of("data")
