"""Stores: a value is whole, on the disk, and never replaced."""

import os
import threading
from pathlib import Path

import pytest

from components.lineage.errors import LedgerError
from components.lineage.store import FolderStore


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "ledger")


def test_a_value_comes_back_and_is_never_replaced(store):
    assert store.create("records/a.json", b"first")
    assert not store.create("records/a.json", b"second")
    assert store.read("records/a.json") == b"first"
    assert store.read("records/b.json") is None
    assert store.read("records") is None


def test_names_are_sorted_and_begin_as_asked(store):
    for name in ("records/b", "records/a", "receipts/deep/c", "entries/1", "rec"):
        store.create(name, b"")
    assert store.names("") == ["entries/1", "rec", "receipts/deep/c", "records/a", "records/b"]
    assert store.names("rec") == ["rec", "receipts/deep/c", "records/a", "records/b"]
    assert store.names("records/") == ["records/a", "records/b"]
    assert store.names("nothing/") == []


def test_what_a_killed_writer_left_half_written_has_no_name(store, tmp_path):
    store.create("records/a", b"whole")
    (tmp_path / "ledger" / "records" / ".b.123.abcd").write_bytes(b"ha")
    assert store.names("") == ["records/a"]
    with pytest.raises(LedgerError, match="is no name in a ledger"):
        store.read("records/.b.123.abcd")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "records/../../x", "", "a//b", "a b", "é", "a\n"])
def test_names_that_lead_elsewhere_are_refused(store, name):
    for ask in (store.read, lambda one: store.create(one, b"")):
        with pytest.raises(LedgerError, match="is no name in a ledger"):
            ask(name)


def test_of_many_writers_of_one_name_one_wins_whole(store, tmp_path):
    values = [bytes([number]) * 100_000 for number in range(8)]
    won = list[bytes]()
    gate = threading.Barrier(8)

    def write(data):
        gate.wait()
        if store.create("records/one", data):
            won.append(data)

    threads = [threading.Thread(target=write, args=(data,)) for data in values]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert won == [store.read("records/one")]
    assert [file.name for file in (tmp_path / "ledger" / "records").iterdir()] == ["one"]


def test_a_file_system_without_links_is_one_line(store, monkeypatch):
    def link(*places):
        raise PermissionError(1, "Operation not permitted", *map(str, places))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(LedgerError, match="no hard links there"):
        store.create("records/a", b"x")
    assert store.names("") == []


def test_file_and_folder_are_synced_before_create_returns(store, monkeypatch, tmp_path):
    synced = list[str]()
    real = os.fsync

    def fsync(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.create("records/a", b"x")
    folder = str(tmp_path / "ledger")
    assert synced[-1] == f"{folder}/records"
    assert f"{folder}/records/.a." in synced[-2]
    assert folder in synced


def test_of_a_name_that_is_taken_the_folder_is_synced_too(store, monkeypatch, tmp_path):
    """Who made it may have been killed in between; what is built on it must not outlive it."""
    store.create("records/a", b"x")
    synced = list[str]()
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    assert not store.create("records/a", b"y")
    assert synced == [f"{tmp_path}/ledger/records"]


def test_a_pipe_or_a_device_is_not_read_for_ever(store, tmp_path):
    store.create("records/a", b"x")
    os.mkfifo(tmp_path / "ledger" / "records" / "pipe")
    (tmp_path / "ledger" / "records" / "zeros").symlink_to("/dev/zero")
    for name in ("records/pipe", "records/zeros"):
        with pytest.raises(LedgerError, match=f"{name}: no plain file"):
            store.read(name)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(store, tmp_path):
    assert store.names("heads/") == []
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "heads").write_bytes(b"")
    with pytest.raises(LedgerError, match="heads: cannot be listed: Not a directory"):
        store.names("heads/")
