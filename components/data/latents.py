"""The encoded selection: latents per resolution, token states of every caption, and which belong together.

A folder of safetensors and Parquet, float16 where the network reads it:

    rows.parquet              one row per image: the selection's columns, in the order of the latents
    latents_<px>.safetensors  "latents" [n, c, h, w], normalised and packed
    captions.parquet          row, kind, text: the texts that may stand for an image; text 0 is the empty prompt
    texts.parquet             the texts themselves, by number
    texts.safetensors         "states" [all tokens, d] and "offsets" [texts + 1]: text i owns offsets[i]..offsets[i+1]
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from components.data.errors import DataError
from components.data.records import SELECTION, read_table, write_table

EMPTY_TEXT = 0
CAPTION_LINKS = pa.schema([("row", pa.int64()), ("kind", pa.string()), ("text", pa.int64())])
TEXTS = pa.schema([("text", pa.string())])


@dataclass(frozen=True)
class EncodedTexts:
    """Token states of many texts, one after another; text i owns the rows offsets[i] to offsets[i + 1]."""

    states: NDArray[np.float16]
    offsets: NDArray[np.int64]

    def of(self, text: int) -> NDArray[np.float16]:
        """Token states [tokens, d] of one text."""
        return self.states[self.offsets[text] : self.offsets[text + 1]]


@dataclass(frozen=True)
class LatentStore:
    """One resolution of the encoded selection, in memory. `captions[kind][row]` is a text's number, or -1."""

    latents: NDArray[np.float16]
    rows: pa.Table
    captions: Mapping[str, NDArray[np.int64]]
    texts: EncodedTexts
    prompts: Sequence[str]
    manifest_hash: str

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """How often training draws each row; 0 for held-out rows."""
        return self.rows.column("probability").to_numpy()

    def rows_of(self, split: str) -> NDArray[np.int64]:
        """The rows of one split, in order."""
        return np.flatnonzero(np.array(self.rows.column("split").to_pylist(), dtype=object) == split)


def link_captions(
    rows: pa.Table, captions: pa.Table, kinds: Sequence[str], language: str
) -> tuple[pa.Table, list[str]]:
    """Which text stands for which row, and the distinct texts, the empty one first, then in order of appearance.

    Of several texts of one kind the first stands, so captioners are named in the order of trust. DataError when a row
    has no text of any of `kinds` in `language`.
    """
    row_of = {sample_id: row for row, sample_id in enumerate(rows.column("sample_id").to_pylist())}
    numbers: dict[str, int] = {"": EMPTY_TEXT}
    text_of: dict[tuple[int, str], int] = {}
    for caption in captions.to_pylist():
        row = row_of.get(caption["sample_id"])
        if row is None or caption["kind"] not in kinds or caption["language"] != language:
            continue
        if (row, caption["kind"]) not in text_of:
            text_of[row, caption["kind"]] = numbers.setdefault(caption["text"], len(numbers))
    if missing := set(range(rows.num_rows)) - {row for row, _ in text_of}:
        first = rows.column("sample_id")[min(missing)].as_py()
        raise DataError(
            f"captions: {len(missing)} of {rows.num_rows} images have no caption of kind {' or '.join(kinds)} in "
            f"'{language}', the first is {first}; run `caption` again or change encode.caption_kinds"
        )
    links = sorted((row, kind, text) for (row, kind), text in text_of.items())
    columns = [
        pa.array(column, field.type) for column, field in zip(zip(*links, strict=True), CAPTION_LINKS, strict=True)
    ]
    return pa.table(columns, schema=CAPTION_LINKS), list(numbers)


def pack_texts(states: Sequence[NDArray[np.float16]]) -> EncodedTexts:
    """Texts of different lengths put one after another."""
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in states])]).astype(np.int64)
    return EncodedTexts(np.concatenate(list(states)), offsets)


def write_latents(directory: Path, px: int, latents: NDArray[np.float16]) -> None:
    """Save the latents of one resolution."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file({"latents": np.ascontiguousarray(latents)}, latents_file(directory, px))


def write_texts(directory: Path, links: pa.Table, prompts: Sequence[str], texts: EncodedTexts) -> None:
    """Save the captions' links, the texts and their token states."""
    write_table(links, directory / "captions.parquet")
    write_table(pa.table({"text": list(prompts)}, schema=TEXTS), directory / "texts.parquet")
    save_file({"states": texts.states, "offsets": texts.offsets}, directory / "texts.safetensors")


def write_rows(directory: Path, rows: pa.Table) -> None:
    """Save which image each row of the latents is, in the selection's own columns."""
    write_table(rows, directory / "rows.parquet")


def read_latents(directory: Path, px: int) -> LatentStore:
    """Everything about one resolution; DataError says what is missing."""
    if not latents_file(directory, px).is_file():
        there = sorted(file.stem.removeprefix("latents_") for file in directory.glob("latents_*.safetensors"))
        raise DataError(
            f"{directory}: no latents at {px} px (there: {', '.join(there)}); add {px} to encode.resolutions_px"
        )
    rows = read_table(directory / "rows.parquet", SELECTION)
    links = read_table(directory / "captions.parquet", CAPTION_LINKS)
    packed = load_file(directory / "texts.safetensors")
    return LatentStore(
        latents=load_file(latents_file(directory, px))["latents"],
        rows=rows,
        captions=_by_kind(links, rows.num_rows),
        texts=EncodedTexts(packed["states"], packed["offsets"]),
        prompts=read_table(directory / "texts.parquet", TEXTS).column("text").to_pylist(),
        manifest_hash=manifest_hash(rows),
    )


def manifest_hash(rows: pa.Table) -> str:
    """SHA-256 over which samples there are, in which order, and how often each is drawn."""
    digest = hashlib.sha256()
    for sample_id, probability in zip(
        rows.column("sample_id").to_pylist(), rows.column("probability").to_pylist(), strict=True
    ):
        digest.update(f"{sample_id} {float(probability).hex()}\n".encode())
    return digest.hexdigest()


def latents_file(directory: Path, px: int) -> Path:
    """Where the latents of one resolution lie."""
    return directory / f"latents_{px}.safetensors"


def _by_kind(links: pa.Table, num_rows: int) -> dict[str, NDArray[np.int64]]:
    kinds = np.array(links.column("kind").to_pylist(), dtype=object)
    rows, texts = links.column("row").to_numpy(), links.column("text").to_numpy()
    by_kind: dict[str, NDArray[np.int64]] = {}
    for kind in sorted(set(kinds)):
        by_kind[kind] = np.full(num_rows, -1, np.int64)
        by_kind[kind][rows[kinds == kind]] = texts[kinds == kind]
    return by_kind
