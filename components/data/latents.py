"""The encoded selection: latents per resolution, token states of every caption, and which belong together.

A folder of safetensors and Parquet, float16 where the network reads it:

    rows.parquet              one row per image: the selection's columns, in the order of the latents
    latents_<px>.safetensors  "latents" [n, c, h, w], normalised and packed, and the "rows" [n] that they are
    latents_<px>_<h>x<w>.safetensors  the same for images in another bucket than the square of <px>
    layout.json               which autoencoder made them, how images were fitted, the buckets of each resolution
    captions.parquet          row, kind, text: the texts that may stand for an image; text 0 is the empty prompt
    texts.parquet             the texts themselves, by number
    texts.safetensors         "states" [all tokens, d] and "offsets" [texts + 1]: text i owns offsets[i]..offsets[i+1]
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from safetensors.numpy import save_file

from components.data.arrow import pc
from components.data.buckets import STRIDE_PX, Bucket
from components.data.config import BucketFit
from components.data.errors import DataError
from components.data.mapped import mapped_arrays
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
        """Token states [tokens, d] of one text, as a copy."""
        return self.states[self.offsets[text] : self.offsets[text + 1]].copy()


@runtime_checkable  # the tests check types at run time
class Latents(Protocol):
    """Latents [n, c, h, w] by rows: an array, in memory or mapped, or what makes them when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """n, c, h, w."""
        ...

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.float16]:
        """The latents of `rows`, in their order."""
        ...


@dataclass(frozen=True)
class LatentStore:
    """One bucket of the encoded selection. `captions[kind][row]` is a text's number, or -1."""

    latents: Latents
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
            f"'{language}', the first is {first}; run the stage that writes them again, or ask for other ones"
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


@dataclass(frozen=True)
class Layout:
    """What made the latents, and the buckets that have some, by resolution."""

    autoencoder_sha256: str
    fit: BucketFit
    buckets: Mapping[int, Sequence[Bucket]]


