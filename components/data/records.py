"""The tables that stages hand to each other: their columns, and how they are written and read.

Every table but the images is keyed by `sample_id`, the SHA-256 of an image's bytes as they were received. A later stage
adds a table and changes none; a data set is a join. Files are Parquet, written with fixed options so that equal tables
are equal files on one version of the writer.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.arrow import pc
from components.data.errors import DataError

_ROW_GROUP_ROWS = 4096
_WORDS = pa.list_(pa.string())

RAW = pa.schema(
    [
        ("source_id", pa.string()),
        ("source", pa.string()),
        ("image", pa.binary()),
        ("title_en", pa.string()),
        ("title_zh", pa.string()),
        ("tags_en", _WORDS),
        ("tags_zh", _WORDS),
        ("description_en", pa.string()),
        ("category", pa.string()),
        ("subcategory", pa.string()),
        ("folder", pa.string()),
        ("concept", pa.string()),
        ("style", pa.string()),
        ("licence", pa.string()),
        ("creator", pa.string()),
        ("attribution", pa.string()),
    ]
)
TEXT_COLUMNS = tuple(field.name for field in RAW if field.name != "image")
CAPTION_COLUMNS = ("title_en", "title_zh", "tags_en", "tags_zh", "description_en")

IMAGES = pa.schema([("sample_id", pa.string()), ("bytes", pa.binary())])
MEASURES = pa.schema(
    [
        ("phash", pa.uint64()),
        ("mean_red", pa.float32()),
        ("mean_green", pa.float32()),
        ("mean_blue", pa.float32()),
        ("sharpness", pa.float32()),
        ("entropy", pa.float32()),
        ("colourfulness", pa.float32()),
        ("blank_frac", pa.float32()),
        ("border_frac", pa.float32()),
        ("skin_frac", pa.float32()),
        ("view_sharpness", pa.float32()),
        ("lettering", pa.float32()),
        ("repetition", pa.float32()),
    ]
)
FACTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("named_format", pa.string()),
        ("mode", pa.string()),
        ("pixel_sha256", pa.string()),
        ("num_bytes", pa.int64()),
        *MEASURES,
    ]
)
PLACE = pa.schema([("shard", pa.int32()), ("row", pa.int32())])
CATALOGUE = pa.schema([*FACTS, *(field for field in RAW if field.name != "image"), *PLACE])
QUARANTINE = pa.schema(
    [
        ("part", pa.string()),
        ("row", pa.int32()),
        ("source", pa.string()),
        ("source_id", pa.string()),
        ("num_bytes", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
REFUSALS = pa.schema(
    [
        ("source", pa.string()),
        ("name", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
VERDICTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
        ("rule_version", pa.int32()),
        ("measure", pa.float32()),
        ("duplicate_of", pa.string()),
        ("cluster", pa.string()),
        ("phash", pa.uint64()),
        ("blank_frac", pa.float32()),
        ("grey_entropy", pa.float32()),
        ("unsafe", pa.float32()),
    ]
)
CATEGORIES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("category", pa.string()),
        ("subcategory", pa.string()),
        ("label_source", pa.string()),
        ("probability", pa.float32()),
        ("is_probe_heldout", pa.bool_()),
    ]
)
CATEGORY_REPORT = pa.schema(
    [
        ("category", pa.string()),
        ("labelled_images", pa.int64()),
        ("heldout_images", pa.int64()),
        ("heldout_right", pa.int64()),
        ("heldout_recall", pa.float32()),
        ("heldout_precision", pa.float32()),
        ("assigned_images", pa.int64()),
        ("mean_probability", pa.float32()),
    ]
)
CATEGORY_CONFUSION = pa.schema([("category", pa.string()), ("seen_as", pa.string()), ("images", pa.int64())])
CAPTIONS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("kind", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("maker", pa.string()),
    ]
)
OCR = pa.schema([("sample_id", pa.string()), ("ocr_text", pa.string()), ("confidence", pa.float32())])
SCORES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("aesthetic", pa.float32()),
        ("sharpness", pa.float32()),
        ("entropy", pa.float32()),
        ("colourfulness", pa.float32()),
    ]
)
SELECTION = pa.schema(
    [
        ("sample_id", pa.string()),
        ("category", pa.string()),
        ("style", pa.string()),
        ("concept", pa.string()),
        ("split", pa.string()),
        ("probability", pa.float64()),
    ]
)
RENDERED = pa.schema(
    [
        ("sample_id", pa.string()),
        ("layout", pa.string()),
        ("lines", _WORDS),
        ("languages", _WORDS),
        ("fonts", _WORDS),
        ("ink", pa.string()),
        ("paper", pa.string()),
    ]
)
SFT_SELECTION = pa.schema(
    [
        ("sample_id", pa.string()),
        ("pool", pa.string()),
        ("domain", pa.string()),
        ("found_by", pa.string()),
        ("relevance", pa.float32()),
        ("weight", pa.float64()),
        ("category", pa.string()),
        ("style", pa.string()),
        ("concept", pa.string()),
    ]
)
SFT_PROMPTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("style", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("maker", pa.string()),
    ]
)
SFT_GAPS = pa.schema(
    [
        ("domain", pa.string()),
        ("pool", pa.string()),
        ("wanted", pa.int32()),
        ("found", pa.int32()),
        ("missing", pa.int32()),
        ("steps", pa.list_(pa.struct([("condition", pa.string()), ("left", pa.int32())]))),
        ("why", pa.string()),
    ]
)
CANDIDATES = pa.schema(  # images to choose between: drawn by a model, or brought along in a file of pairs
    [
        ("sample_id", pa.string()),
        ("prompt", pa.string()),
        ("category", pa.string()),
        ("style", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("model", pa.string()),  # digest of the weights; "" of an image that came in a file
        ("seed", pa.int64()),
        ("guidance_scale", pa.float64()),
        ("num_sampling_steps", pa.int32()),
        ("scores", pa.list_(pa.struct([("judge", pa.string()), ("score", pa.float64())]))),
    ]
)
PAIRS = pa.schema(  # two images of one prompt, of which one was preferred
    [
        ("prompt", pa.string()),
        ("winner", pa.string()),  # sample ids
        ("loser", pa.string()),
        ("judge", pa.string()),
        ("margin", pa.float64()),  # by how much, in units of the judge; 1 where people chose without saying
        ("is_human", pa.bool_()),
        ("split", pa.string()),  # train or heldout, by prompt
        ("category", pa.string()),
    ]
)
BALANCE = pa.schema(
    [
        ("category", pa.string()),
        ("images", pa.int64()),
        ("natural_frac", pa.float64()),
        ("sampled_frac", pa.float64()),
        ("expected_images", pa.float64()),
        ("mean_aesthetic", pa.float64()),
    ]
)


def columns_of(schema: pa.Schema, *names: str) -> pa.Schema:
    """The columns of these names: what is not read takes no memory."""
    return pa.schema([schema.field(name) for name in names])


@contextmanager
def open_table(file: Path, schema: pa.Schema) -> Generator[Callable[[pa.Table], None]]:
    """A function that appends rows to a table too large for memory; each call writes a group of rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # No two samples have one id; of the other columns, texts repeat.
    repeating: Any = [field.name for field in schema if pa.types.is_string(field.type) and field.name != "sample_id"]
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1, use_dictionary=repeating) as writer:
        yield writer.write_table


