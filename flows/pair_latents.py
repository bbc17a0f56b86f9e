"""The images of pairs as training reads them: what was drawn keeps its latents, what came in files is encoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.data.config import Buckets, DecodeLimits

if TYPE_CHECKING:
    import pyarrow as pa

    from components.data.buckets import Bucket
    from components.data.latents import EncodedTexts
    from components.preference.candidates import Latent
    from components.preference.questions import States
    from components.training.encoded_parts import BucketLatents, Read


@dataclass(frozen=True)
class PairEncoding:
    """At which resolution and in which shapes images of files are encoded; `limits` is what one may cost to decode."""

    px: int
    buckets: Buckets
    batch_size: int
    limits: DecodeLimits


def write_pair_latents(
    directory: Path,
    pairs: "pa.Table",
    candidates: "pa.Table",
    drawn: "Mapping[str, Latent]",
    states: "Mapping[str, States]",
    read: "Read",
    autoencoder: Path,
    how: PairEncoding,
    report: Callable[[int, int], None],
) -> None:
    """Write rows, latents and texts of the images that are in a pair, in the layout of `components.data.latents`.

    `drawn` are latents by sample, `states` token states by prompt; others are encoded, bytes from `read`.
    """
    import numpy as np
    import pyarrow as pa

    from components.data import latents as store
    from components.data import records
    from components.data.arrow import pc
    from components.models.autoencoder import autoencoder_sha256

    named = pa.chunked_array([*pairs.column("winner").chunks, *pairs.column("loser").chunks])
    used = candidates.filter(pc.is_in(candidates.column("sample_id"), value_set=named))
    is_train = np.array([split == "train" for split in used.column("split").to_pylist()], bool)
    rows = used.select(["sample_id", "category", "style", "split"])
    rows = rows.append_column("concept", pa.array([""] * len(rows), pa.string()))
    rows = rows.append_column("probability", pa.array(is_train / max(int(is_train.sum()), 1), pa.float64()))
    captions = pa.table(
        {
            "sample_id": used.column("sample_id"),
            "kind": pa.array(["prompt"] * len(used)),
            "language": pa.array(["en"] * len(used)),
            "text": used.column("prompt"),
        }
    )
    links, prompts = store.link_captions(rows, captions, ["prompt"], "en")
    by_bucket = _latents(used, drawn, read, autoencoder, how, report)
    layout = store.Layout(autoencoder_sha256(autoencoder), how.buckets.fit, {how.px: sorted(by_bucket)})
    store.write_layout(directory, layout)
    for bucket, part in by_bucket.items():
        store.write_latents(directory, how.px, part.latents, part.rows, bucket)
    store.write_texts(directory, links, prompts, _texts(prompts, states))
    store.write_rows(directory, rows.select(records.SELECTION.names))


def _latents(
    used: "pa.Table",
    drawn: "Mapping[str, Latent]",
    read: "Read",
    autoencoder: Path,
    how: PairEncoding,
    report: Callable[[int, int], None],
) -> "dict[Bucket, BucketLatents]":
    """Latents by bucket, of rows that rise."""
    import numpy as np

    from components.data.buckets import STRIDE_PX, Bucket
    from components.training import encoded_parts

    found: dict[Bucket, list[tuple[int, Latent]]] = {}
    names = used.column("sample_id").to_pylist()
    for row, name in enumerate(names):
        if name in drawn:
            height, width = (side * STRIDE_PX for side in drawn[name].shape[1:])
            found.setdefault(Bucket(height, width), []).append((row, drawn[name]))
    others = np.array([row for row, name in enumerate(names) if name not in drawn], np.int64)
    if len(others):
        pictures = encoded_parts.pictures_of(used.take(others), read, [how.px], how.buckets.max_aspect)
        encoded = encoded_parts.encode_pictures(
            pictures, autoencoder, how.buckets.fit, how.limits, how.batch_size, lambda done: report(done, len(others))
        )
        for bucket, part in encoded[0].items():
            found.setdefault(bucket, []).extend(zip(others[part.rows].tolist(), part.latents, strict=True))
    in_order = {bucket: sorted(of_bucket, key=lambda one: one[0]) for bucket, of_bucket in found.items()}
    return {
        bucket: encoded_parts.BucketLatents(
            np.array([row for row, _ in of_bucket], np.int64), np.stack([latent for _, latent in of_bucket])
        )
        for bucket, of_bucket in in_order.items()
    }


def _texts(prompts: list[str], states: "Mapping[str, States]") -> "EncodedTexts":
    """Token states of all prompts, in their order."""
    from components.data.latents import pack_texts
    from components.training.encoded_parts import encode_prompts

    new = [prompt for prompt in prompts if prompt not in states]
    encoded = encode_prompts(new) if new else None
    by_prompt = dict(states) | {prompt: encoded.of(number) for number, prompt in enumerate(new) if encoded}
    return pack_texts([by_prompt[prompt] for prompt in prompts])
