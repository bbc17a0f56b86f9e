"""Latents in a bucket of a real S3 server: copied, continued after a kill, followed when they change, refused."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data import latents as store
from components.data.buckets import Bucket
from components.data.errors import DataError
from components.data.readers.mirror import mirrored
from tests.unit.data.test_latents import written_in_buckets

MEGABYTE = 1 << 20


def upload(client: Any, folder: Path, prefix: str) -> None:
    for file in folder.iterdir():
        client.put_object(Bucket="pool", Key=f"{prefix}/{file.name}", Body=file.read_bytes())


def sums(folder: Path) -> bytes:
    """What sha256sum itself writes."""
    names = sorted(file.name for file in folder.iterdir())
    return subprocess.run(["sha256sum", *names], cwd=folder, check=True, capture_output=True, timeout=60).stdout


def held(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name[0] != "."}


def test_a_store_in_a_bucket_is_read_as_the_one_it_is_a_copy_of(bucket: Any, tmp_path: Path) -> None:
    latents = written_in_buckets(tmp_path / "made")
    (tmp_path / "made" / "SHA256SUMS").write_bytes(sums(tmp_path / "made"))
    upload(bucket, tmp_path / "made", "store")
    there = mirrored("s3://pool/store", tmp_path / "cache", MEGABYTE)
    assert held(there) == held(tmp_path / "made")
    read = store.read_buckets(there, 64, "of this autoencoder")
    for shape, array in latents.items():
        np.testing.assert_array_equal(read[shape].latents[np.arange(len(array))], array)
    assert read[Bucket(32, 128)].rows.column("sample_id").to_pylist() == ["s1"]


def test_only_what_changed_is_fetched_again_and_what_is_gone_goes(bucket: Any, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        bucket.put_object(Bucket="pool", Key=f"changing/{name}", Body=name.encode())
    there = mirrored("s3://pool/changing", tmp_path, MEGABYTE)
    before = {name: (there / name).stat().st_ino for name in ("a", "b")}
    bucket.put_object(Bucket="pool", Key="changing/b", Body=b"other")
    bucket.delete_object(Bucket="pool", Key="changing/c")
    assert mirrored("s3://pool/changing", tmp_path, MEGABYTE) == there
    assert held(there) == {"a": b"a", "b": b"other"}
    assert (there / "a").stat().st_ino == before["a"]


def test_a_fetch_that_was_killed_goes_on_where_it_stopped(bucket: Any, tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(24 * MEGABYTE)
    bucket.put_object(Bucket="pool", Key="large/file", Body=data)
    work = f"""
import resource, signal
from pathlib import Path
from components.data.readers.mirror import mirrored
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the system ends who writes more than this into a file
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, ({16 * MEGABYTE}, {16 * MEGABYTE}))
mirrored("s3://pool/large", Path({str(tmp_path)!r}), {len(data)})
"""
    killed = subprocess.run([sys.executable, "-c", work], timeout=240, check=False)
    assert killed.returncode == -signal.SIGXFSZ
    (partial,) = tmp_path.rglob(".partial/*")
    assert partial.stat().st_size == 16 * MEGABYTE
    inode = partial.stat().st_ino
    there = mirrored("s3://pool/large", tmp_path, len(data))
    assert hashlib.sha256((there / "file").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert (there / "file").stat().st_ino == inode  # the same file, with what was missing added
    assert not (there / ".partial").exists()


def test_what_is_not_what_its_digest_says_is_refused_and_fetched_anew(bucket: Any, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a").write_bytes(b"what was meant")
    bucket.put_object(Bucket="pool", Key="damaged/SHA256SUMS", Body=sums(tmp_path / "made"))
    bucket.put_object(Bucket="pool", Key="damaged/a", Body=b"what was ment!")
    for _ in range(2):
        with pytest.raises(DataError, match="a is not what SHA256SUMS or its size says; upload it anew"):
            mirrored("s3://pool/damaged", tmp_path / "cache", MEGABYTE)
    bucket.put_object(Bucket="pool", Key="damaged/a", Body=b"what was meant")
    assert held(mirrored("s3://pool/damaged", tmp_path / "cache", MEGABYTE))["a"] == b"what was meant"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://pool/nothing", "s3://pool/nothing: holds no files; check the name"),
        ("s3://absent/x", "s3://absent/x: cannot be listed"),
        ("s3://pool/heavy", "2,000,000 bytes, at most 1,048,576 are allowed"),
        ("s3://pool/odd", "'a//out' cannot be a file here"),
        ("gs://pool/x", "gs://pool/x"),
    ],
)
def test_a_place_that_cannot_be_copied_is_told_in_one_line(bucket: Any, tmp_path: Path, place: str, said: str) -> None:
    bucket.put_object(Bucket="pool", Key="heavy/file", Body=bytes(2_000_000))
    bucket.put_object(Bucket="pool", Key="odd/a//out", Body=b"x")
    with pytest.raises(DataError, match=said) as caught:
        mirrored(place, tmp_path, MEGABYTE)
    assert "\n" not in str(caught.value)
