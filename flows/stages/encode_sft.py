"""Stage `encode_sft`: the curated set as training reads it, with its four prompts an image, part of it held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field

from components.data.config import Buckets, DecodeLimits
from components.data.top_down.config import PromptStyle
from components.models.config import AutoencoderName, TextEncoderName

STYLES: tuple[str, ...] = get_args(PromptStyle)


class Params(BaseModel, frozen=True, extra="forbid"):
    """By which frozen networks, at which resolutions, in which shapes images and prompts are encoded.

    `heldout_frac` of each domain is not trained on, as far as it has images that pre-training has not seen: which, the
    hash of their concepts and `seed` decide. `limits` is what one image may cost to decode.
    """

    autoencoder: AutoencoderName
    text_encoder: TextEncoderName

    resolutions_px: tuple[Annotated[int, Field(gt=0, multiple_of=16)], ...] = Field(min_length=1)
    buckets: Buckets
    prompt_language: Literal["en", "zh"]
    heldout_frac: float = Field(ge=0, lt=1)
    batch_size: int = Field(gt=0)
    limits: DecodeLimits
    seed: int


@dataclass(frozen=True)
class Metrics:
    """Tokens are the mean of each style of prompt: what a step costs. `latent_std` as in stage `encode`."""

    encoded_images: int
    held_out_images: int
    encoded_texts: int
    keywords_tokens: float
    request_tokens: float
    instruction_tokens: float
    specification_tokens: float
    latent_std: float
    buckets: int
    mean_cropped_frac: float
    enlarged_images: int


def encode_sft(
    p: Params,
    *,
    checked: Path,
    images: Path,
    catalogue: Path,
    rendered_images: Path,
    rendered_catalogue: Path,
    selection: Path,
    sft_selection: Path,
    sft_prompts: Path,
    autoencoder: Path,
    latents: Path,
) -> Metrics:
    """Encode the curated images of both pools at each resolution, and all their prompts; hold out part of each domain.

    `checked` is the receipt of a set that passed: it is not read, but nothing is encoded without it.
    """
    from components.data import records
    from components.data.arrow import pc
    from components.data.image_shards import read_from_pools
    from components.data.latents import link_captions
    from components.data.top_down.training_rows import training_rows
    from components.models.autoencoder import check_autoencoder
    from components.models.text_encoder import check_text_encoder
    from components.tracking import current_run
    from components.training.encoded_folder import Encoding, encode_selection

    check_autoencoder(autoencoder, p.autoencoder)
    check_text_encoder(p.text_encoder)
    run = current_run()
    chosen = records.read_table(sft_selection, records.SFT_SELECTION)
    drawn = records.read_table(selection, records.SELECTION)
    seen = set(drawn.filter(pc.greater(drawn["probability"], 0)).column("sample_id").to_pylist())
    rows = training_rows(chosen, seen, p.heldout_frac, p.seed)
    prompts = records.read_table(sft_prompts, records.SFT_PROMPTS).rename_columns({"style": "kind"})
    places = {"catalogue": (images, catalogue), "rendered": (rendered_images, rendered_catalogue)}
    samples, read = read_from_pools(chosen, places)
    made = encode_selection(
        latents,
        rows,
        link_captions(rows, prompts, STYLES, p.prompt_language),
        samples,
        read,
        autoencoder,
        Encoding(p.resolutions_px, p.buckets, p.batch_size, p.limits),
        lambda done: run.progress(done, rows.num_rows),
    )
    return Metrics(
        encoded_images=made.images,
        held_out_images=sum(split != "train" for split in rows.column("split").to_pylist()),
        encoded_texts=made.texts,
        **{f"{style}_tokens": made.text_tokens.get(style, 0.0) for style in STYLES},
        latent_std=made.latent_std,
        buckets=made.buckets,
        mean_cropped_frac=made.mean_cropped_frac,
        enlarged_images=made.enlarged_images,
    )
