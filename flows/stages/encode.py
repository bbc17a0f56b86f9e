"""Stage `encode`: what training reads. Images become latents, captions become token states, once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from components.data.config import Buckets, DecodeLimits
from components.models.config import AutoencoderName, TextEncoderName


class Params(BaseModel, frozen=True, extra="forbid"):
    """By which frozen networks, at which resolutions, in which shapes images and captions are encoded.

    `limits` is what one image may cost to decode.
    """

    autoencoder: AutoencoderName
    text_encoder: TextEncoderName

    resolutions_px: tuple[Annotated[int, Field(gt=0, multiple_of=16)], ...] = Field(min_length=1)
    buckets: Buckets
    caption_kinds: tuple[str, ...] = Field(min_length=1)
    caption_language: str
    batch_size: int = Field(gt=0)
    limits: DecodeLimits


@dataclass(frozen=True)
class Metrics:
    """`latent_std` is of the training rows at the largest resolution: about 1, by the autoencoder's statistics.

    So are `buckets` (how many have images), `mean_cropped_frac` (0 where images are padded instead) and
    `enlarged_images` (those with fewer pixels than their bucket).
    """

    encoded_images: int
    encoded_texts: int
    mean_text_tokens: float
    latent_channels: int
    latent_std: float
    buckets: int
    mean_cropped_frac: float
    enlarged_images: int


def encode(
    p: Params,
    *,
    checked: Path,
    images: Path,
    catalogue: Path,
    selection: Path,
    captions: Path,
    autoencoder: Path,
    latents: Path,
) -> Metrics:
    """Encode the selected images at each resolution, in buckets of their aspect, and all their captions.

    `checked` is the receipt of a selection that passed: it is not read, but nothing is encoded without it.
    """
    import numpy as np

    from components.data import buckets, records
    from components.data import latents as store
    from components.data.arrow import pc
    from components.data.image_shards import ImageShards
    from components.models.autoencoder import autoencoder_sha256, check_autoencoder
    from components.models.text_encoder import check_text_encoder
    from components.tracking import current_run
    from components.training import encoded_parts

    check_autoencoder(autoencoder, p.autoencoder)
    check_text_encoder(p.text_encoder)
    run = current_run()
    chosen = records.read_table(selection, records.SELECTION)
    rows = chosen.filter(pc.or_(pc.greater(chosen["probability"], 0), pc.not_equal(chosen["split"], "train")))
    ids = rows.column("sample_id").to_pylist()
    texts_of = records.read_table(captions, records.CAPTIONS)
    links, prompts = store.link_captions(rows, texts_of, p.caption_kinds, p.caption_language)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), ids, catalogue)
    read, largest_px = ImageShards(images, samples).take, max(p.resolutions_px)
    pictures = encoded_parts.pictures_of(samples, read, p.resolutions_px, p.buckets.max_aspect)
    encoded = encoded_parts.encode_pictures(
        pictures, autoencoder, p.buckets.fit, p.limits, p.batch_size, lambda done: run.progress(done, len(ids))
    )
    by_px = dict(zip(p.resolutions_px, encoded, strict=True))
    texts = encoded_parts.encode_prompts(prompts)

    layout = store.Layout(autoencoder_sha256(autoencoder), p.buckets.fit, {px: list(of) for px, of in by_px.items()})
    store.write_layout(latents, layout)
    for px, of_px in by_px.items():
        for bucket, part in of_px.items():
            store.write_latents(latents, px, part.latents, part.rows, bucket)
    store.write_texts(latents, links, prompts, texts)
    store.write_rows(latents, rows)

    is_train = rows.column("probability").to_numpy() > 0
    values = np.concatenate([part.latents[is_train[part.rows]].ravel() for part in by_px[largest_px].values()])
    largest = [crops[p.resolutions_px.index(largest_px)] for crops in pictures.crops]
    cropped_frac, num_enlarged = buckets.summary(pictures.sizes, largest)
    return Metrics(
        encoded_images=len(ids),
        encoded_texts=len(prompts),
        mean_text_tokens=float(np.diff(texts.offsets).mean()),
        latent_channels=next(iter(by_px[largest_px].values())).latents.shape[1],
        latent_std=float(values.astype(np.float32).std()),
        buckets=len(by_px[largest_px]),
        mean_cropped_frac=cropped_frac if p.buckets.fit == "crop" else 0.0,
        enlarged_images=num_enlarged,
    )
