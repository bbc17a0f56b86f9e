"""Pictures for the prompts of held-out pairs, always from the same noise: what trainings are compared by."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from components.training.config import GridConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2

    from components.data.buckets import Bucket
    from components.data.latents import LatentStore
    from components.models.denoiser import Denoiser
    from components.preference.judges import Asked, Images


def heldout_pictures(
    buckets: "Mapping[Bucket, LatentStore]", num_prompts: int, grid: GridConfig, autoencoder: "AutoencoderKLFlux2"
) -> "tuple[list[Asked], Callable[[Denoiser], Images]]":
    """What is asked (at most `num_prompts`, of the bucket with the most held-out images), and who draws it as `grid`.

    The noise depends on `grid.seed` only.
    """
    import numpy as np
    import torch

    from components.data.latents import EMPTY_TEXT
    from components.data.top_down.facts import quoted_in
    from components.models.denoiser import pad_states
    from components.preference.judges import Asked
    from components.training.grids import draw_samples
    from components.training.pair_batches import CAPTION

    store = buckets[max(buckets, key=lambda bucket: buckets[bucket].rows_of("heldout").size)]
    held_out = store.rows_of("heldout")
    _, firsts = np.unique(store.captions[CAPTION][held_out], return_index=True)
    rows = held_out[firsts][:num_prompts]
    texts: list[int] = store.captions[CAPTION][rows].tolist()
    prompts = [store.prompts[text] for text in texts]
    asked = [
        Asked(prompt, row["category"], row["style"], " ".join(quoted_in(prompt)))
        for prompt, row in zip(prompts, store.rows.take(rows).to_pylist(), strict=True)
    ]
    condition, empty = (
        pad_states([torch.from_numpy(store.texts.of(text).astype(np.float32)) for text in chosen])
        for chosen in (texts, [EMPTY_TEXT])
    )
    return asked, lambda denoiser: draw_samples(denoiser, autoencoder, condition, empty, store.latents.shape[-1], grid)
