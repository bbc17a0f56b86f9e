"""Stage `filter_images` with every rule on: lists from files, the unsafe-image network and image features for real."""

import hashlib
import io
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from components.data import decontamination, opt_out, records
from components.data.config import PinnedFile
from components.data.errors import DataError
from components.data.filters import FILTERS
from flows.stages import filter_images, ingest

ROOT = Path(__file__).resolve().parents[2]
NUM_CLEAN = 12


def photo(seed: int, quality: int = 92, **options: object) -> bytes:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
        (512, 384), Image.Resampling.BICUBIC
    )
    grain = np.random.default_rng(seed).normal(0, 5, (384, 512, 1))
    out = io.BytesIO()
    pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


PLANTED = {
    "opted_out": photo(100),
    "in_evaluation": photo(101, quality=70),
    "near_duplicate": photo(0, quality=60),
    "exact_duplicate": photo(1, comment=b"other bytes around the same pixels"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ingested pool of clean photographs and one planted fault of each kind, and the two lists."""
    home = tmp_path_factory.mktemp("filter")
    images = {f"clean {seed}": photo(seed) for seed in range(NUM_CLEAN)} | PLANTED
    rows = [
        {"source_id": name, "source": "made", "image": data, "title_en": "a thing", "style": "photo", "concept": ""}
        for name, data in images.items()
    ]
    (home / "raw" / "made").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=records.RAW), home / "raw" / "made" / "part-00000.parquet")
    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["ingest"] | {"pools": ["made"]}
    given["intake"]["with_repetition"] = True
    outputs = {role: home / role for role in ("images", "catalogue", "quarantine", "refusals")}
    ingest.ingest(ingest.Params.model_validate(given), raw=home / "raw", **outputs)
    identity = hashlib.sha256(PLANTED["opted_out"]).hexdigest()
    (home / "opt-out.txt").write_text(opt_out.format_list("a-salt", [identity]))
    limits = ingest.Params.model_validate(given).limits
    records.write_table(decontamination.fingerprints([photo(101)], limits), home / "evaluation.parquet")
    return home


def params(home: Path) -> filter_images.Params:
    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["filter_images"]
    given["filters"]["enabled"] = [rule.name for rule in FILTERS]
    given["filters"]["min_skin_frac"] = 0.0
    given["filters"]["near"].update(max_hamming_bits=8, max_colour_distance=15.0, min_feature_cosine=0.9)
    for role, name in (("opt_out", "opt-out.txt"), ("evaluation", "evaluation.parquet")):
        file = home / name
        given[role] = {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    return filter_images.Params.model_validate(given)


def run(p: filter_images.Params, home: Path, verdicts: Path) -> filter_images.Metrics:
    return filter_images.filter_images(p, images=home / "images", catalogue=home / "catalogue", verdicts=verdicts)


def test_every_planted_image_is_dropped_for_its_reason_and_no_other(home: Path, tmp_path: Path) -> None:
    metrics = run(params(home), home, tmp_path / "verdicts")
    verdicts = records.read_table(tmp_path / "verdicts", records.VERDICTS)
    names = records.read_table(home / "catalogue", records.CATALOGUE)["source_id"].to_pylist()
    found = dict(zip(names, verdicts["reason"].to_pylist(), strict=True))
    copies = {"near_duplicate", "exact_duplicate"}
    dropped = {name: reason for name, reason in found.items() if reason}
    assert {reason for reason in dropped.values()} == set(PLANTED)
    assert len(dropped) == len(PLANTED)
    assert {name for name in dropped if name not in copies} <= {"opted_out", "in_evaluation", "clean 0", "clean 1"}
    unsafe = np.array(verdicts["unsafe"].to_pylist(), float)
    assert ((unsafe >= 0) & (unsafe < 0.8)).all()

    assert metrics.offered_images == len(names) == metrics.kept_images + metrics.dropped_images
    by_rule = {rule.name: getattr(metrics, f"{rule.name}_images") for rule in FILTERS}
    assert metrics.dropped_images == sum(by_rule.values())
    assert {name for name, count in by_rule.items() if count} == set(PLANTED)
    counted = {field.name for field in fields(metrics)} - {"offered_images", "kept_images", "dropped_images"}
    assert counted == {f"{name}_images" for name in by_rule}
    written = pq.read_schema(tmp_path / "verdicts").metadata
    assert {key.decode() for key in written if key.startswith(b"filter.")} == {f"filter.{name}" for name in by_rule}


def test_features_that_never_agree_keep_near_copies(home: Path, tmp_path: Path) -> None:
    p = params(home)
    near = replace(p.filters.near, min_feature_cosine=1.01)
    strict = p.model_copy(update={"filters": replace(p.filters, near=near)})
    assert run(strict, home, tmp_path / "verdicts").near_duplicate_images == 0


def test_the_lists_are_those_that_were_named(home: Path, tmp_path: Path) -> None:
    p = params(home)
    for role in ("opt_out", "evaluation"):
        named = getattr(p, role)
        other = p.model_copy(update={role: PinnedFile(named.path, "0" * 64)})
        with pytest.raises(DataError, match="has SHA-256") as error:
            run(other, home, tmp_path / "verdicts")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "verdicts").exists()


def test_a_file_that_holds_no_fingerprints_is_one_line(home: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((home / "catalogue").read_bytes()).hexdigest()
    assert (
        run(  # the catalogue of another pool serves as well: it has the columns
            params(home).model_copy(update={"evaluation": PinnedFile(str(home / "catalogue"), digest)}),
            home,
            tmp_path / "v",
        ).kept_images
        == 0
    )
    part = home / "raw" / "made" / "part-00000.parquet"
    wrong = PinnedFile(str(part), hashlib.sha256(part.read_bytes()).hexdigest())
    with pytest.raises(DataError, match="column 'sample_id', 'pixel_sha256'"):
        run(params(home).model_copy(update={"evaluation": wrong}), home, tmp_path / "verdicts")
