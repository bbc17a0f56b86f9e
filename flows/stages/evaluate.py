"""Stage `evaluate`: what the model draws for held-out prompts, in the eyes of small judges, beside real images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from components.data.config import DecodeLimits
from components.evaluation.config import RetrievalConfig
from components.samplers.config import SamplingConfig


class Params(BaseModel, frozen=True, extra="forbid"):
    """How many prompts, how they are drawn, and how the judges are made.

    `num_reference_images` training images are the reference of the Fréchet distance and train the image-text model;
    `num_axes` are the directions of their features in which the distance is taken.
    """

    caption_kind: str
    num_prompts: int = Field(gt=1)
    num_examples: int = Field(ge=0)
    num_reference_images: int = Field(gt=1)
    num_axes: int = Field(gt=0)
    sampling: SamplingConfig
    retrieval: RetrievalConfig
    limits: DecodeLimits
    seed: int


PREFIXES = {"heldout_cell": "cell", "heldout_concept": "concept"}


@dataclass(frozen=True)
class Metrics:
    """Shares in [0, 1] and Lite0 Fréchet distances, on unseen style x concept cells and on unseen concepts."""

    cell_style_accuracy: float
    cell_category_accuracy: float
    cell_retrieval_r1: float
    cell_retrieval_r5: float
    cell_lite0_frechet: float
    concept_style_accuracy: float
    concept_category_accuracy: float
    concept_retrieval_r1: float
    concept_retrieval_r5: float
    concept_lite0_frechet: float
    evaluated_images: int


def evaluate(
    p: Params,
    *,
    model: Path,
    autoencoder: Path,
    latents: Path,
    images: Path,
    catalogue: Path,
    classifier: Path,
    report: Path,
) -> Metrics:
    """Draw held-out prompts and report style, category, retrieval and distance beside chance and real images."""
    from components.data.latents import read_latents
    from components.data.prompts import choose_prompts
    from components.evaluation import suite
    from components.evaluation.held_out import HELD_OUT, TRAIN, read_credits, read_prompts, read_squares
    from components.evaluation.report import read_png, write_report
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.models.denoiser import Denoiser
    from components.models.image_features import ImageFeatures
    from components.models.linear_probe import load_probe
    from components.models.training_record import read_training_record
    from components.models.transformer import load_transformer
    from components.tracking import current_run

    run, record = current_run(), read_training_record(model)
    store = read_latents(latents, record.px, autoencoder_sha256(autoencoder))
    candidates = read_prompts(store, p.caption_kind)
    probes = {name: load_probe(classifier, name) for name in ("style", "category")}
    seen_as: Any = probes["style"][1]  # the facts beside the probe: how the features it was fitted on were made
    features = ImageFeatures(seen_as["px"], seen_as["precision"])

    reference = choose_prompts(candidates[TRAIN], p.num_reference_images, p.seed)
    reference_u8 = read_squares(images, reference, record.px, p.limits)
    just_probes = {name: probe for name, (probe, _) in probes.items()}
    judges = suite.train_judges(store, reference, reference_u8, features, just_probes, p.retrieval, p.num_axes, p.seed)
    chosen = {split: choose_prompts(candidates[split], p.num_prompts, p.seed) for split in HELD_OUT}
    sections = suite.evaluate_splits(
        suite.Model(Denoiser(load_transformer(model / "transformer")), load_autoencoder(autoencoder), record.shift),
        judges,
        features,
        store,
        {s: (prompts, read_squares(images, prompts, record.px, p.limits)) for s, prompts in chosen.items()},
        sampling=p.sampling,
        num_examples=p.num_examples,
        seed=p.seed,
        on_progress=run.progress,
    )
    facts = {
        "images seen in the last phase": record.images_seen,
        "side": f"{record.px} px",
        "sampling steps": p.sampling.num_sampling_steps,
        "guidance": p.sampling.guidance_scale,
        "reference images": len(reference),
        "seed": p.seed,
    }
    shown = [prompt.sample_id for prompts in chosen.values() for prompt in prompts[: p.num_examples]]
    write_report(report, sections, facts, read_credits(catalogue, shown))
    run.log_artifact(report, "evaluation")
    run.log_image("samples", read_png(report / "samples.png"), step=record.images_seen)
    values = {f"{PREFIXES[row.split]}_{row.key}": row.value for section in sections for row in section.rows}
    return Metrics(**values, evaluated_images=sum(section.num_prompts for section in sections))
