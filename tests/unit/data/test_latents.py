"""The encoded selection: written, read back, and refused when something is missing."""

import json
import math
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from components.data import latents as store
from components.data.buckets import Bucket
from components.data.errors import DataError
from components.data.mapped import mapped_arrays
from components.data.records import CAPTIONS, SELECTION


def selection() -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "sample_id": f"s{row}",
                "category": "food",
                "style": "Noto",
                "concept": "c",
                "split": "train" if row else "heldout_cell",
                "probability": 0.5 if row else 0.0,
            }
            for row in range(3)
        ],
        schema=SELECTION,
    )


def captions(*rows: tuple[str, str, str, str]) -> pa.Table:
    made = [(*row, "metadata/1") for row in rows]
    return pa.Table.from_pylist([dict(zip(CAPTIONS.names, row, strict=True)) for row in made], schema=CAPTIONS)


CAPTIONS_OF_ALL = captions(
    ("s2", "short", "en", "an apple"),
    ("s0", "short", "en", "a pear"),
    ("s0", "short", "zh", "梨"),
    ("s0", "tags", "en", "pear, fruit"),
    ("s1", "short", "en", "an apple"),
    ("elsewhere", "short", "en", "a dog"),
)


def test_every_row_gets_its_texts_and_equal_texts_are_one():
    links, prompts = store.link_captions(selection(), CAPTIONS_OF_ALL, ["short", "tags"], "en")
    assert prompts[store.EMPTY_TEXT] == ""
    assert sorted(prompts[1:]) == ["a pear", "an apple", "pear, fruit"]
    told = {(link["row"], link["kind"]): prompts[link["text"]] for link in links.to_pylist()}
    assert told == {
        (0, "short"): "a pear", (0, "tags"): "pear, fruit", (1, "short"): "an apple", (2, "short"): "an apple"
    }  # fmt: skip


def test_of_several_captioners_the_first_named_stands():
    again = pa.concat_tables([CAPTIONS_OF_ALL, captions(("s0", "short", "en", "what another captioner saw"))])
    _, prompts = store.link_captions(selection(), again, ["short"], "en")
    assert prompts == store.link_captions(selection(), CAPTIONS_OF_ALL, ["short"], "en")[1]


def test_an_image_without_a_caption_is_named():
    with pytest.raises(DataError, match=r"1 of 3 images .* first is s1"):
        store.link_captions(selection(), CAPTIONS_OF_ALL.slice(0, 4), ["short"], "en")


def test_packed_texts_come_back():
    rng = np.random.default_rng(0)
    states = [rng.standard_normal((n, 4)).astype(np.float16) for n in (2, 5, 1, 3)]
    packed = store.pack_texts(states)
    assert packed.offsets.tolist() == [0, 2, 7, 8, 11]
    for number, text in enumerate(states):
        np.testing.assert_array_equal(packed.of(number), text)


