"""What `encoding` makes, part by part: finished parts are kept under what they were made from, and never made again.

A part of latents hangs on its images, their buckets, how they are fitted, the autoencoder's hash and the float type; a
part of text states on its texts and the text encoder's hash.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, Int64

from components.data.buckets import Bucket, bucket_for, buckets_of
from components.data.config import BucketFit, DecodeLimits
from components.data.latents import EncodedTexts, pack_texts
from components.data.part_store import current_store
from components.data.parts import cut_parts
from components.models.autoencoder import autoencoder_sha256, load_autoencoder
from components.models.text_encoder import TextEncoder, text_model_sha256
from components.training.encoding import Crops, EncodedGroup, encode_images, encode_texts

PART_IMAGES, PART_TEXTS = 256, 1024
Read = Callable[[Sequence[str]], pa.Table]
Report = Callable[[int], None]


@dataclass(frozen=True)
class Pictures:
    """Images to encode: where to read their `bytes`, their upright widths and heights, and their buckets."""

    read: Read
    sample_ids: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    crops: Sequence[Crops]


def pictures_of(samples: pa.Table, read: Read, resolutions_px: Sequence[int], max_aspect: float) -> Pictures:
    """The images of `samples` (catalogue rows), each in the bucket of every resolution that crops it least."""
    sizes = list(zip(samples.column("width").to_pylist(), samples.column("height").to_pylist(), strict=True))
    offered = [buckets_of(px, max_aspect) for px in resolutions_px]
    crops = [tuple(bucket_for(*size, of_px) for of_px in offered) for size in sizes]
    return Pictures(read, samples.column("sample_id").to_pylist(), sizes, crops)


@dataclass(frozen=True)
class BucketLatents:
    """The images in one bucket of one resolution: their rows, rising, and their latents."""

    rows: Int64[np.ndarray, " n"]
    latents: Float16[np.ndarray, "n c h w"]


def encode_pictures(
    pictures: Pictures, autoencoder: Path, fit: BucketFit, limits: DecodeLimits, batch_size: int, report: Report
) -> list[dict[Bucket, BucketLatents]]:
    """Latents of all pictures: for each resolution, by bucket. `report` is told how many pictures are done."""
    made_by = {"autoencoder": autoencoder_sha256(autoencoder), "dtype": "float16", "fit": fit, "batch": batch_size}
    network = load_autoencoder(autoencoder)
    found: list[dict[Bucket, list[BucketLatents]]] = [{} for _ in (pictures.crops[0] if pictures.crops else ())]
    for part in cut_parts(pictures.sample_ids, PART_IMAGES):
        rows = slice(part.start, part.stop)
        ids, sizes, crops = pictures.sample_ids[rows], pictures.sizes[rows], pictures.crops[rows]
        key = {"kind": "latents", **made_by, "images": list(ids), "crops": [" ".join(map(str, one)) for one in crops]}

        def make(
            ids: Sequence[str] = ids, sizes: Sequence[tuple[int, int]] = sizes, crops: Sequence[Crops] = crops
        ) -> dict[str, np.ndarray]:
            data = pictures.read(ids).column("bytes").to_pylist()
            return _named(encode_images(network, data, sizes, crops, fit, limits, batch_size))

        arrays = current_store().arrays(key, make)
        for number, of_resolution in enumerate(found):
            for bucket in {one[number] for one in crops}:
                name = f"{number}.{bucket}"
                latents = BucketLatents(arrays[f"{name}.rows"] + part.start, arrays[f"{name}.latents"])
                of_resolution.setdefault(bucket, []).append(latents)
        report(part.stop)
    return [{bucket: _joined(parts) for bucket, parts in sorted(one.items())} for one in found]


def encode_prompts(prompts: Sequence[str]) -> EncodedTexts:
    """Token states of all texts, in their order."""
    encoder = cache(TextEncoder.load)  # it is loaded only if a part is missing
    made_by = {"text_encoder": text_model_sha256(), "dtype": "float16"}
    states = list[np.ndarray]()
    for part in cut_parts(prompts, PART_TEXTS):
        texts = list(prompts[part.start : part.stop])
        packed = current_store().arrays(
            {"kind": "texts", **made_by, "texts": texts}, partial(_packed_states, encoder, texts)
        )
        states += np.split(packed["states"], packed["offsets"][1:-1])
    return pack_texts(states)


def _packed_states(encoder: Callable[[], TextEncoder], texts: Sequence[str]) -> dict[str, np.ndarray]:
    packed = pack_texts(encode_texts(encoder(), texts))
    return {"states": packed.states, "offsets": packed.offsets}


def _named(groups: Sequence[EncodedGroup]) -> dict[str, np.ndarray]:
    """The groups of one part as arrays by resolution and bucket, in the rows' order."""
    by_bucket: dict[str, list[BucketLatents]] = {}
    for group in groups:
        for number, (bucket, latents) in enumerate(zip(group.crops, group.latents, strict=True)):
            by_bucket.setdefault(f"{number}.{bucket}", []).append(BucketLatents(group.rows, latents))
    joined = {name: _joined(parts) for name, parts in by_bucket.items()}
    rows = {f"{name}.rows": one.rows for name, one in joined.items()}
    return rows | {f"{name}.latents": one.latents for name, one in joined.items()}


def _joined(parts: Sequence[BucketLatents]) -> BucketLatents:
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    return BucketLatents(rows[order], np.concatenate([part.latents for part in parts])[order])