def write_table(table: pa.Table, file: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write `table` as Parquet with fixed options; `metadata` is what a reader should know about the columns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    codecs: Any = _codecs(table.schema)
    compressed: Any = [column for column, codec in codecs.items() if codec == "zstd"]
    pq.write_table(
        table.replace_schema_metadata(dict(metadata) if metadata else None).combine_chunks(),
        file,
        compression=codecs,
        compression_level=dict.fromkeys(compressed, 3),
        use_dictionary=compressed,
        row_group_size=_ROW_GROUP_ROWS,
    )


def read_table(file: Path, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` from `file`; DataError names file, column and what to do if they are not there."""
    try:
        found = pq.read_schema(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{file}: not readable as Parquet ({_one_line(error)}); run the stage that makes it") from error
    missing = [name for name in schema.names if name not in found.names]
    if missing:
        raise DataError(
            f"{file}: column {', '.join(map(repr, missing))} is missing (there: {', '.join(found.names)}); "
            "add it, or run the stage that makes this file"
        )
    try:
        table = pq.read_table(file, columns=schema.names)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{file}: damaged ({_one_line(error)}); run the stage that makes it") from error
    return pa.table([_cast(table, field, file) for field in schema], schema=schema)


def raw_parts(raw_dir: Path) -> list[Path]:
    """The part files of `raw_dir` in name order; DataError if there are none."""
    parts = sorted(raw_dir.glob("part-*.parquet"))
    if not parts:
        raise DataError(f"{raw_dir}: holds no part-*.parquet; fetch the data (`dvc pull`) or bake it")
    return parts


def part_file(images_dir: Path, shard: int) -> Path:
    """Where shard number `shard` of the ingested images lies."""
    return images_dir / f"part-{shard:05d}.parquet"


def read_images(images_dir: Path, sample_ids: Sequence[str] | None = None) -> pa.Table:
    """Image bytes (`IMAGES`) in the order of `sample_ids`, or all of them; DataError names one that is not there."""
    parts = [read_table(part, IMAGES) for part in raw_parts(images_dir)]
    images = pa.concat_tables(parts).combine_chunks()
    return images if sample_ids is None else take_ids(images, sample_ids, images_dir)


def take_ids(table: pa.Table, sample_ids: Sequence[str], name: Path | str) -> pa.Table:
    """Rows of `table` (one per `sample_id`) in the order of `sample_ids`; DataError names one that is not there."""
    rows = pc.index_in(pa.array(sample_ids, pa.string()), table.column("sample_id").combine_chunks())
    if rows.null_count:
        absent = sample_ids[rows.is_null().to_pylist().index(True)]
        raise DataError(f"{name}: has no sample {absent}; its table is of another run, run the stages before this one")
    return table.take(rows)


def kept_ids(verdicts: Path) -> list[str]:
    """The samples that the table (`VERDICTS`) in this file keeps, in the catalogue's order."""
    table = read_table(verdicts, columns_of(VERDICTS, "sample_id", "kept"))
    return table.filter(table.column("kept")).column("sample_id").to_pylist()


def strings(table: pa.Table, column: str) -> np.ndarray:
    """A text column as a numpy array of str, nulls as ""."""
    return np.array([value or "" for value in table.column(column).to_pylist()], dtype=object)


def unit_hash(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on `text` and `salt` only: SHA-256, its first 8 bytes as a fraction."""
    digest = hashlib.sha256(f"{salt}\0{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def _codecs(schema: pa.Schema) -> dict[str, str]:
    """How each column is compressed: bytes are images, which are compressed already."""
    paths = {
        field.name: f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema
    }
    return {path: "none" if pa.types.is_binary(schema.field(name).type) else "zstd" for name, path in paths.items()}


def _cast(table: pa.Table, field: pa.Field, file: Path) -> pa.ChunkedArray:
    column = table.column(field.name)
    try:
        return column if column.type == field.type else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{file}: column {field.name!r} holds {column.type}, not {field.type}; write it as such"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
