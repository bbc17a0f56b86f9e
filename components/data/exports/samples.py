"""What is exported: one row for each sample, joined from the tables, and its image bytes batch by batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from components.data import records
from components.data.arrow import pc
from components.data.errors import DataError
from components.data.image_shards import ImageShards

Choice = Literal["train", "all"]
_OF_CATALOGUE = (
    *("sample_id", "width", "height", "format", "style", "concept"),
    *("source", "source_id", "licence", "creator", "attribution", "shard", "row"),
)
CAPTION = pa.struct([("kind", pa.string()), ("language", pa.string()), ("text", pa.string())])
ROWS = pa.schema(
    [
        *(records.CATALOGUE.field(name) for name in _OF_CATALOGUE if name not in ("shard", "row")),
        ("category", pa.string()),
        ("subcategory", pa.string()),
        ("split", pa.string()),
        ("probability", pa.float64()),
        ("aesthetic", pa.float32()),
        ("text", pa.string()),
        ("captions", pa.list_(CAPTION)),
    ]
)


@dataclass(frozen=True)
class MainCaption:
    """Which caption is a sample's `text`; where there is none, another of that language is taken, then any."""

    kind: str
    language: str


@dataclass(frozen=True)
class Batch:
    """Rows (`ROWS`) and their image bytes, as received."""

    rows: pa.Table
    images: list[bytes]


class Samples:
    """The samples of `choice`: the training images of the selection, or all kept ones. In the catalogue's order.

    Raises:
        DataError: a table is missing or of another run, or nothing is chosen.
    """

    def __init__(self, tables_dir: Path, images_dir: Path, choice: Choice, main: MainCaption) -> None:
        catalogue = _read(tables_dir, "catalogue", records.CATALOGUE, _OF_CATALOGUE)
        selection = _read(tables_dir, "selection", records.SELECTION, ("sample_id", "split", "probability"))
        verdicts = _read(tables_dir, "verdicts", records.VERDICTS, ("sample_id", "kept"))
        chosen = verdicts.filter(verdicts["kept"])["sample_id"]
        if choice == "train":
            training = selection.filter(pc.equal(selection["split"], "train"))["sample_id"]
            chosen = chosen.filter(pc.is_in(chosen, value_set=training.combine_chunks()))
        if not len(chosen):
            raise DataError(f"{tables_dir}: no sample is {choice!r}; run `easel run --until sample`")
        self._ids: list[str] = chosen.to_pylist()
        self._images = ImageShards(images_dir, catalogue)
        self.rows = _joined(tables_dir, catalogue, selection, self._ids, main)

    def batches(self, num_rows: int) -> Iterator[Batch]:
        """All samples, `num_rows` at a time: no more images than that are in memory."""
        for start in range(0, len(self._ids), num_rows):
            images = self._images.take(self._ids[start : start + num_rows])
            yield Batch(self.rows.slice(start, num_rows), images["bytes"].to_pylist())


def image_ending(image_format: str) -> str:
    """The usual ending of a file of this format: `jpg`, `png`, `webp`, ..."""
    ending = image_format.lower()
    return "jpg" if ending == "jpeg" else ending


def image_name(row: Mapping[str, Any]) -> str:
    """A file name for the image of a row: its id and its ending."""
    return f"{row['sample_id']}.{image_ending(row['format'])}"


def main_texts(captions: pa.Table, main: MainCaption) -> dict[str, str]:
    """One text for each sample: of the kind and language asked for, else of the language, else the first there is."""
    best: dict[str, tuple[int, str]] = {}
    for row in captions.to_pylist():
        is_language = row["language"] == main.language
        rank = 0 if is_language and row["kind"] == main.kind else 1 if is_language else 2
        if row["sample_id"] not in best or rank < best[row["sample_id"]][0]:
            best[row["sample_id"]] = (rank, row["text"])
    return {sample_id: text for sample_id, (_, text) in best.items()}


def _joined(tables_dir: Path, catalogue: pa.Table, selection: pa.Table, ids: list[str], main: MainCaption) -> pa.Table:
    tree = _read(tables_dir, "categories", records.CATEGORIES, ("sample_id", "category", "subcategory"))
    scores = _read(tables_dir, "scores", records.SCORES, ("sample_id", "aesthetic"))
    captions = _read(tables_dir, "captions", records.CAPTIONS, ("sample_id", "kind", "language", "text"))
    columns = {name: records.take_ids(catalogue, ids, tables_dir).column(name) for name in _OF_CATALOGUE}
    for table, names in ((tree, ("category", "subcategory")), (scores, ("aesthetic",))):
        taken = records.take_ids(table, ids, tables_dir)
        columns |= {name: taken.column(name) for name in names}
    places = pc.index_in(pa.array(ids), selection["sample_id"].combine_chunks())
    columns |= {name: selection[name].take(places) for name in ("split", "probability")}
    texts, listed = main_texts(captions, main), _captions_by_sample(captions)
    columns["text"] = pa.array([texts.get(sample_id, "") for sample_id in ids])
    columns["captions"] = pa.array([listed.get(sample_id, []) for sample_id in ids], pa.list_(CAPTION))
    return pa.table({name: columns[name] for name in ROWS.names}, schema=ROWS)


def _captions_by_sample(captions: pa.Table) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in captions.to_pylist():
        found.setdefault(row.pop("sample_id"), []).append(row)
    return found


def _read(tables_dir: Path, name: str, schema: pa.Schema, columns: tuple[str, ...]) -> pa.Table:
    return records.read_table(tables_dir / f"{name}.parquet", records.columns_of(schema, *columns))
