"""Files of pairs that others published, row by row: images of one prompt, and how they were ranked.

`pickapic`: Parquet files of Pick-a-Pic v2: caption, jpg_0, jpg_1, label_0 and label_1 (1 won, 0 lost, 0.5 and 0.5 a
tie), has_label, are_different. `hpd`: HPD v2: `train.json` beside the folder `train`, or `test.json` beside `test`; an
entry has prompt, image_path, and either human_preference (1 won, 0 lost) or rank (1 is best). `plain`: JSONL or Parquet
with prompt, winner and loser (paths below the file's folder, or in Parquet bytes), and where known margin, judge and
is_human.

What cannot be what its publisher says is an error that names file and row. Nothing is read from outside the folder.

Source: Kirstain et al. 2023, arXiv:2305.01569 (Pick-a-Pic); Wu et al. 2023, arXiv:2306.09341 (HPD v2).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.data.config import DecodeLimits
from components.data.errors import DataError
from components.data.readers.interface import ReadLimits, RefusedError, printable
from components.data.readers.parquet import check_row_group, open_parquet, rows_of_group
from components.preference.config import Layout
from components.preference.json_rows import number_of, rows_of_lines, rows_of_list, text_of

PICKAPIC_COLUMNS = ("caption", "jpg_0", "jpg_1", "label_0", "label_1")
PLAIN_COLUMNS = ("prompt", "winner", "loser")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Images of one prompt with a score each (higher is better), who said so, and where it stands in the file.

    `unused` says why nothing can be learned from it ("" of most).
    """

    place: str
    prompt: str
    images: tuple[bytes, ...]
    scores: tuple[float, ...]
    judge: str
    is_human: bool
    unused: str = ""


def read_comparisons(place: Path, layout: Layout, limits: DecodeLimits) -> Iterator[Comparison]:
    """Every row of the file at `place` (or of the Parquet files in this folder), read bit by bit.

    Of a Parquet file a row group is in memory at a time, of the others a row.

    DataError naming file and row for what is not as the layout says, an image that is missing or outside the folder, or
    two equal images.
    """
    for file in _files(place):
        for comparison in _READERS[layout](file, limits):
            images = [image for image in comparison.images if not comparison.unused]
            if len(set(images)) < len(images):
                raise DataError(f"{comparison.place}: two of its images are the same; remove the row")
            yield comparison


def _pickapic(file: Path, _: DecodeLimits) -> Iterator[Comparison]:
    for place, row, _is_bytes in _parquet_rows(file, PICKAPIC_COLUMNS):
        prompt = text_of(row, "caption", place)
        labels = row["label_0"], row["label_1"]
        unused = ""
        if row.get("has_label") is False or None in labels:
            unused, labels = "unlabelled", (0.0, 0.0)
        elif row.get("are_different") is False:
            unused = "repeated"
        elif labels not in ((1, 0), (0, 1), (0.5, 0.5)):
            raise DataError(f"{place}: labels are {labels}; allowed: 1 and 0, 0 and 1, 0.5 and 0.5")
        images = tuple(_bytes_of(row[column], column, place) for column in ("jpg_0", "jpg_1"))
        yield Comparison(place, prompt, images, (float(labels[0]), float(labels[1])), "pickapic", True, unused)


def _hpd(file: Path, limits: DecodeLimits) -> Iterator[Comparison]:
    folder = file.with_suffix("")
    if not folder.is_dir():
        raise DataError(f"{file}: its images are not there; unpack them into {folder}")
    for place, row in rows_of_list(file):
        paths = row.get("image_path")
        if not isinstance(paths, list) or len(paths) < 2:
            raise DataError(f"{place}: 'image_path' is no list of two or more names")
        ranks = row.get("rank") or []
        said = row.get("human_preference") or ranks
        if not isinstance(said, list) or len(said) != len(paths):
            raise DataError(f"{place}: neither 'human_preference' nor 'rank' has one number for each of its images")
        sign = -1 if said is ranks else 1
        scores = tuple(sign * number_of(value, "rank", place) for value in said)
        images = tuple(_beside(folder, name, place, limits) for name in paths)
        yield Comparison(place, text_of(row, "prompt", place), images, scores, "hpd", True)


