"""Opt-out lists, evaluation fingerprints, pinned files, and networks that are asked about candidates only."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.data import opt_out
from components.data.candidates import score_images
from components.data.config import DecodeLimits, Likeness, PinnedFile
from components.data.decontamination import FINGERPRINTS, fingerprints, stands_in_evaluation
from components.data.errors import DataError
from components.data.part_store import open_store
from components.data.pinned import pinned_path

DECODE = DecodeLimits(10**7, 10**7, 1e4)
NEAR = Likeness(4, 10.0, 1.1, None)


def picture(seed: int, name: str = "PNG", side: int = 400, **options: object) -> bytes:
    out = io.BytesIO()
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(out, name, **options)
    return out.getvalue()


def test_a_list_names_what_was_put_on_it_and_nothing_else(tmp_path: Path) -> None:
    image = hashlib.sha256(picture(0)).hexdigest()
    file = tmp_path / "opt-out.txt"
    file.write_text(opt_out.format_list("pepper", [image, "https://Example.org/A.jpg#top"]))
    listed = opt_out.read_list(file)
    assert listed.names(image)
    assert listed.names("HTTPS://example.org/A.jpg")
    assert not any(listed.names(other) for other in ("", image[:-1] + "x", "https://example.org/a.jpg"))
    assert "example" not in file.read_text()
    assert image not in file.read_text()


@pytest.mark.parametrize("address", ["http://[bad/x.jpg", "https://[::1:x]/a b", "://["])
def test_an_address_that_cannot_be_taken_apart_is_known_as_it_is_written(address: str, tmp_path: Path) -> None:
    """A row of the data may say so; it must not stop the stage that asks for every row."""
    file = tmp_path / "opt-out.txt"
    file.write_text(opt_out.format_list("pepper", [address]))
    listed = opt_out.read_list(file)
    assert listed.names(address)
    assert not listed.names(f"{address}x")
    assert opt_out.digest("a", address) == hashlib.sha256(f"a\0{address}".encode()).hexdigest()


def test_another_salt_makes_another_list() -> None:
    assert opt_out.digest("a", "x") != opt_out.digest("b", "x")
    assert opt_out.digest("a", "x") == hashlib.sha256(b"a\0x").hexdigest()
    with pytest.raises(ValueError, match="salt is 'two words'"):
        opt_out.format_list("two words", [])


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), ("opt-out salt\n", 1), ("easel opt-out\n", 1), ("easel opt-out s\n\nabc\n", 3), ("\xff\xfe", 1)],
)
def test_a_file_that_is_no_list_is_one_line(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=f"list: line {line} is not") as error:
        opt_out.read_list(file)
    assert "\n" not in str(error.value)


COPIES = {
    "the same bytes": picture(0),
    "the same pixels": picture(0, compress_level=1),
    "another format": picture(0, "JPEG", quality=85),
    "another size": picture(0, side=200),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_of_an_evaluation_image_is_found(kind: str) -> None:
    evaluation = fingerprints([picture(seed) for seed in range(3)], DECODE)
    samples = fingerprints([picture(10), COPIES[kind], picture(11)], DECODE)
    assert evaluation.schema == FINGERPRINTS
    assert stands_in_evaluation(samples, evaluation, NEAR).tolist() == [False, True, False]


def test_what_cannot_be_decoded_is_known_by_its_bytes_alone() -> None:
    evaluation = fingerprints([b"damaged"], DECODE)
    samples = fingerprints([b"damaged", b"damaged too", picture(1)], DECODE)
    assert stands_in_evaluation(samples, evaluation, NEAR).tolist() == [True, False, False]
    assert stands_in_evaluation(samples, evaluation.slice(0, 0), NEAR).tolist() == [False] * 3


def test_planted_near_copies_are_found_at_the_distance_stated_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 500, dtype=np.uint64)
    one_bit = np.uint64(1) << rng.permuted(np.tile(np.arange(64, dtype=np.uint64), (500, 1)), axis=1)

    def rows(phash: np.ndarray) -> pa.Table:
        n = len(phash)
        columns = {"sample_id": [f"{h}" for h in phash], "pixel_sha256": [f"p{h}" for h in phash], "phash": phash}
        flat = {name: np.ones(n) for name in ("width", "height", "mean_red", "mean_green", "mean_blue")}
        return pa.table({**columns, **flat}).select(FINGERPRINTS.names).cast(FINGERPRINTS)

    for bits in (1, 4, 5, 9):
        changed = hashes ^ np.bitwise_or.reduce(one_bit[:, :bits], axis=1)
        assert stands_in_evaluation(rows(changed), rows(hashes), NEAR).mean() == float(bits <= 4)


def test_a_pinned_file_is_the_one_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert pinned_path(PinnedFile(str(file), digest)) == file
    with pytest.raises(DataError, match=f"has SHA-256 {digest}, not 00"):
        pinned_path(PinnedFile(str(file), "00"))
    with pytest.raises(DataError, match="not readable"):
        pinned_path(PinnedFile(str(tmp_path / "absent"), digest))


def test_candidates_are_scored_in_order_and_once(tmp_path: Path) -> None:
    data = [picture(seed, side=8 + seed % 40) for seed in range(300)]
    ids = [hashlib.sha256(one).hexdigest() for one in data]
    images = dict(zip(ids, data, strict=True))
    asked = list[int]()

    def read(ids: Sequence[str]) -> pa.Table:
        return pa.table({"bytes": [images[one] for one in ids]})

    def score(pixels: Sequence[np.ndarray]) -> np.ndarray:
        asked.append(len(pixels))
        return np.array([one.shape[0] for one in pixels], np.float32)

    sides = [8 + seed % 40 for seed in range(300)]
    assert score_images(read, ids, "side", score, DECODE, 256).tolist() == sides
    assert sum(asked) == 300
    for _ in range(2):
        with open_store(tmp_path, "code"):
            assert score_images(read, ids[:20], "side", score, DECODE, 256).tolist() == sides[:20]
    assert sum(asked) == 320
    assert score_images(read, [], "side", score, DECODE, 256).shape == (0,)
