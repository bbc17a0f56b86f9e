"""What happens to a raw row on its way in: which rows are taken, what is measured of each, and why one is refused.

Pure batch functions: arrow tables in, arrow tables out. A refused row is never lost: it becomes a row of the quarantine
table with its reason, and `in = catalogued + quarantined` by construction.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8, UInt64

from components.data import decode
from components.data.arrow import pc
from components.data.config import DecodeLimits, Intake
from components.data.engine import map_batches
from components.data.errors import DataError
from components.data.measures import VIEW_PX, measure_views
from components.data.part_store import current_store
from components.data.parts import cut_parts
from components.data.records import (
    CAPTION_COLUMNS,
    CATALOGUE,
    FACTS,
    IMAGES,
    QUARANTINE,
    RAW,
    TEXT_COLUMNS,
    read_table,
    unit_hash,
)

TextReason = Literal["text_not_utf8", "no_words", "repeated_bytes"]
INTAKE_REASONS: tuple[str, ...] = (*decode.REASONS, *get_args(TextReason))
_ROW, _SAMPLE_ID = "_row", "sample_id"
INSPECTED = pa.schema([*FACTS, ("reason", pa.string()), ("detail", pa.string())])


def read_raw_part(part: Path) -> pa.Table:
    """A raw part with its text as bytes (text that is not UTF-8 must be counted, not crash), and row numbers."""
    table = read_table(part, pa.schema([_as_bytes(field) for field in RAW]))
    return table.append_column(_ROW, pa.array(range(table.num_rows), pa.int32()))


def choose_rows(table: pa.Table, max_images: int | None) -> pa.Table:
    """At most `max_images` rows of each source in this part, in their order; all of them if None.

    Rows are ranked by a hash of their concept (of their own id where they have none), so that about the same concepts
    are taken from every source.
    """
    if max_images is None:
        return table
    sources = table.column("source").to_pylist()
    names = [concept or own for concept, own in zip(*_columns(table, "concept", "source_id"), strict=True)]
    ranks = np.array([unit_hash(repr(name), "choose") for name in names])
    taken = np.zeros(len(names), bool)
    for source in set(sources):
        rows = np.flatnonzero([other == source for other in sources])
        taken[rows[np.argsort(ranks[rows], kind="stable")][:max_images]] = True
    return table.filter(pa.array(taken))


def inspect_rows(chosen: pa.Table, intake: Intake, limits: DecodeLimits) -> pa.Table:
    """`inspect_batch` of every row, in parallel, part by part: a part that the current store holds is not made again.

    A part is a run of about `intake.part_images` rows cut by content, so new files cost only their own parts.
    """
    digests = _digests(chosen.column("image"), intake.batch_size)
    chosen = chosen.append_column(_SAMPLE_ID, pa.array(digests, pa.string()))
    inspect = partial(inspect_batch, limits=limits, intake=intake)
    settings = {"stage": "ingest", "intake": asdict(intake), "limits": asdict(limits)}
    tables = [INSPECTED.empty_table()]
    for rows in cut_parts(digests, intake.part_images):
        part = chosen.slice(rows.start, len(rows))
        key = {**settings, "images": digests[rows.start : rows.stop], "text": _text_digest(part)}
        make = partial(map_batches, part, inspect, INSPECTED, batch_size=intake.batch_size)
        tables.append(current_store().table(key, make).cast(INSPECTED))
    return pa.concat_tables(tables)


def inspect_batch(batch: pa.Table, limits: DecodeLimits, intake: Intake) -> pa.Table:
    """Facts and measures of every row (`INSPECTED`), with a `reason` where it must be refused ("" where sound).

    What hashed the images before can say so in a column `sample_id`.
    """
    data = [image.as_py() or b"" for image in batch.column("image")]
    ids = batch.column(_SAMPLE_ID).to_pylist() if _SAMPLE_ID in batch.column_names else None
    table = inspect_images(data, batch.column("source_id").to_pylist(), limits, intake.with_repetition, ids)
    reasons, details = table.column("reason").to_pylist(), table.column("detail").to_pylist()
    for row, (reason, detail) in _text_faults(batch, require_words=intake.require_words).items():
        if not reasons[row]:
            reasons[row], details[row] = reason, detail
    return _with_columns(table, {"reason": reasons, "detail": details})


def inspect_images(
    images: Sequence[bytes],
    names: Sequence[bytes | None],
    limits: DecodeLimits,
    with_repetition: bool,
    sample_ids: Sequence[str] | None = None,
) -> pa.Table:
    """Facts and measures (`INSPECTED`) of images alone, with a `reason` where one cannot be decoded."""
    sample_ids = sample_ids or [_digest(data) for data in images]
    found = [_inspect_image(*one, limits) for one in zip(images, sample_ids, names, strict=True)]
    table = pa.Table.from_pylist([facts for facts, _ in found], schema=INSPECTED)
    measured = measure_views([view for _, view in found if view is not None], with_repetition)
    place = np.cumsum([view is not None for _, view in found]) - 1
    place = pa.array(place, pa.int64(), mask=np.array([view is None for _, view in found], bool))
    return _with_columns(table, {name: measured.column(name).take(place) for name in measured.column_names})


def inspect_part(part: Path, shard: int, chosen: pa.Table, facts: pa.Table) -> pa.Table:
    """The facts of a part's chosen rows beside their text (still bytes), with the part's name, shard and rows."""
    rows = pa.table(
        {
            "part": pa.array([part.name] * chosen.num_rows, pa.string()),
            "shard": pa.array([shard] * chosen.num_rows, pa.int32()),
            "row": chosen.column(_ROW),
        }
    )
    table = chosen.select(TEXT_COLUMNS)
    for extra in (facts, rows):
        for name in extra.column_names:
            table = table.append_column(name, extra.column(name))
    return table


def id_prefixes(inspected: pa.Table) -> UInt64[np.ndarray, " n"]:
    """The first 64 bits of each sound row's `sample_id`: enough to see that none of a large pool comes twice."""
    sound = inspected.filter(pc.equal(inspected.column("reason"), ""))
    return np.array([_prefix(sample_id) for sample_id in sound.column("sample_id").to_pylist()], np.uint64)