def _plain(file: Path, limits: DecodeLimits) -> Iterator[Comparison]:
    if file.suffix == ".parquet":
        rows = _parquet_rows(file, PLAIN_COLUMNS)
    else:
        rows = ((place, row, False) for place, row in rows_of_lines(file))
    for place, row, is_bytes in rows:
        images = tuple(
            _bytes_of(row[key], key, place) if is_bytes else _beside(file.parent, row.get(key), place, limits)
            for key in ("winner", "loser")
        )
        margin = number_of(1 if row.get("margin") is None else row["margin"], "margin", place)
        if margin < 0:
            raise DataError(f"{place}: 'margin' is {margin}; allowed: 0 or more, else exchange winner and loser")
        is_human = row.get("is_human") or False
        if not isinstance(is_human, bool):
            raise DataError(f"{place}: 'is_human' is {printable(repr(is_human))[:80]}; allowed: true, false")
        judge = "file" if row.get("judge") is None else text_of(row, "judge", place, max_characters=200)
        yield Comparison(place, text_of(row, "prompt", place), images, (margin, 0.0), judge, is_human)


_READERS: dict[Layout, Callable[[Path, DecodeLimits], Iterator[Comparison]]] = {
    "pickapic": _pickapic,
    "hpd": _hpd,
    "plain": _plain,
}


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    files = sorted(place.glob("*.parquet"))
    if not files:
        raise DataError(f"{place}: no such file, nor a folder with *.parquet; name the file of pairs")
    return files


def _parquet_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Rows with texts as text, where each stands, and whether its images are bytes rather than paths."""
    try:
        with file.open("rb") as stream:
            table = open_parquet(stream, str(file))
            schema = table.schema_arrow
            missing = [name for name in columns if name not in schema.names]
            if missing:
                raise DataError(
                    f"{file}: column {', '.join(missing)} is missing (there: {', '.join(map(printable, schema.names))})"
                )
            texts = [field.name for field in schema if _is_text(field.type)]
            is_bytes = columns[1] not in texts
            for group in range(table.num_row_groups):
                check_row_group(table, str(file), group, ReadLimits())
                for row in rows_of_group(table, str(file), group):
                    place = f"{file}, row {row['']}"
                    yield place, {**row, **{name: _text(row[name], name, place) for name in texts}}, is_bytes
    except RefusedError as error:
        refusal = error.refusal
        raise DataError(f"{refusal.name}: {refusal.reason} ({refusal.detail}); fetch the file again") from error


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _text(value: bytes | None, name: str, place: str) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: {name!r} is not UTF-8; mend the row") from error


def _beside(folder: Path, name: object, place: str, limits: DecodeLimits) -> bytes:
    """The bytes of the image that is called `name` in `folder`; links that lead out of it are not followed."""
    shown = printable(repr(name))[:120]
    if not isinstance(name, str) or not name or "\0" in name:
        raise DataError(f"{place}: an image is called {shown}; allowed: a path below {folder}")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{place}: image {shown} lies outside {folder}; allowed: paths below it")
    if not path.is_file():
        raise DataError(f"{place}: there is no image {shown} in {folder}; put it there, or remove the row")
    with path.open("rb") as stream:
        return _bytes_of(stream.read(limits.max_bytes + 1), shown, place)  # one too many is refused when it is decoded


def _bytes_of(data: Any, name: str, place: str) -> bytes:
    cell = data.get("bytes") if isinstance(data, dict) else data
    if not isinstance(cell, bytes) or not cell:
        raise DataError(f"{place}: image {name} holds no bytes; remove the row")
    return cell
