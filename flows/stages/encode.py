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
    from components.data import records
    from components.data.arrow import pc
    from components.data.image_shards import ImageShards
    from components.data.latents import link_captions
    from components.models.autoencoder import check_autoencoder
    from components.models.text_encoder import check_text_encoder
    from components.tracking import current_run
    from components.training.encoded_folder import Encoding, encode_selection

    check_autoencoder(autoencoder, p.autoencoder)
    check_text_encoder(p.text_encoder)
    run = current_run()
    chosen = records.read_table(selection, records.SELECTION)
    rows = chosen.filter(pc.or_(pc.greater(chosen["probability"], 0), pc.not_equal(chosen["split"], "train")))
    ids = rows.column("sample_id").to_pylist()
    texts_of = records.read_table(captions, records.CAPTIONS)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), ids, catalogue)
    made = encode_selection(
        latents,
        rows,
        link_captions(rows, texts_of, p.caption_kinds, p.caption_language),
        samples,
        ImageShards(images, samples).take,
        autoencoder,
        Encoding(p.resolutions_px, p.buckets, p.batch_size, p.limits),
        lambda done: run.progress(done, len(ids)),
    )
    return Metrics(
        encoded_images=made.images,
        encoded_texts=made.texts,
        mean_text_tokens=made.mean_text_tokens,
        latent_channels=made.latent_channels,
        latent_std=made.latent_std,
        buckets=made.buckets,
        mean_cropped_frac=made.mean_cropped_frac,
        enlarged_images=made.enlarged_images,
    )
