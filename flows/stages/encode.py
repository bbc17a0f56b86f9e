"""Stage `encode`: what training reads. Images become latents, captions become token states, once."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.data.config import DecodeLimits


class Params(BaseModel, frozen=True, extra="forbid"):
    """Which resolutions and captions are encoded; `limits` is what one image may cost to decode."""

    resolutions_px: tuple[int, ...] = Field(min_length=1)
    caption_kinds: tuple[str, ...] = Field(min_length=1)
    caption_language: str
    batch_size: int = Field(gt=0)
    limits: DecodeLimits


@dataclass(frozen=True)
class Metrics:
    """`latent_std` is of the training rows at the largest resolution: about 1, by the autoencoder's statistics."""

    encoded_images: int
    encoded_texts: int
    mean_text_tokens: float
    latent_channels: int
    latent_std: float


def encode(
    p: Params, *, checked: Path, images: Path, selection: Path, captions: Path, autoencoder: Path, latents: Path
) -> Metrics:
    """Encode the selected images at each resolution and all their captions.

    `checked` is the receipt of a selection that passed: it is not read, but nothing is encoded without it.
    """
    import numpy as np

    from components.data import latents as store
    from components.data.arrow import pc
    from components.data.records import CAPTIONS, SELECTION, read_images, read_table
    from components.models.autoencoder import load_autoencoder
    from components.models.text_encoder import TextEncoder
    from components.tracking import current_run
    from components.training.encoding import encode_images

    run = current_run()
    chosen = read_table(selection, SELECTION)
    rows = chosen.filter(pc.or_(pc.greater(chosen["probability"], 0), pc.not_equal(chosen["split"], "train")))
    links, prompts = store.link_captions(rows, read_table(captions, CAPTIONS), p.caption_kinds, p.caption_language)
    data = read_images(images, rows.column("sample_id").to_pylist()).column("bytes").to_pylist()
    total = len(data) + len(prompts)
    encoded = encode_images(
        load_autoencoder(autoencoder), data, p.resolutions_px, p.limits, p.batch_size, lambda n: run.progress(n, total)
    )
    for px, array in encoded.items():
        store.write_latents(latents, px, array)
    texts = store.pack_texts([states.half().numpy() for states in TextEncoder.load()(prompts)])
    run.progress(total, total)
    store.write_texts(latents, links, prompts, texts)
    store.write_rows(latents, rows)
    largest = encoded[max(p.resolutions_px)]
    return Metrics(
        encoded_images=len(data),
        encoded_texts=len(prompts),
        mean_text_tokens=float(np.diff(texts.offsets).mean()),
        latent_channels=int(largest.shape[1]),
        latent_std=float(largest[rows.column("probability").to_numpy() > 0].astype(np.float32).std()),
    )
