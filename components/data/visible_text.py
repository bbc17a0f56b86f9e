"""The text that can be read in pictures: which pictures are worth asking, and what of the readings is trusted.

Reading costs a hundred times more than everything else about a caption, so only pictures that are likely to carry text
are asked, the likeliest first. The reader comes in as a function. A reading is a stranger's words: it is cleaned, and
refused where it speaks to the machine that will read the caption.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int64, UInt8

from components.data.captions import WordsReason, WordsRefusedError, clean_visible_text
from components.data.config import DecodeLimits, TextReading
from components.data.decode import ImageRejectedError, decode_rgb
from components.data.part_store import current_store
from components.data.records import CAPTION_COLUMNS, OCR, strings

_ABOUT_WRITING = re.compile(
    r"\b(letters|lettering|alphabet|ideographs?|keycap|numerals?|digits?|text|typography|inscription|handwriting"
    r"|字母|文字|汉字|数字)\b",
    re.IGNORECASE,
)
_CARRIES_WRITING = re.compile(
    r"\b(button|letter|sign|signboard|poster|banner|label|logo|placard|newspaper|magazine|calendar|ticket|card"
    r"|license plate|book cover|screenshot|slogan|billboard|menu|atm)\b|按钮|标志|海报|招牌|日历",
    re.IGNORECASE,
)
_ACRONYM = re.compile(r"\b(?!SVG\b|PNG\b)[A-Z]{2,}\b")
_LINES = pa.schema([("texts", pa.list_(pa.string())), ("confidences", pa.list_(pa.float32()))])
_PART_IMAGES = 32
_SLICE_ROWS = 4096  # of Python objects at a time


@runtime_checkable  # the tests check types at run time
class Line(Protocol):
    """One line as a reader gives it."""

    @property
    def text(self) -> str:
        """What was read."""
        ...

    @property
    def confidence(self) -> float:
        """In [0, 1]."""
        ...


Load = Callable[[Sequence[str]], pa.Table]
Read = Callable[[UInt8[np.ndarray, "h w 3"]], Sequence[Line]]


def text_likeness(samples: pa.Table) -> Float[np.ndarray, " n"]:
    """How likely each sample (catalogue columns) shows text, in [0, 1], without a look at its pixels.

    The larger of the measure `lettering` and of what its words say: 1 where they speak of letters, 0.8 where the title
    has an acronym, 0.5 where they name a thing that carries writing.
    """
    runs = (samples.slice(start, _SLICE_ROWS) for start in range(0, samples.num_rows, _SLICE_ROWS))
    of_words = np.array([likeness for run in runs for likeness in _of_rows(run)], np.float64)
    return np.maximum(of_words, np.nan_to_num(samples.column("lettering").to_numpy().astype(np.float64)))


def likeliest(samples: pa.Table, p: TextReading) -> Int64[np.ndarray, " k"]:
    """Rows to read: at least `min_text_likeness`, at most `max_images`, the likeliest, in the table's order."""
    if not p.enabled:
        return np.zeros(0, np.int64)
    likeness = text_likeness(samples)
    rows = np.flatnonzero(likeness >= p.min_text_likeness)
    ids = strings(samples, "sample_id")
    ranked = sorted(rows.tolist(), key=lambda row: (-likeness[row], ids[row]))
    return np.sort(np.array(ranked[: p.max_images], np.int64))


def read_texts(
    samples: pa.Table, load: Load, read: Read, p: TextReading, limits: DecodeLimits, num_threads: int = 2
) -> tuple[pa.Table, list[WordsReason]]:
    """The table `OCR` of `samples` (sample_id, shard), and why readings were refused.

    Finished parts are kept: at most 32 images of one shard, which a new shard leaves as they are. Their images are
    only loaded where they must be read.
    """
    by_shard: dict[int, list[str]] = defaultdict(list)
    for row in samples.select(["sample_id", "shard"]).to_pylist():
        by_shard[row["shard"]].append(row["sample_id"])
    parts = [ids[k : k + _PART_IMAGES] for ids in by_shard.values() for k in range(0, len(ids), _PART_IMAGES)]
    one_at_a_time = threading.Lock()

    def loaded(ids: Sequence[str]) -> pa.Table:
        with one_at_a_time:
            return load(ids)

    with ThreadPoolExecutor(num_threads, thread_name_prefix="ocr") as pool:
        tables = list(pool.map(lambda ids: _part(ids, loaded, read, p, limits), parts))
    ids = [sample_id for part in parts for sample_id in part]
    lines = pa.concat_tables([_LINES.empty_table(), *tables]).to_pylist()
    out: list[dict[str, object]] = []
    refused: list[WordsReason] = []
    for sample_id, found in zip(ids, lines, strict=True):
        text, confidence, why = trusted(found["texts"], found["confidences"], p.min_confidence)
        refused += why
        out.append({"sample_id": sample_id, "ocr_text": text, "confidence": confidence})
    return pa.Table.from_pylist(out, schema=OCR), refused


def trusted(
    texts: Sequence[str], confidences: Sequence[float], min_confidence: float
) -> tuple[str, float, list[WordsReason]]:
    """Lines cleaned and joined, and the least confidence among them; "" and 0 where they cannot be trusted; and why.

    A line read with too little confidence makes the whole text half-read, and a misspelt word is worse than none. One
    sign alone is as often a drawn shape as a letter, so half the doubt is allowed there.
    """
    kept: list[tuple[str, float]] = []
    refused: list[WordsReason] = []
    for text, confidence in zip(texts, confidences, strict=True):
        try:
            cleaned = clean_visible_text(text)
        except WordsRefusedError as error:
            refused.append(error.reason)
            continue
        if cleaned:
            kept.append((cleaned, confidence))
    least = min((confidence for _, confidence in kept), default=0.0)
    is_single = len(kept) == 1 and len(kept[0][0]) == 1
    if not kept or least < ((1 + min_confidence) / 2 if is_single else min_confidence):
        return "", 0.0, refused
    try:
        joined = clean_visible_text(" ".join(text for text, _ in kept))
    except WordsRefusedError as error:  # an instruction over two lines
        return "", 0.0, [*refused, error.reason]
    return joined, least, refused


def _part(ids: Sequence[str], load: Load, read: Read, p: TextReading, limits: DecodeLimits) -> pa.Table:
    key = {"texts of": list(ids), "min_side_px": p.min_side_px}
    return current_store().table(key, lambda: _read_part(load(ids), read, limits))


def _read_part(images: pa.Table, read: Read, limits: DecodeLimits) -> pa.Table:
    lines = [_read_one(data.as_py(), read, limits) for data in images.column("bytes")]
    columns = [[[line.text for line in of] for of in lines], [[line.confidence for line in of] for of in lines]]
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, _LINES, strict=True)], schema=_LINES
    )


def _read_one(data: bytes, read: Read, limits: DecodeLimits) -> Sequence[Line]:
    try:
        return read(decode_rgb(data, limits))
    except ImageRejectedError:
        return ()


def _of_words(title: str, words: str) -> float:
    if _ABOUT_WRITING.search(words):
        return 1.0
    if _ACRONYM.search(title) and not title.isupper():
        return 0.8
    return 0.5 if _CARRIES_WRITING.search(words) else 0.0


def _of_rows(samples: pa.Table) -> list[float]:
    rows = samples.select(CAPTION_COLUMNS).to_pylist()
    return [_of_words(row["title_en"] or "", " ".join(_flat(row[name]) for name in CAPTION_COLUMNS)) for row in rows]


def _flat(words: str | list[str | None] | None) -> str:
    return words or "" if isinstance(words, str | None) else " ".join(word or "" for word in words)
