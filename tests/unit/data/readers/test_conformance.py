"""The same twelve images with the same words, in every kind of source: every reader tells the same rows."""

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data.errors import DataError
from components.data.readers import KINDS, READERS, interface, kind_of, open_reader, open_store
from components.data.readers.download import Downloader

NUM_IMAGES = 12


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def words(number: int) -> dict[str, object]:
    title = f"红苹果 {number}" if number % 3 == 0 else f"a red apple <b>{number}</b>"
    return {"title": title, "description": f"number {number} on a table", "tags": "red, 红, fruit", "license": "CC0"}


def key(number: int) -> str:
    return f"{'ab'[number % 2]}/{number:02d}"


def as_folder(place: Path) -> None:
    for number in range(NUM_IMAGES):
        file = place / f"{key(number)}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number))
        file.with_suffix(".json").write_text(json.dumps(words(number)), encoding="utf-8")


def as_webdataset(place: Path) -> None:
    place.mkdir()
    for shard in range(2):
        with tarfile.open(place / f"{shard:05d}.tar", "w") as tar:
            for number in range(6 * shard, 6 * shard + 6):
                for ending, data in ((".json", json.dumps(words(number)).encode()), (".png", picture(number))):
                    member = tarfile.TarInfo(key(number) + ending)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def table_rows() -> list[dict[str, object]]:
    return [words(number) | {"folder": key(number)[0]} for number in range(NUM_IMAGES)]


def as_parquet(place: Path) -> None:
    place.mkdir()
    rows = [row | {"image": picture(number)} for number, row in enumerate(table_rows())]
    pq.write_table(pa.Table.from_pylist(rows), place / "rows.parquet", row_group_size=5)


def as_nested_parquet(place: Path) -> None:
    place.mkdir()
    rows = [row | {"image": {"bytes": picture(n), "path": f"{n}.png"}} for n, row in enumerate(table_rows())]
    pq.write_table(pa.Table.from_pylist(rows), place / "rows.parquet", row_group_size=5)


def as_csv_of_urls(place: Path) -> None:
    place.mkdir()
    rows = [row | {"url": f"https://images.example/{number}"} for number, row in enumerate(table_rows())]
    with (place / "list.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_parquet_of_urls(place: Path) -> None:
    place.mkdir()
    rows = [row | {"url": f"https://images.example/{number}"} for number, row in enumerate(table_rows())]
    pq.write_table(pa.Table.from_pylist(rows), place / "list.parquet", row_group_size=5)


SOURCES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "folder": ("folder", as_folder),
    "webdataset": ("webdataset", as_webdataset),
    "parquet": ("parquet", as_parquet),
    "nested parquet": ("parquet", as_nested_parquet),
    "csv of urls": ("urls", as_csv_of_urls),
    "parquet of urls": ("urls", as_parquet_of_urls),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads themselves are tested against a real server in tests/integration/test_downloads.py."""
    monkeypatch.setattr(Downloader, "fetch", lambda self, url: picture(int(url.rpartition("/")[2])))


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_tells_the_same_rows(source: str, tmp_path: Path) -> None:
    kind, write = SOURCES[source]
    write(tmp_path / "place")
    reader = open_reader(str(tmp_path / "place"), kind)
    items = list(reader.listing())
    samples = [outcome for item in items for outcome in reader.rows(item)]
    assert all(isinstance(sample, interface.Sample) for sample in samples), samples
    told = sorted(
        (bytes(s.image), sorted((k, repr(v)) for k, v in s.words.items() if k != "attribution")) for s in samples
    )
    wanted = []
    for number in range(NUM_IMAGES):
        title = str(words(number)["title"])
        columns = {
            "title_en": None if number % 3 == 0 else title,
            "title_zh": title if number % 3 == 0 else None,
            "description_en": f"number {number} on a table",
            "tags_en": ["red", "fruit"],
            "tags_zh": ["红"],
            "licence": "CC0",
            "creator": None,
            "folder": key(number)[0],
            "concept": "",
            **dict.fromkeys(("category", "subcategory", "style")),
        }
        wanted.append((picture(number), sorted((k, repr(v)) for k, v in columns.items())))
    assert told == sorted(wanted)
    assert len({sample.source_id for sample in samples}) == NUM_IMAGES


@pytest.mark.parametrize("source", SOURCES)
def test_a_reader_repeats_itself(source: str, tmp_path: Path) -> None:
    kind, write = SOURCES[source]
    write(tmp_path / "place")
    one, other = (open_reader(str(tmp_path / "place"), kind) for _ in range(2))
    assert list(one.listing()) == list(other.listing())
    for item in one.listing():
        assert list(one.rows(item)) == list(other.rows(item))


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "parquet of urls"])
def test_the_kind_is_told_by_the_names(source: str, tmp_path: Path) -> None:
    kind, write = SOURCES[source]
    write(tmp_path / "place")
    assert kind_of(open_store(str(tmp_path / "place")), "place") == kind


def test_every_kind_is_in_the_table() -> None:
    assert set(READERS) == set(KINDS) == {kind for kind, _ in SOURCES.values()}


def test_a_place_of_no_known_kind_is_one_line(tmp_path: Path) -> None:
    for place, wanted in (
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path, "holds no known files"),
        ("https://example.com/a.zip", "put web addresses into a .csv"),
    ):
        with pytest.raises(DataError, match=wanted) as error:
            open_reader(str(place))
        assert "\n" not in str(error.value)
