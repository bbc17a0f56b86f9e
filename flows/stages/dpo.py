"""Stage `dpo`: preference training on judged pairs, against the model they were drawn from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from components.models.config import DiTConfig
from components.training.config import PreferenceConfig


class PictureQuality(BaseModel, frozen=True, extra="forbid"):
    """What is drawn at each look, and which of its qualities may not fall; `lettering` needs prompts that ask for it.

    The Fréchet distance is to `num_reference_images` real training images, in `num_axes` directions of their features.
    """

    guardrails: tuple[Literal["alignment", "frechet", "lettering"], ...]
    num_prompts: int = Field(gt=1)
    num_sampling_steps: int = Field(gt=0)
    num_reference_images: int = Field(gt=1)
    num_axes: int = Field(gt=0)
    seed: int


class Params(BaseModel, frozen=True, extra="forbid"):
    """The resolution, the network, what is watched in pictures, how it is trained."""

    px: int = Field(gt=0, multiple_of=16)
    model: DiTConfig
    pictures: PictureQuality
    training: PreferenceConfig


@dataclass(frozen=True)
class Metrics:
    """On held-out pairs, of the weights that were kept; ratios are errors over the reference's.

    `pairs_seen` is when these weights were; `ended_early` is 1 where the watch ended training (the run says why).
    Alignment is the mean probability of the asked style and category, in the eyes of the judge that made the pairs.
    """

    pairs_seen: int
    ended_early: int
    heldout_accuracy: float
    heldout_margin: float
    heldout_win_ratio: float
    heldout_lose_ratio: float
    alignment_before: float
    alignment_after: float
    frechet_before: float
    frechet_after: float


def dpo(
    p: Params,
    *,
    init: Path,
    pairs: Path,
    pair_latents: Path,
    latents: Path,
    features: Path,
    classifier: Path,
    autoencoder: Path,
    model: Path,
    grids: Path,
) -> Metrics:
    """Align the transformer with the preferred images, by anchored DPO that is watched on held-out pairs."""
    from components.data import records
    from components.data.feature_table import read_features
    from components.data.latents import check_autoencoder, read_buckets, training_ids
    from components.evaluation.health import health_panel
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.tracking import current_run
    from components.training import pretrain as training
    from components.training.preference_training import train_on_preferences
    from components.training.reporting import Remembering
    from flows import trainings
    from flows.picture_quality import picture_quality
    from flows.settings import current_profile

    execution = current_profile().execution
    execution.accumulate(p.training.batch_size)
    check_autoencoder(pair_latents, autoencoder_sha256(autoencoder))
    buckets = read_buckets(pair_latents, p.px)
    store = next(iter(buckets.values()))
    denoiser = training.start_network(
        p.model,
        store.latents.shape[1],
        store.texts.states.shape[1],
        init / training.AVERAGED,
        p.training.lora,
        p.training.seed,
    )
    decoder, watched = load_autoencoder(autoencoder), p.pictures
    real = read_features(features, training_ids(latents, watched.num_reference_images))
    grid = replace(p.training.grid, num_sampling_steps=watched.num_sampling_steps, seed=watched.seed)
    quality = picture_quality(
        watched.guardrails, watched.num_prompts, grid, buckets, real, watched.num_axes, classifier, decoder
    )
    run = current_run()
    remembering = Remembering(run)
    trained = trainings.train_and_save(
        lambda surroundings, save_grid: train_on_preferences(
            *(buckets, records.read_table(pairs, records.PAIRS), denoiser, decoder, p.training, execution),
            *(replace(surroundings, report=remembering), quality, watched.guardrails, save_grid),
        ),
        denoiser,
        p.px,
        p.model,
        p.training,
        {"pictures": watched.model_dump()},
        model=model,
        grids=grids,
    )
    run.log_image("health", health_panel(remembering.history), trained.images_seen)
    run.set_tags({"easel.ended_early": str(trained.facts["ended_early"])})
    before, after = trained.held_out_before, trained.held_out
    return Metrics(
        pairs_seen=trained.images_seen,
        ended_early=int(bool(trained.facts["ended_early"])),
        heldout_accuracy=after["accuracy"],
        heldout_margin=after["margin"],
        heldout_win_ratio=after["win_ratio"],
        heldout_lose_ratio=after["lose_ratio"],
        alignment_before=before["alignment"],
        alignment_after=after["alignment"],
        frechet_before=before["frechet"],
        frechet_after=after["frechet"],
    )
