"""Latents encoded when they are asked for, against the same ones kept in files."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
import torch

from components.data import latents as kept
from components.data.buckets import Bucket
from components.data.errors import DataError
from components.data.records import SELECTION
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig
from components.paths.noise import normal_noise
from components.training import encoded_parts
from components.training.batches import BatchSource
from components.training.config import BatchConfig
from components.training.encoding_now import read_fresh
from tests.unit.training.test_encoding import IDS, LIMITS, Pool

PX = 64


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval().requires_grad_(False)


@pytest.fixture
def pictures() -> encoded_parts.Pictures:
    both = Pool().pictures(IDS)
    return dataclasses.replace(both, crops=[(crops[1],) for crops in both.crops])


@pytest.fixture
def folder(tmp_path, autoencoder, pictures):
    """Both: latents in files, and the rows, captions and texts that they share with those made anew."""
    rows = [
        {"sample_id": one, "category": "a", "style": "b", "concept": "c", "split": "train", "probability": 1 / len(IDS)}
        for one in IDS
    ]
    autoencoder.save_pretrained(tmp_path / "autoencoder")
    (encoded,) = encoded_parts.encode_pictures(pictures, tmp_path / "autoencoder", "crop", LIMITS, 5, lambda _: None)
    directory = tmp_path / "latents"
    kept.write_layout(directory, kept.Layout("sha", "crop", {PX: list(encoded)}))
    for bucket, part in encoded.items():
        kept.write_latents(directory, PX, part.latents, part.rows, bucket)
    links = pa.table([range(len(IDS)), ["short"] * len(IDS), range(1, len(IDS) + 1)], schema=kept.CAPTION_LINKS)
    states = [np.full((2, 4), number, np.float16) for number in range(len(IDS) + 1)]
    kept.write_texts(directory, links, ["", *IDS], kept.pack_texts(states))
    kept.write_rows(directory, pa.Table.from_pylist(rows, schema=SELECTION))
    return directory


def test_a_run_sees_the_same_as_with_latents_that_were_kept(folder, autoencoder, pictures):
    fresh = read_fresh(folder, pictures, autoencoder, "crop", LIMITS, 3)
    stored = kept.read_buckets(folder, PX)
    assert set(fresh) == set(stored) == {Bucket(64, 64), Bucket(32, 128)}
    assert {bucket: fresh[bucket].latents.shape for bucket in fresh} == {
        bucket: stored[bucket].latents.shape for bucket in stored
    }
    sources = [BatchSource(buckets, BatchConfig(6, {"short": 1.0}, 0.2), seed=3) for buckets in (fresh, stored)]
    assert sources[0].manifest_hash == sources[1].manifest_hash
    for new, old in zip(*(source.slices(0, 12) for source in sources), strict=True):
        assert (new.sample_ids, new.bucket, new.texts.tolist()) == (old.sample_ids, old.bucket, old.texts.tolist())
        torch.testing.assert_close(new.x_0, old.x_0, rtol=2e-3, atol=2e-3)
        assert torch.equal(normal_noise(new.x_0, new.generators), normal_noise(old.x_0, old.generators))


def test_an_image_that_comes_twice_in_a_batch_is_read_once(folder, autoencoder, pictures):
    pool = Pool()
    counted = dataclasses.replace(pictures, read=pool.read)
    latents = read_fresh(folder, counted, autoencoder, "crop", LIMITS, 3)[Bucket(64, 64)].latents
    found = latents[np.array([3, 0, 3, 3])]
    assert pool.num_read == 2
    assert (found[0] == found[2]).all()
    assert (found[0] != found[1]).any()


def test_images_of_other_rows_are_refused(folder, autoencoder, pictures):
    others = dataclasses.replace(pictures, sample_ids=[*IDS[1:], IDS[0]])
    with pytest.raises(DataError, match="its rows are not the images that are given"):
        read_fresh(folder, others, autoencoder, "crop", LIMITS, 3)
