"""`easel data build` on a folder that nobody prepared: photos of any size, few captions, some broken; then a new batch.

Run from the built wheel, outside this repository, as the end-to-end test of the whole pipeline is.
"""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from flows.landing import data_stages
from flows.pipeline import PIPELINE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
NUM_PHOTOS = 60


def photo(number: int) -> bytes:
    """A part of one of two photographs, of its own size, aspect and light."""
    rng = np.random.default_rng(number)
    whole = Image.fromarray(load_sample_images().images[number % 2])
    width, height = (int(rng.integers(140, 360)) for _ in range(2))
    x, y = int(rng.integers(0, whole.width - width)), int(rng.integers(0, whole.height - height))
    part = np.asarray(whole.crop((x, y, x + width, y + height)).resize((width * 2, height * 2)), np.float32)
    lit = part * rng.uniform(0.6, 1.1, 3) + rng.normal(0, 3, part.shape)
    out = io.BytesIO()
    Image.fromarray(lit.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def prepare_nothing(place: Path) -> None:
    for number in range(NUM_PHOTOS):
        file = place / f"album {number % 2}" / f"IMG_{number:04d}.JPG"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo(number))
        if number % 3 == 0:
            file.with_suffix(".txt").write_text(
                ["a temple roof in China", "a red flower <i>in</i> a garden"][number % 2]
            )
    (place / "album 0" / "broken.jpg").write_bytes(photo(0)[:3000])
    (place / "album 0" / "again.jpg").write_bytes(photo(0))
    (place / "notes.docx").write_bytes(b"PK\x03\x04")


def metrics(clone, stage: str) -> dict[str, float]:
    return json.loads((clone.root / PIPELINE[stage].metrics_path).read_text())


def test_a_folder_that_nobody_prepared_becomes_a_data_set_and_a_new_batch_joins_it(new_clone, tmp_path: Path) -> None:
    clone = new_clone()
    prepare_nothing(tmp_path / "photos")
    said = clone.easel("data", "build", "--source", str(tmp_path / "photos"), "--name", "album").stdout
    assert f"{NUM_PHOTOS + 2:,} images landed in 1 part" in said
    assert "1 refused: unknown_ending" in said
    assert "first: notes.docx" in said
    assert clone.ran(0) == list(data_stages())
    assert "  pools: [album]" in (clone.root / "params.yaml").read_text()

    taken = metrics(clone, "ingest")
    assert (taken["offered_images"], taken["repeated_images"], taken["damaged_images"]) == (NUM_PHOTOS + 2, 1, 1)
    assert metrics(clone, "filter_images")["kept_images"] > 0.8 * NUM_PHOTOS
    assert metrics(clone, "encode")["encoded_images"] == metrics(clone, "sample")["selected_images"] > 0.8 * NUM_PHOTOS
    texts = pq.read_table(clone.root / "artifacts" / "tables" / "captions.parquet").column("text").to_pylist()
    assert {"a temple roof in China", "a red flower in a garden", "a photo"} <= set(texts)
    report = said.split("Report")[1].split()[0]
    assert "album" in (clone.root / report).read_text()

    again = clone.easel("data", "build", "--source", str(tmp_path / "photos"), "--name", "album").stdout
    assert "0 images landed" in again
    assert "Done in" not in again, "nothing was stale"

    for number in range(NUM_PHOTOS, NUM_PHOTOS + 5):
        (tmp_path / "photos" / f"new {number}.jpg").write_bytes(photo(number))
    clone.easel("data", "land", str(tmp_path / "photos"), "--name", "album")
    clone.easel("run", "--until", "ingest", "--executor", "local")
    assert metrics(clone, "ingest")["catalogued_images"] == NUM_PHOTOS + 5