class Repeats:
    """Refuses bytes that came before, in whichever part; remembers only those whose prefix comes more than once."""

    def __init__(self, prefixes: Sequence[UInt64[np.ndarray, " _"]]) -> None:
        values, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *prefixes]), return_counts=True)
        self._suspects = frozenset(values[counts > 1].tolist())
        self._first: dict[str, bytes] = {}

    def refuse(self, inspected: pa.Table) -> pa.Table:
        """`inspected` with every sound row whose bytes came before as `repeated_bytes`, naming the first."""
        reasons, details = inspected.column("reason").to_pylist(), inspected.column("detail").to_pylist()
        names = inspected.column("source_id").to_pylist()
        for row, sample_id in enumerate(inspected.column("sample_id").to_pylist()):
            if reasons[row] or _prefix(sample_id) not in self._suspects:
                continue
            if sample_id in self._first:
                reasons[row], details[row] = "repeated_bytes", f"the same bytes as {self._first[sample_id].decode()}"
            else:
                self._first[sample_id] = names[row] or b""
        return _with_columns(inspected, {"reason": reasons, "detail": details})


def catalogue_of(inspected: pa.Table) -> pa.Table:
    """The sound rows as the catalogue (`CATALOGUE`); `row` counts within the shard that `write_shard` writes."""
    sound = inspected.filter(pc.equal(inspected.column("reason"), ""))
    shards = sound.column("shard").to_numpy()
    starts = np.searchsorted(shards, shards)  # parts come in order, so a shard's rows are one run
    rows = pa.array(np.arange(len(shards)) - starts, pa.int32())
    return sound.set_column(sound.column_names.index("row"), "row", rows).select(CATALOGUE.names).cast(CATALOGUE)


def quarantine_of(inspected: pa.Table) -> pa.Table:
    """The refused rows (`QUARANTINE`), with undecodable names made readable."""
    refused = inspected.filter(pc.not_equal(inspected.column("reason"), ""))
    for name in ("source", "source_id"):
        readable = [(value or b"").decode(errors="replace") for value in refused.column(name).to_pylist()]
        refused = refused.set_column(refused.column_names.index(name), name, pa.array(readable, pa.string()))
    return refused.select(QUARANTINE.names).cast(QUARANTINE)


def sound_images(chosen: pa.Table, inspected: pa.Table, shard: int) -> pa.Table:
    """Ids and bytes (`IMAGES`) of the sound rows of one part, in the catalogue's order."""
    mine = inspected.filter(pc.equal(inspected.column("shard"), shard))
    is_sound = pc.equal(mine.column("reason"), "")
    columns = [mine.column("sample_id").filter(is_sound), chosen.column("image").filter(is_sound)]
    return pa.table(columns, schema=IMAGES)


def check_share(quarantine: pa.Table, num_rows: int, max_frac: float, raw_dir: Path) -> None:
    """DataError if more than `max_frac` of `num_rows` are damaged (repeats are not), naming the commonest reasons."""
    damaged = quarantine.filter(pc.not_equal(quarantine.column("reason"), "repeated_bytes"))
    if num_rows == 0:
        raise DataError(f"{raw_dir}: its parts hold no rows; fetch the data (`dvc pull`) or bake it")
    if damaged.num_rows <= max_frac * num_rows:
        return
    counts = pc.value_counts(damaged.column("reason")).to_pylist()
    commonest = sorted(counts, key=lambda count: (-count["counts"], count["values"]))[:3]
    reasons = ", ".join(f"{count['values']} {count['counts']}" for count in commonest)
    first = damaged.slice(0, 1).to_pylist()[0]
    raise DataError(
        f"{raw_dir}: {damaged.num_rows} of {num_rows} samples cannot be used, more than "
        f"ingest.max_quarantine_frac = {max_frac} allows ({reasons}; "
        f"first: {first['part']} row {first['row']}); repair them or raise the limit in params.yaml"
    )