def write_layout(directory: Path, layout: Layout) -> None:
    """Save what made the latents."""
    buckets = {str(px): [[one.height, one.width] for one in of_px] for px, of_px in layout.buckets.items()}
    facts = {"autoencoder_sha256": layout.autoencoder_sha256, "fit": layout.fit, "dtype": "float16", "buckets": buckets}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "layout.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_layout(directory: Path) -> Layout:
    """What made the latents; DataError if it is not told."""
    try:
        facts = json.loads((directory / "layout.json").read_text(encoding="utf-8"))
        buckets = {int(px): [Bucket(*one) for one in of_px] for px, of_px in facts["buckets"].items()}
        return Layout(facts["autoencoder_sha256"], facts["fit"], buckets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{directory}: layout.json is missing or damaged; run `encode` again") from error


def check_autoencoder(directory: Path, autoencoder_sha256: str) -> None:
    """DataError if the latents were made by another autoencoder: they would mean nothing to this one."""
    if read_layout(directory).autoencoder_sha256 != autoencoder_sha256:
        raise DataError(f"{directory}: its latents were made by another autoencoder; run `encode` again")


def write_latents(
    directory: Path,
    px: int,
    latents: NDArray[np.float16],
    rows: NDArray[np.int64] | None = None,
    bucket: Bucket | None = None,
) -> None:
    """Save the latents of one resolution: of all rows in their order, or of `rows` in one bucket (None: the square)."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = np.arange(len(latents)) if rows is None else rows
    save_file({"latents": np.ascontiguousarray(latents), "rows": rows}, latents_file(directory, px, bucket))


def write_texts(directory: Path, links: pa.Table, prompts: Sequence[str], texts: EncodedTexts) -> None:
    """Save the captions' links, the texts and their token states."""
    write_table(links, directory / "captions.parquet")
    write_table(pa.table({"text": list(prompts)}, schema=TEXTS), directory / "texts.parquet")
    save_file({"states": texts.states, "offsets": texts.offsets}, directory / "texts.safetensors")


def write_rows(directory: Path, rows: pa.Table) -> None:
    """Save which image each row of the latents is, in the selection's own columns."""
    write_table(rows, directory / "rows.parquet")


def read_latents(directory: Path, px: int, autoencoder_sha256: str | None = None) -> LatentStore:
    """The images in the square bucket of one resolution (all of them, unless there are other buckets).

    DataError says what is missing, or that another autoencoder than the one named made the latents.
    """
    if autoencoder_sha256 is not None:
        check_autoencoder(directory, autoencoder_sha256)
    if not latents_file(directory, px).is_file():
        there = sorted(file.stem.removeprefix("latents_") for file in directory.glob("latents_*.safetensors"))
        raise DataError(
            f"{directory}: no latents at {px} px (there: {', '.join(there)}); add {px} to encode.resolutions_px"
        )
    return read_selection(directory).of_file(latents_file(directory, px), Bucket(px, px))


def training_ids(directory: Path, at_most: int) -> list[str]:
    """Samples that are trained on, evenly spread over the rows."""
    rows = read_table(directory / "rows.parquet", SELECTION)
    ids = rows.filter(pc.greater(rows["probability"], 0)).column("sample_id").to_pylist()
    return [ids[place] for place in np.linspace(0, len(ids) - 1, min(at_most, len(ids))).round().astype(int)]


def read_buckets(directory: Path, px: int, autoencoder_sha256: str | None = None) -> dict[Bucket, LatentStore]:
    """Everything about one resolution, bucket by bucket; errors as `read_latents`.

    Latents and token states are mapped, so that they may be larger than the memory; rows and captions are in memory.
    """
    if autoencoder_sha256 is not None:
        check_autoencoder(directory, autoencoder_sha256)
    buckets = read_layout(directory).buckets
    if not buckets.get(px):
        there = ", ".join(map(str, sorted(buckets)))
        raise DataError(f"{directory}: no latents at {px} px (there: {there}); add {px} to encode.resolutions_px")
    read = read_selection(directory)
    return {bucket: read.of_file(latents_file(directory, px, bucket), bucket) for bucket in buckets[px]}


@dataclass(frozen=True)
class EncodedSelection:
    """What the buckets of all resolutions share: everything but the latents."""

    rows: pa.Table
    captions: Mapping[str, NDArray[np.int64]]
    texts: EncodedTexts
    prompts: Sequence[str]

    def of_file(self, file: Path, bucket: Bucket) -> LatentStore:
        """The store of one file of latents; DataError if it is not of this selection and bucket."""
        arrays = mapped_arrays(file, {"latents": ("F16", 4), "rows": ("I64", 1)})
        latents, place = arrays["latents"], arrays["rows"]
        if latents.shape[2] * STRIDE_PX != bucket.height or latents.shape[3] * STRIDE_PX != bucket.width:
            held = " x ".join(str(side * STRIDE_PX) for side in latents.shape[2:])
            raise DataError(f"{file}: holds latents of {held} px, not {bucket}; run `encode` again")
        if len(place) != len(latents) or (len(place) and not 0 <= place.min() <= place.max() < self.rows.num_rows):
            raise DataError(f"{file}: its rows are not those of rows.parquet; run `encode` again")
        return self.of_rows(place, latents)

    def of_rows(self, place: NDArray[np.int64], latents: Latents) -> LatentStore:
        """The store of some rows, whose latents are given."""
        rows = self.rows.take(place)
        captions = {kind: texts[place] for kind, texts in self.captions.items()}
        return LatentStore(latents, rows, captions, self.texts, self.prompts, manifest_hash(rows))


def read_selection(directory: Path) -> EncodedSelection:
    """Rows, captions and texts, without latents; DataError if something is missing or does not belong."""
    rows = read_table(directory / "rows.parquet", SELECTION)
    links = read_table(directory / "captions.parquet", CAPTION_LINKS)
    prompts = read_table(directory / "texts.parquet", TEXTS).column("text").to_pylist()
    packed = mapped_arrays(directory / "texts.safetensors", {"states": ("F16", 2), "offsets": ("I64", 1)})
    texts = EncodedTexts(packed["states"], packed["offsets"])
    _check_links(directory, links, rows.num_rows, len(prompts), texts)
    return EncodedSelection(rows, _by_kind(links, rows.num_rows), texts, prompts)


def _check_links(directory: Path, links: pa.Table, num_rows: int, num_prompts: int, texts: EncodedTexts) -> None:
    """DataError unless every number points at something: the files are of one encoding."""
    row, text = (links.column(name).to_numpy() for name in ("row", "text"))
    if (
        len(texts.offsets) != num_prompts + 1
        or texts.offsets[-1] != len(texts.states)
        or text.max(initial=0) >= num_prompts
        or row.max(initial=0) >= num_rows
    ):
        raise DataError(
            f"{directory}: rows.parquet, captions.parquet, texts.parquet and texts.safetensors are not of one "
            "encoding; run `encode` again"
        )


def manifest_hash(rows: pa.Table) -> str:
    """SHA-256 over which samples there are, in which order, and how often each is drawn."""
    digest = hashlib.sha256()
    for batch in rows.select(["sample_id", "probability"]).to_batches(max_chunksize=1 << 16):
        for sample_id, probability in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            digest.update(f"{sample_id} {float(probability).hex()}\n".encode())
    return digest.hexdigest()


def combined_hash(stores: Mapping[Bucket, LatentStore]) -> str:
    """SHA-256 over the manifests of all buckets: which sample is in which, and how often each is drawn."""
    told = "".join(f"{bucket} {stores[bucket].manifest_hash}\n" for bucket in sorted(stores))
    return hashlib.sha256(told.encode()).hexdigest()


def latents_file(directory: Path, px: int, bucket: Bucket | None = None) -> Path:
    """Where the latents of one resolution lie, or of one of its buckets."""
    is_square = bucket is None or bucket == Bucket(px, px)
    return directory / (f"latents_{px}.safetensors" if is_square else f"latents_{px}_{bucket}.safetensors")


def _by_kind(links: pa.Table, num_rows: int) -> dict[str, NDArray[np.int64]]:
    kinds, rows, texts = links.column("kind"), links.column("row").to_numpy(), links.column("text").to_numpy()
    by_kind: dict[str, NDArray[np.int64]] = {}
    for kind in sorted(kinds.unique().to_pylist()):
        is_kind = pc.equal(kinds, kind).to_numpy()
        by_kind[kind] = np.full(num_rows, -1, np.int64)
        by_kind[kind][rows[is_kind]] = texts[is_kind]
    return by_kind
