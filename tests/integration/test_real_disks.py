"""A disk that is really full and a file system that is really read-only: small mounts, where we may make them."""

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.fixture
def mounted(workspace) -> Generator[Path]:
    """The workspace's artifacts folder on a file system of its own, of 64 KiB."""
    artifacts = workspace.root / "artifacts"
    artifacts.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(artifacts)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only who may mount (root outside a locked container) can try a real disk")
    yield artifacts
    subprocess.run(["umount", str(artifacts)], check=True, timeout=60)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_a_full_disk_is_one_line_and_the_run_goes_on_where_it_stopped(workspace, mounted):
    (workspace.root / "data" / "words.txt").write_text("apple\n" * 2_000)
    workspace.set_params("second: {times: 3", "second: {times: 10")
    said = one_line(workspace.easel("run", "--executor", "local", check=False))
    assert "the disk is full" in said
    assert "free some space" in said
    assert (mounted / "once.txt").exists()
    assert not (mounted / "twice.txt").exists()
    assert not list(mounted.glob(".making-*"))
    subprocess.run(["mount", "-o", "remount,size=16m", str(mounted)], check=True, timeout=60)
    done = workspace.easel("run", "--executor", "local")
    assert "1 stage" in done.stdout
    assert (mounted / "twice.txt").stat().st_size == 10 * (mounted / "once.txt").stat().st_size


def test_a_read_only_file_system_is_one_line(workspace, mounted):
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True, timeout=60)
    said = one_line(workspace.easel("run", "--executor", "local", check=False))
    assert "artifacts" in said
    assert "writable" in said
