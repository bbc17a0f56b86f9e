"""Features: incremental is from scratch, finished parts are not made again, ids keep their rows."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.data import feature_table
from components.data.config import DecodeLimits
from components.data.errors import DataError
from components.data.feature_table import features_of_images, read_features, write_features
from components.data.part_store import open_store

PX = 8
LIMITS = DecodeLimits(max_pixels=10**6, max_bytes=10**6, max_ratio=500.0, background=(255, 255, 255))


def picture(name: str) -> bytes:
    out = io.BytesIO()
    seed = int.from_bytes(name.encode())
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (12, 9, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def read(ids: list[str]) -> pa.Table:
    return pa.table({"sample_id": ids, "bytes": [picture(one) for one in ids]})


class Extract:
    """A few sums of each image; counts the images that it was shown, and dies when told to."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.num_images, self.dies_after = 0, dies_after

    def __call__(self, images_u8: np.ndarray) -> np.ndarray:
        if self.dies_after is not None and self.num_images >= self.dies_after:
            raise RuntimeError("killed")
        self.num_images += len(images_u8)
        return images_u8.astype(np.float16).mean(axis=(1, 2))


def features(ids: list[str], extract: Extract, made_by: str = "sums") -> np.ndarray:
    return features_of_images(read, ids, extract, made_by={"by": made_by}, px=PX, limits=LIMITS, batch_size=4)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_table, "PART_ROWS", 5)


IDS = [f"{k:03d}" for k in range(40)]


def test_more_images_cost_only_their_share_and_the_result_is_that_of_a_fresh_start(tmp_path: Path) -> None:
    longer = [*IDS[:10], "new", *IDS[10:], "newer"]
    with open_store(tmp_path, "code"):
        features(IDS, Extract())
        again, more = Extract(), Extract()
        features(IDS, again)
        incremental = features(longer, more)
    assert again.num_images == 0
    assert 2 <= more.num_images <= 20
    fresh = features(longer, Extract())
    np.testing.assert_array_equal(incremental, fresh)
    assert incremental.shape == (42, 3)
    assert incremental.dtype == np.float16


def test_a_killed_extraction_goes_on_where_it_was(tmp_path: Path) -> None:
    with open_store(tmp_path, "code"):
        first, second = Extract(dies_after=25), Extract()
        with pytest.raises(Exception, match="killed"):
            features(IDS, first)
        resumed = features(IDS, second)
    assert second.num_images < len(IDS)
    np.testing.assert_array_equal(resumed, features(IDS, Extract()))


def test_another_network_makes_other_parts(tmp_path: Path) -> None:
    with open_store(tmp_path, "code"):
        features(IDS, Extract())
        other = Extract()
        features(IDS, other, made_by="other sums")
    assert other.num_images == len(IDS)


def test_features_come_back_by_id(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float16).reshape(4, 3)
    write_features(values, list("abcd"), tmp_path / "features")
    np.testing.assert_array_equal(read_features(tmp_path / "features", ["c", "a"]), values[[2, 0]])
    with pytest.raises(DataError, match="no features of sample e"):
        read_features(tmp_path / "features", ["a", "e"])