def num_misnamed(catalogue: pa.Table) -> int:
    """How many images have a name that promises another format than their bytes are (harmless: the bytes decide)."""
    named, real = catalogue.column("named_format"), catalogue.column("format")
    return pc.sum(pc.and_(pc.not_equal(named, ""), pc.not_equal(named, real))).as_py() or 0


def _inspect_image(
    data: bytes, sample_id: str, source_id: bytes | None, limits: DecodeLimits
) -> tuple[dict[str, str | int], UInt8[np.ndarray, "h w 3"] | None]:
    """What the file says and is, with its view, or the reason why there is none.

    `pixel_sha256` is taken of the pixels as decoded for the view: of a JPEG at the smallest scale of at least 256
    pixels, of other formats at full size. Copies with equal pixels (other metadata, other coding of one JPEG) always
    agree, because the scale depends on the size alone and the pixels on the coefficients alone. Two JPEGs that agree
    without being equal have one size and differ only in what is finer than that scale: one picture for a person, and a
    near duplicate for any data set. A JPEG and its decoded PNG do not agree; they are near duplicates.
    """
    facts: dict[str, str | int] = {
        "sample_id": sample_id,
        "width": 0,
        "height": 0,
        "format": "",
        "named_format": decode.named_format((source_id or b"").decode(errors="replace")),
        "mode": "",
        "pixel_sha256": "",
        "num_bytes": len(data),
        "reason": "",
        "detail": "",
    }
    try:
        image = decode.decode_image(data, limits, at_least_px=VIEW_PX)
    except decode.ImageRejectedError as refused:
        return facts | {"reason": refused.reason, "detail": refused.detail}, None
    size = {"width": image.width, "height": image.height}
    # The size is part of the content: the same bytes in another shape are another picture.
    digest = hashlib.sha256(f"{image.height}x{image.width}".encode())
    digest.update(np.ascontiguousarray(image.pixels_u8).data)
    facts |= {**size, "format": image.format, "mode": image.mode, "pixel_sha256": digest.hexdigest()}
    return facts, decode.at_most(image.pixels_u8, VIEW_PX)


def _digests(images: pa.ChunkedArray, at_once: int) -> list[str]:
    """SHA-256 of every image (of nothing, where there is none); hashing lets other threads run."""

    def of_run(start: int) -> list[str]:
        return [_digest(image.as_buffer() or b"") for image in images.slice(start, at_once)]

    with ThreadPoolExecutor() as pool:
        return [digest for run in pool.map(of_run, range(0, len(images), at_once)) for digest in run]


def _digest(data: bytes | pa.Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


def _with_columns(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    """`table` with these columns in place of its own of the same names and types."""
    for name, values in columns.items():
        place = table.column_names.index(name)
        values = values if isinstance(values, pa.ChunkedArray) else pa.array(values, table.schema.field(name).type)
        table = table.set_column(place, table.schema.field(name), values)
    return table


def _prefix(sample_id: str) -> int:
    return int(sample_id[:16], 16)


def _text_digest(table: pa.Table) -> str:
    """What of a part besides its images decides its facts: its text, as bytes."""
    digest = hashlib.sha256()
    for name in TEXT_COLUMNS:
        digest.update(repr(table.column(name).to_pylist()).encode())
    return digest.hexdigest()


def _text_faults(batch: pa.Table, *, require_words: bool) -> dict[int, tuple[TextReason, str]]:
    """Rows whose text is not UTF-8, or that have no words at all though they must."""
    faults: dict[int, tuple[TextReason, str]] = {}
    has_words = np.full(batch.num_rows, not require_words)
    for name in TEXT_COLUMNS:
        column = batch.column(name).combine_chunks()
        for row, value in enumerate(column.to_pylist()):
            joined = b" ".join(word or b"" for word in value) if isinstance(value, list) else (value or b"")
            if not _is_utf8(joined):
                faults.setdefault(row, ("text_not_utf8", f"column {name}: {joined[:40]!r}"))
            elif name in CAPTION_COLUMNS and joined.strip():
                has_words[row] = True
    for row in np.flatnonzero(~has_words):
        faults.setdefault(int(row), ("no_words", f"nothing in {', '.join(CAPTION_COLUMNS)}"))
    return faults


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _columns(table: pa.Table, *names: str) -> list[list[bytes]]:
    return [table.column(name).to_pylist() for name in names]


def _as_bytes(field: pa.Field) -> pa.Field:
    is_list = pa.types.is_list(field.type)
    return pa.field(field.name, pa.list_(pa.binary()) if is_list else pa.binary())
