"""Bytes to latents: in order, at every side, as one by one."""

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from components.data.buckets import Bucket
from components.data.config import DecodeLimits
from components.data.part_store import open_store
from components.models.autoencoder import build_autoencoder, encode_latents
from components.models.config import AutoencoderConfig
from components.training import encoded_parts
from components.training.encoding import encode_images, to_images

LIMITS = DecodeLimits(max_pixels=10_000, max_bytes=100_000, max_ratio=100.0)


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval().requires_grad_(False)


def png(pixels_u8: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_u8).save(buffer, "PNG")
    return buffer.getvalue()


SQUARES = (Bucket(32, 32), Bucket(64, 64))


def test_latents_are_those_of_each_image_alone(autoencoder):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    data = [png(p) for p in pixels]
    (group,) = encode_images(autoencoder, data, [(64, 64)] * 5, [SQUARES] * 5, "pad", LIMITS, 2)
    assert group.crops == SQUARES
    assert group.rows.tolist() == list(range(5))
    assert [array.shape for array in group.latents] == [(5, 8, 2, 2), (5, 8, 4, 4)]
    for number, one in enumerate(pixels):
        alone = encode_latents(autoencoder, to_images(one[None]))
        np.testing.assert_allclose(group.latents[1][number], alone[0].numpy(), rtol=2e-3, atol=2e-3)


class Pool:
    """Images of two aspects; counts how many are read, and breaks when told to."""

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.num_read, self.breaks_after = 0, breaks_after

    def read(self, sample_ids: Sequence[str]) -> pa.Table:
        if self.num_read > self.breaks_after:
            raise OSError("killed")
        self.num_read += len(sample_ids)
        return pa.table({"sample_id": sample_ids, "bytes": [self.image(int(one)) for one in sample_ids]})

    def image(self, number: int) -> bytes:
        width, height = self.size(number)
        return png(np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8))

    def size(self, number: int) -> tuple[int, int]:
        return ((64, 64), (130, 32))[number % 2]

    def pictures(self, ids: Sequence[str]) -> encoded_parts.Pictures:
        sizes = [self.size(int(one)) for one in ids]
        samples = {"sample_id": ids, "width": [size[0] for size in sizes], "height": [size[1] for size in sizes]}
        return encoded_parts.pictures_of(pa.table(samples), self.read, (32, 64), 4.0)


IDS = [f"{number:02d}" for number in range(24)]


@pytest.fixture
def encode(autoencoder, tmp_path, monkeypatch):
    """`encode_pictures` with small parts and an autoencoder on disk."""
    monkeypatch.setattr(encoded_parts, "PART_IMAGES", 4)
    autoencoder.save_pretrained(tmp_path / "autoencoder")

    def call(pool: Pool, ids: Sequence[str]):
        pictures = pool.pictures(ids)
        return encoded_parts.encode_pictures(pictures, tmp_path / "autoencoder", "crop", LIMITS, 3, lambda _: None)

    return call


def assert_equal(one, other) -> None:
    assert [list(buckets) for buckets in one] == [list(buckets) for buckets in other]
    for buckets, others in zip(one, other, strict=True):
        for bucket, part in buckets.items():
            np.testing.assert_array_equal(part.rows, others[bucket].rows)
            np.testing.assert_array_equal(part.latents, others[bucket].latents)


def test_every_image_is_in_its_bucket_at_every_resolution(encode):
    small, large = encode(Pool(), IDS)
    assert {str(bucket): part.latents.shape for bucket, part in large.items()} == {
        "32x128": (12, 8, 2, 8), "64x64": (12, 8, 4, 4)
    }  # fmt: skip
    assert large[Bucket(64, 64)].rows.tolist() == list(range(0, 24, 2))
    assert sorted(row for part in small.values() for row in part.rows) == list(range(24))


def test_more_images_cost_their_share_and_change_nothing_of_the_others(encode, tmp_path):
    longer = [*IDS[:9], "98", *IDS[9:], "99"]
    with open_store(tmp_path / "parts", "code"):
        first, again, more = Pool(), Pool(), Pool()
        encode(first, IDS)
        encode(again, IDS)
        incremental = encode(more, longer)
    assert (first.num_read, again.num_read) == (len(IDS), 0)
    assert 2 <= more.num_read < len(IDS)
    assert_equal(incremental, encode(Pool(), longer))


def test_a_broken_encode_resumes_with_its_finished_parts(encode, tmp_path):
    with open_store(tmp_path / "parts", "code"):
        broken, resumed = Pool(breaks_after=8), Pool()
        with pytest.raises(OSError, match="killed"):
            encode(broken, IDS)
        result = encode(resumed, IDS)
    assert resumed.num_read == len(IDS) - broken.num_read < len(IDS)
    assert_equal(result, encode(Pool(), IDS))


def test_a_damaged_part_is_made_again(encode, tmp_path):
    with open_store(tmp_path / "parts", "code"):
        before = encode(Pool(), IDS)
        part = next((tmp_path / "parts").rglob("*.safetensors"))
        part.write_bytes(part.read_bytes()[:-1] + b"?")
        pool = Pool()
        after = encode(pool, IDS)
    assert 0 < pool.num_read < len(IDS)
    assert_equal(before, after)


def test_bytes_become_the_range_from_minus_one_to_one():
    pixels = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    assert to_images(pixels).ravel().tolist() == pytest.approx([-1, -0.6, 1])
