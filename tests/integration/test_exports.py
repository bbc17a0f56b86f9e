"""Exports of a small pool, read back with the readers of others: webdataset, pyarrow, mlcroissant."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data import records
from components.data.errors import DataError
from components.data.exports import export, samples

FORMATS = ("WEBP", "PNG", "JPEG")
NUM_IMAGES, SHARD_ROWS = 23, 5


def picture(number: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, FORMATS[number % 3])
    return out.getvalue()


PICTURES = [picture(number) for number in range(NUM_IMAGES)]
IDS = [hashlib.sha256(data).hexdigest() for data in PICTURES]
KEPT = [sample_id for number, sample_id in enumerate(IDS) if number % 7 != 6]
TRAIN = KEPT[::2]


def table(schema: pa.Schema, ids: list[str], **columns: Any) -> pa.Table:
    content = {"sample_id": ids} | columns
    return pa.table({f.name: pa.array(content.get(f.name, [None] * len(ids)), f.type) for f in schema}, schema=schema)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and image shards: every seventh image dropped, every other kept one for training."""
    home = tmp_path_factory.mktemp("pool")
    places = [(n % 2, n // 2) for n in range(NUM_IMAGES)]
    for shard in (0, 1):
        own = [n for n in range(NUM_IMAGES) if n % 2 == shard]
        images = pa.table({"sample_id": [IDS[n] for n in own], "bytes": [PICTURES[n] for n in own]}, records.IMAGES)
        records.write_table(images, records.part_file(home / "images", shard))
    tables = {
        "catalogue": table(
            records.CATALOGUE,
            IDS,
            format=[FORMATS[n % 3] for n in range(NUM_IMAGES)],
            width=[16] * NUM_IMAGES,
            height=[12] * NUM_IMAGES,
            licence=["MIT", *["CC-BY-4.0"] * (NUM_IMAGES - 1)],
            creator=["<b>Ann</b>"] * NUM_IMAGES,
            shard=[shard for shard, _ in places],
            row=[row for _, row in places],
        ),
        "verdicts": table(records.VERDICTS, IDS, kept=[sample_id in KEPT for sample_id in IDS]),
        "categories": table(records.CATEGORIES, KEPT, category=["food"] * len(KEPT)),
        "scores": table(records.SCORES, KEPT, aesthetic=[0.5] * len(KEPT)),
        "captions": table(
            records.CAPTIONS,
            [sample_id for sample_id in KEPT[1:] for _ in range(3)],
            kind=["tags", "short", "short"] * (len(KEPT) - 1),
            language=["en", "zh", "en"] * (len(KEPT) - 1),
            text=[text for i in KEPT[1:] for text in ("tags", "苹果", f"an apple {i[:4]}")],
        ),
        "selection": table(
            records.SELECTION,
            KEPT,
            split=["train" if sample_id in TRAIN else "heldout_cell" for sample_id in KEPT],
            probability=[1 / len(TRAIN) if sample_id in TRAIN else 0.0 for sample_id in KEPT],
        ),
    }
    for name, content in tables.items():
        records.write_table(content, home / "tables" / f"{name}.parquet")
    return home


def request(layout: export.Layout, choice: samples.Choice = "train", **changes: Any) -> export.Request:
    values = {
        "main": samples.MainCaption("short", "en"),
        "shard_rows": SHARD_ROWS,
        "name": "a small pool",
        "version": "1.2.3",
        "published": "2026-01-31",
    }
    return export.Request(layout, choice, **values | changes)


def write(pool: Path, output: Path, asked: export.Request) -> export.Written:
    return export.write_export(pool / "tables", pool / "images", output, asked)


def tree(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def text_of(sample_id: str) -> str:
    return "" if sample_id == KEPT[0] else f"an apple {sample_id[:4]}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::SyntaxWarning")
def test_webdataset_reads_every_sample_with_its_bytes_text_and_facts(pool: Path, tmp_path: Path) -> None:
    import webdataset

    written = write(pool, tmp_path / "out", request("webdataset", "all"))
    shards = sorted(map(str, (tmp_path / "out").glob("*.tar")))
    assert (written.num_samples, written.num_files) == (len(KEPT), len(shards)) == (20, 4)
    found = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in found] == KEPT
    for sample in found:
        number = IDS.index(sample["__key__"])
        assert sample[("webp", "png", "jpg")[number % 3]] == PICTURES[number]
        assert sample["txt"].decode() == text_of(sample["__key__"])
        facts = json.loads(sample["json"])
        assert (facts["category"], facts["width"]) == ("food", 16)
        assert facts["split"] == ("train" if sample["__key__"] in TRAIN else "heldout_cell")
        assert len(facts["captions"]) == (0 if sample["__key__"] == KEPT[0] else 3)


def test_tar_members_hold_no_time_owner_or_machine(pool: Path, tmp_path: Path) -> None:
    write(pool, tmp_path / "out", request("webdataset"))
    for shard in (tmp_path / "out").glob("*.tar"):
        with tarfile.open(shard) as tar:
            members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_parquet_holds_images_as_the_datasets_library_decodes_them(pool: Path, tmp_path: Path) -> None:
    write(pool, tmp_path / "out", request("parquet"))
    files = sorted((tmp_path / "out" / "data").iterdir())
    assert [file.name for file in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    found = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
    assert [row["sample_id"] for row in found] == TRAIN
    for row in found:
        assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["sample_id"]
        assert row["image"]["path"].startswith(row["sample_id"])
        assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (16, 12)
        assert row["text"] == text_of(row["sample_id"])


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_equal_samples_are_equal_files_and_every_file_is_described(pool: Path, tmp_path: Path, layout: Any) -> None:
    written = [write(pool, tmp_path / name, request(layout)) for name in ("one", "two")]
    assert written[0] == written[1]
    files = tree(tmp_path / "one")
    assert files == tree(tmp_path / "two")
    described = json.loads(files["croissant.json"])
    sums = {d["contentUrl"]: d["sha256"] for d in described["distribution"] if d["@type"] == "cr:FileObject"}
    data = {name: content for name, content in files.items() if name.endswith((".tar", ".parquet"))}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}
    assert b"&lt;b&gt;Ann" in files["ATTRIBUTION.md"]
    assert b"<b>" not in files["README.md"] + files["ATTRIBUTION.md"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_the_reference_loader_finds_no_fault_and_reads_the_images(
    pool: Path, tmp_path: Path, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    import mlcroissant

    write(pool, tmp_path / "out", request(layout))
    dataset = mlcroissant.Dataset(str(tmp_path / "out" / "croissant.json"))
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    name, field = ("samples", "image") if layout == "parquet" else ("image-of-sample", "image")
    found = {r[f"{name}/sample_id"].decode(): r[f"{name}/{field}"] for r in dataset.records(name)}
    assert set(found) == set(TRAIN)
    for sample_id, image in found.items():
        expected = Image.open(io.BytesIO(PICTURES[IDS.index(sample_id)]))
        assert np.array_equal(np.asarray(image), np.asarray(expected))


def test_a_folder_that_holds_something_is_refused_and_left_alone(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder; name one"):
        write(pool, tmp_path, request("parquet"))
    assert tree(tmp_path) == {"mine.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    write(pool, tmp_path / "empty", request("parquet"))
    assert (tmp_path / "empty" / "croissant.json").exists()


def test_an_export_that_fails_leaves_nothing(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="part-00000"):
        export.write_export(pool / "tables", tmp_path / "nowhere", tmp_path / "out", request("webdataset"))
    assert list(tmp_path.iterdir()) == []


def test_the_main_caption_is_the_one_asked_for_then_of_its_language_then_any(pool: Path) -> None:
    captions = records.read_table(pool / "tables" / "captions.parquet", records.CAPTIONS)
    assert set(samples.main_texts(captions, samples.MainCaption("tags", "zh")).values()) == {"苹果"}
    assert set(samples.main_texts(captions, samples.MainCaption("short", "fr")).values()) == {"tags"}
    assert samples.main_texts(captions, samples.MainCaption("short", "en")) == {i: text_of(i) for i in KEPT[1:]}
