"""An encoded selection, from its images and texts to the folder that training reads (`components.data.latents`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.data import latents as store
from components.data.arrow import pc
from components.data.buckets import summary
from components.data.config import Buckets, DecodeLimits
from components.models.autoencoder import autoencoder_sha256
from components.training.encoded_parts import Read, Report, encode_pictures, encode_prompts, pictures_of


@dataclass(frozen=True)
class Encoding:
    """At which resolutions, in which shapes and how many at a time images are encoded; `limits`: what one may cost."""

    resolutions_px: tuple[int, ...]
    buckets: Buckets
    batch_size: int
    limits: DecodeLimits


@dataclass(frozen=True)
class EncodedFacts:
    """What was encoded. Those of latents are at the largest resolution, `latent_std` of the rows that are trained on.

    `text_tokens` are the mean tokens of the texts of each kind, `mean_text_tokens` those of all distinct texts.
    """

    images: int
    texts: int
    mean_text_tokens: float
    text_tokens: dict[str, float]
    latent_channels: int
    latent_std: float
    buckets: int
    mean_cropped_frac: float
    enlarged_images: int


def encode_selection(
    directory: Path,
    rows: pa.Table,
    captions: tuple[pa.Table, Sequence[str]],
    samples: pa.Table,
    read: Read,
    autoencoder: Path,
    how: Encoding,
    report: Report,
) -> EncodedFacts:
    """Encode and write the images of `rows` (`SELECTION`) at each resolution, in buckets of their aspect, and texts.

    `captions` are links and texts as `link_captions` gives them; `samples` are the rows' lines of the catalogue, in
    their order; `read` finds image bytes; `report` is told how many images are done.
    """
    links, prompts = captions
    pictures = pictures_of(samples, read, how.resolutions_px, how.buckets.max_aspect)
    encoded = encode_pictures(pictures, autoencoder, how.buckets.fit, how.limits, how.batch_size, report)
    by_px = dict(zip(how.resolutions_px, encoded, strict=True))
    texts = encode_prompts(prompts)

    layout = {px: list(of_px) for px, of_px in by_px.items()}
    store.write_layout(directory, store.Layout(autoencoder_sha256(autoencoder), how.buckets.fit, layout))
    for px, of_px in by_px.items():
        for bucket, part in of_px.items():
            store.write_latents(directory, px, part.latents, part.rows, bucket)
    store.write_texts(directory, links, prompts, texts)
    store.write_rows(directory, rows)

    largest_px = max(how.resolutions_px)
    is_train = rows.column("probability").to_numpy() > 0
    values = np.concatenate([part.latents[is_train[part.rows]].ravel() for part in by_px[largest_px].values()])
    largest = [crops[how.resolutions_px.index(largest_px)] for crops in pictures.crops]
    cropped_frac, num_enlarged = summary(pictures.sizes, largest)
    lengths = np.diff(texts.offsets)
    return EncodedFacts(
        images=rows.num_rows,
        texts=len(prompts),
        mean_text_tokens=float(lengths.mean()),
        text_tokens={
            kind: float(lengths[links.filter(pc.equal(links["kind"], kind))["text"].to_numpy()].mean())
            for kind in sorted(links["kind"].unique().to_pylist())
        },
        latent_channels=next(iter(by_px[largest_px].values())).latents.shape[1],
        latent_std=float(values.astype(np.float32).std()),
        buckets=len(by_px[largest_px]),
        mean_cropped_frac=cropped_frac if how.buckets.fit == "crop" else 0.0,
        enlarged_images=num_enlarged,
    )