def test_what_is_written_is_read(tmp_path):
    rng = np.random.default_rng(0)
    latents = {px: rng.standard_normal((3, 8, px // 16, px // 16)).astype(np.float16) for px in (32, 64)}
    links, prompts = store.link_captions(selection(), CAPTIONS_OF_ALL, ["short", "tags"], "en")
    texts = store.pack_texts([rng.standard_normal((2 + n, 4)).astype(np.float16) for n in range(len(prompts))])
    for px, array in latents.items():
        store.write_latents(tmp_path, px, array)
    store.write_texts(tmp_path, links, prompts, texts)
    store.write_rows(tmp_path, selection())
    read = store.read_latents(tmp_path, 64)
    np.testing.assert_array_equal(read.latents, latents[64])
    assert read.rows.equals(selection())
    assert read.prompts == prompts
    np.testing.assert_array_equal(read.texts.states, texts.states)
    assert [prompts[text] for text in read.captions["short"]] == ["a pear", "an apple", "an apple"]
    assert read.captions["tags"].tolist()[1:] == [-1, -1]
    assert read.probabilities.tolist() == [0.0, 0.5, 0.5]
    assert read.rows_of("train").tolist() == [1, 2]
    with pytest.raises(DataError, match=r"no latents at 128 px \(there: 32, 64\)"):
        store.read_latents(tmp_path, 128)


def test_the_manifest_hash_changes_with_samples_order_and_probability():
    rows = selection()
    other = rows.set_column(5, "probability", pa.array([0.0, 0.4, 0.6]))
    hashes = {store.manifest_hash(table) for table in (rows, other, rows.take([1, 0, 2]), rows.slice(1))}
    assert len(hashes) == 4
    assert store.manifest_hash(rows) == store.manifest_hash(selection())


def written_in_buckets(directory) -> dict[Bucket, np.ndarray]:
    """Three rows at 64 px: the first and last square, the middle one wide."""
    rng = np.random.default_rng(0)
    latents = {
        Bucket(64, 64): rng.standard_normal((2, 8, 4, 4)).astype(np.float16),
        Bucket(32, 128): rng.standard_normal((1, 8, 2, 8)).astype(np.float16),
    }
    links, prompts = store.link_captions(selection(), CAPTIONS_OF_ALL, ["short"], "en")
    texts = store.pack_texts([rng.standard_normal((2, 4)).astype(np.float16) for _ in prompts])
    for (bucket, array), rows in zip(latents.items(), ([0, 2], [1]), strict=True):
        store.write_latents(directory, 64, array, np.array(rows), bucket)
    store.write_layout(directory, store.Layout("of this autoencoder", "crop", {64: list(latents)}))
    store.write_texts(directory, links, prompts, texts)
    store.write_rows(directory, selection())
    return latents


def test_buckets_come_back_with_their_rows_and_texts(tmp_path):
    latents = written_in_buckets(tmp_path)
    buckets = store.read_buckets(tmp_path, 64)
    assert list(buckets) == list(latents)
    for bucket, read in buckets.items():
        np.testing.assert_array_equal(read.latents, latents[bucket])
    wide, square = buckets[Bucket(32, 128)], buckets[Bucket(64, 64)]
    assert wide.rows.column("sample_id").to_pylist() == ["s1"]
    assert [square.prompts[text] for text in square.captions["short"]] == ["a pear", "an apple"]
    assert store.read_latents(tmp_path, 64).rows.equals(square.rows)
    assert wide.manifest_hash != square.manifest_hash
    with pytest.raises(DataError, match="no latents at 32 px"):
        store.read_buckets(tmp_path, 32)


def test_latents_of_another_autoencoder_are_refused(tmp_path):
    written_in_buckets(tmp_path)
    assert store.read_latents(tmp_path, 64, "of this autoencoder").rows.num_rows == 2
    with pytest.raises(DataError, match="made by another autoencoder; run `encode` again"):
        store.read_latents(tmp_path, 64, "of another")
    (tmp_path / "layout.json").write_text("{")
    with pytest.raises(DataError, match=r"layout\.json is missing or damaged"):
        store.read_latents(tmp_path, 64, "of this autoencoder")


def test_latents_of_another_autoencoder_are_refused_in_buckets_too(tmp_path):
    written_in_buckets(tmp_path)
    assert len(store.read_buckets(tmp_path, 64, "of this autoencoder")) == 2
    with pytest.raises(DataError, match="made by another autoencoder"):
        store.read_buckets(tmp_path, 64, "of another")


def test_arrays_are_read_where_they_lie_not_loaded(tmp_path):
    written_in_buckets(tmp_path)
    for read in store.read_buckets(tmp_path, 64).values():
        for array in (read.latents, read.texts.states):
            assert isinstance(array, np.ndarray)
            assert isinstance(array.base, mmap.mmap)
            assert not array.flags.writeable


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def replaced(**arrays: np.ndarray) -> Callable[[Path], None]:
    return lambda file: save_file(load_file(file) | arrays, file)


FLOATS, WIDE = np.zeros((1, 8, 2, 8), np.float32), "latents_64_32x128.safetensors"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (WIDE, Path.unlink, r"latents_64_32x128\.safetensors: missing; run `encode` again"),
        (WIDE, cut, r"latents_64_32x128\.safetensors: damaged or cut short"),
        (WIDE, lambda file: file.write_bytes(b""), "damaged or cut short"),
        (WIDE, lambda file: file.write_bytes(b"{}" * 100), "damaged or cut short"),
        (WIDE, replaced(latents=FLOATS), r"latents is F32 \[1, 8, 2, 8\], not F16 of 4 dimensions"),
        (WIDE, replaced(latents=FLOATS[0].astype(np.float16)), r"latents is F16 \[8, 2, 8\], not F16 of 4 dimensions"),
        (WIDE, replaced(latents=np.zeros((1, 8, 4, 4), np.float16)), "holds latents of 64 x 64 px, not 32x128"),
        (WIDE, replaced(rows=np.array([3])), r"its rows are not those of rows\.parquet"),
        (WIDE, replaced(rows=np.array([0, 1])), r"its rows are not those of rows\.parquet"),
        (WIDE, lambda file: save_file({"rows": np.array([1])}, file), "latents is nothing"),
        ("texts.safetensors", Path.unlink, r"texts\.safetensors: missing"),
        ("texts.safetensors", cut, r"texts\.safetensors: damaged or cut short"),
        ("texts.safetensors", replaced(states=np.zeros((3, 4), np.float16)), "are not of one encoding"),
        ("texts.safetensors", replaced(offsets=np.arange(3)), "are not of one encoding"),
    ],
)
def test_what_is_missing_cut_short_or_of_another_kind_is_told_in_one_line(tmp_path, name, change, said):
    written_in_buckets(tmp_path)
    change(tmp_path / name)
    with pytest.raises(DataError, match=said) as caught:
        store.read_buckets(tmp_path, 64)
    assert "\n" not in str(caught.value)
    assert "run `encode` again" in str(caught.value)


def test_a_file_larger_than_the_memory_is_read_in_little_of_it(tmp_path):
    """Forty gigabytes of zeros that take no room on the disk, with one row that is not zero."""
    file, shape = tmp_path / "latents.safetensors", (20_000_000, 64, 4, 4)
    size = 2 * math.prod(shape)
    header = json.dumps({"latents": {"dtype": "F16", "shape": shape, "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.seek(12_345_678 * 2048, os.SEEK_CUR)
        stream.write(np.ones(1024, np.float16).tobytes())
        stream.truncate(8 + len(header) + size)
    before = psutil.Process().memory_info().rss
    latents = mapped_arrays(file, {"latents": ("F16", 4)})["latents"]
    rows = latents[np.array([0, 19_999_999, 12_345_678, 12_345_679])]
    assert rows.reshape(4, -1).mean(axis=1).tolist() == [0, 0, 1, 0]
    assert psutil.Process().memory_info().rss - before < 50e6
