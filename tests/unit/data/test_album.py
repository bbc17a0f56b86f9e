import hashlib
from pathlib import Path

import pytest

from components.data.album import Album
from components.data.errors import DataError
from components.data.records import read_images


def test_images_are_written_once_in_shards_and_read_back(tmp_path: Path) -> None:
    album, images = Album(tmp_path, shard_images=2), [b"a", b"b", b"a", b"c", b"b"]
    added = [album.add(data) for data in images]
    assert [is_new for _, is_new in added] == [True, True, False, True, False]
    shards = album.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    names = [hashlib.sha256(data).hexdigest() for data in (b"c", b"a")]
    assert shards.take(names).column("bytes").to_pylist() == [b"c", b"a"]
    assert read_images(tmp_path, names).column("bytes").to_pylist() == [b"c", b"a"]


def test_an_album_without_images_can_be_read(tmp_path: Path) -> None:
    shards = Album(tmp_path).close()
    assert read_images(tmp_path).num_rows == 0
    with pytest.raises(DataError, match="has no sample abc"):
        shards.take(["abc"])
