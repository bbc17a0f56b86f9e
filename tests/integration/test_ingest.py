"""Stage `ingest` on a pool large enough to be killed in: nothing is lost, nothing finished is done again."""

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data import records
from components.data.config import DecodeLimits, Intake
from components.data.errors import DataError
from components.data.landing import land
from components.data.part_store import PartStore, open_store
from components.data.readers import open_reader
from flows.stages.ingest import Metrics, Params, ingest

NUM_PARTS, PART_ROWS = 3, 200
CORRUPT_EVERY = 100
PARAMS = Params(
    pools=("made",),
    max_images=None,
    max_quarantine_frac=0.02,
    intake=Intake(require_words=True, with_repetition=False, part_images=25, batch_size=16),
    limits=DecodeLimits(10**7, 10**6, 500.0),
)
ROLES = ("images", "catalogue", "quarantine", "refusals")
ALONE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_ingest import run
run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def photo(seed: int, name: str = "JPEG") -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((480, 400), Image.Resampling.BICUBIC).save(out, name, quality=85)
    return out.getvalue()


def row(seed: int) -> dict[str, object]:
    name, data = f"{seed:05d}.jpg", photo(seed)
    if seed % CORRUPT_EVERY == 7:
        data = data[: len(data) // 2] if seed % (2 * CORRUPT_EVERY) == 7 else data[:300] + b"\xff\xda" + data[600:]
    return {"source_id": name, "source": "made", "image": data, "title_en": "a thing", "style": "photo", "concept": ""}


def write_part(pool: Path, number: int, seeds: range) -> Path:
    pool.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([row(seed) for seed in seeds], schema=records.RAW)
    pq.write_table(table, pool / f"part-{number:05d}.parquet", compression="zstd", row_group_size=64)
    return pool / f"part-{number:05d}.parquet"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    for number in range(NUM_PARTS):
        write_part(raw / "made", number, range(number * PART_ROWS, (number + 1) * PART_ROWS))
    return raw


def run(raw: Path, out: Path, store: Path) -> tuple[Metrics, PartStore]:
    with open_store(store, "the same code") as kept:
        return ingest(PARAMS, raw=raw, **{role: out / role for role in ROLES}), kept


def entries(store: Path) -> set[Path]:
    return {file for file in store.glob("*/*.parquet") if not file.name.startswith(".")}


def files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Metrics]:
    """The outputs, the store and the metrics of a run that nobody stopped."""
    home = tmp_path_factory.mktemp("whole")
    metrics, _ = run(raw, home / "out", home / "store")
    return home / "out", home / "store", metrics


def test_one_in_a_hundred_is_corrupt_and_only_they_are_refused(whole: tuple[Path, Path, Metrics]) -> None:
    out, _, metrics = whole
    num_corrupt = NUM_PARTS * PART_ROWS // CORRUPT_EVERY
    assert metrics.offered_images == NUM_PARTS * PART_ROWS == metrics.catalogued_images + num_corrupt
    refused = records.read_table(out / "quarantine", records.QUARANTINE)
    assert {name[-6:-4] for name in refused["source_id"].to_pylist()} == {"07"}
    reasons = Counter(refused["reason"].to_pylist())
    assert set(reasons) <= {"truncated", "corrupt"}
    assert reasons.total() == num_corrupt == metrics.damaged_images
    catalogue = records.read_table(out / "catalogue", records.CATALOGUE)
    assert not any(catalogue[name].null_count for name in records.MEASURES.names if name != "repetition")


def test_killed_midway_a_second_run_finishes_with_the_same_files_and_finds_what_was_done(
    raw: Path, whole: tuple[Path, Path, Metrics], tmp_path: Path
) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen([sys.executable, "-c", ALONE, str(raw), str(out), str(store)], env=environment)
    deadline = time.monotonic() + 120
    while len(entries(store)) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    done = entries(store)
    assert 4 <= len(done) < len(entries(whole[1]))
    assert not (out / "catalogue").exists()

    metrics, kept = run(raw, out, store)
    assert kept.num_found == len(done)
    assert kept.num_found + kept.num_made == len(entries(whole[1]))
    assert files(out) == files(whole[0])
    assert metrics == whole[2]


def test_a_run_that_finds_everything_makes_nothing_and_says_the_same(
    raw: Path, whole: tuple[Path, Path, Metrics], tmp_path: Path
) -> None:
    metrics, kept = run(raw, tmp_path, whole[1])
    assert kept.num_made == 0
    assert metrics == whole[2]
    assert files(tmp_path) == files(whole[0])


def test_new_files_cost_their_own_parts_only(raw: Path, whole: tuple[Path, Path, Metrics], tmp_path: Path) -> None:
    grown = tmp_path / "raw" / "made"
    for number in range(NUM_PARTS):
        grown.mkdir(parents=True, exist_ok=True)
        (grown / f"part-{number:05d}.parquet").hardlink_to(raw / "made" / f"part-{number:05d}.parquet")
    write_part(grown, NUM_PARTS, range(10_010, 10_030))
    metrics, kept = run(tmp_path / "raw", tmp_path / "out", whole[1])
    assert metrics.catalogued_images == whole[2].catalogued_images + 20
    assert kept.num_found == len(entries(whole[1])) - kept.num_made
    assert 1 <= kept.num_made <= 4


def test_what_landing_refused_is_handed_on(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for seed in range(3):
        (place / f"{seed}.jpg").write_bytes(photo(seed))
        (place / f"{seed}.txt").write_text("a thing")
    (place / "all.zip").write_bytes(b"PK\x03\x04")
    land(open_reader(str(place), "folder"), tmp_path / "raw" / "made", origin="here")
    metrics, _ = run(tmp_path / "raw", tmp_path / "out", tmp_path / "store")
    assert metrics.offered_images == metrics.catalogued_images == 3
    (refused,) = records.read_table(tmp_path / "out" / "refusals", records.REFUSALS).to_pylist()
    assert (refused["source"], refused["name"], refused["reason"]) == ("made", "all.zip", "archive_inside")


def test_a_part_with_a_corrupt_row_group_is_one_line_and_nothing_is_written(raw: Path, tmp_path: Path) -> None:
    pool = tmp_path / "raw" / "made"
    pool.mkdir(parents=True)
    data = bytearray((raw / "made" / "part-00000.parquet").read_bytes())
    second = pq.ParquetFile(raw / "made" / "part-00000.parquet").metadata.row_group(1).column(2)
    data[second.data_page_offset : second.data_page_offset + 2000] = bytes(2000)
    (pool / "part-00000.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"part-00000.parquet: damaged") as error:
        run(tmp_path / "raw", tmp_path / "out", tmp_path / "store")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_part_with_another_schema_is_one_line(raw: Path, tmp_path: Path) -> None:
    pool = tmp_path / "raw" / "made"
    pool.mkdir(parents=True)
    table = pq.read_table(raw / "made" / "part-00000.parquet")
    pq.write_table(table.rename_columns(["key", *table.column_names[1:]]), pool / "part-00000.parquet")
    with pytest.raises(DataError, match=r"part-00000.parquet: column 'source_id' is missing \(there: key, ") as error:
        run(tmp_path / "raw", tmp_path / "out", tmp_path / "store")
    assert "\n" not in str(error.value)
