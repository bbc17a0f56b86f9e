"""Stage `evaluate`: what the models of the chain draw for held-out prompts, side by side, in small judges' eyes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from components.data.config import DecodeLimits
from components.evaluation.config import RetrievalConfig
from components.preference.config import JudgeWeights
from components.samplers.config import SamplingConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2

    from components.data.latents import LatentStore
    from components.evaluation.judging import Judges
    from components.evaluation.report import EnhancerGrid, FewStepDrift, Report
    from components.evaluation.suite import Model, Question
    from components.models.training_record import TrainingRecord


class Params(BaseModel, frozen=True, extra="forbid"):
    """How many prompts, how they are drawn, and how the judges are made.

    `num_reference_images` training images are the reference of the Fréchet distance and train the image-text model;
    `num_axes` are the directions of their features in which the distance is taken. `judges` weighs the judges that say
    which of two models' images is preferred: take those that made the preference pairs, and see `drawings_per_prompt`
    of each prompt (all else is of the first). A distilled model is drawn as it says, the others with `sampling`.
    The first `num_enhanced_prompts` of each split are drawn in the prompt enhancer's words too, if there is one.
    """

    caption_kind: str
    num_prompts: int = Field(gt=1)
    drawings_per_prompt: int = Field(gt=0)
    num_enhanced_prompts: int = Field(gt=1)
    num_examples: int = Field(ge=0)
    num_reference_images: int = Field(gt=1)
    num_axes: int = Field(gt=0)
    sampling: SamplingConfig
    retrieval: RetrievalConfig
    judges: JudgeWeights
    limits: DecodeLimits
    seed: int


SEEN = {"base": "images", "sft": "images", "dpo": "pairs", "turbo": "prompts"}
PREFIXES = {"heldout_cell": "cell", "heldout_concept": "concept", "heldout": "all"}


@dataclass(frozen=True)
class Metrics:
    """Shares and cosines in [0, 1] and Lite0 Fréchet distances of the last model of the chain, and against the others.

    `cell` are unseen style x concept cells, `concept` unseen concepts, `all` both together. A win rate is the share of
    drawings at which the preference judge takes the later model's image, with its 95 % interval. Ratios are of a model
    to the one before. Every score of every model is in the report and in MLflow as `model/score`.
    """

    cell_style_accuracy: float
    cell_category_accuracy: float
    cell_alignment: float
    cell_retrieval_r1: float
    cell_retrieval_r5: float
    cell_lite0_frechet: float
    concept_style_accuracy: float
    concept_category_accuracy: float
    concept_alignment: float
    concept_retrieval_r1: float
    concept_retrieval_r5: float
    concept_lite0_frechet: float
    base_alignment: float
    sft_alignment: float
    dpo_alignment: float
    all_alignment: float
    base_lite0_frechet: float
    sft_lite0_frechet: float
    dpo_lite0_frechet: float
    all_lite0_frechet: float
    win_rate_sft_over_base: float
    win_rate_sft_over_base_low: float
    win_rate_sft_over_base_high: float
    win_rate_dpo_over_sft: float
    win_rate_dpo_over_sft_low: float
    win_rate_dpo_over_sft_high: float
    win_rate_turbo_over_dpo: float
    win_rate_turbo_over_dpo_low: float
    win_rate_turbo_over_dpo_high: float
    alignment_sft_to_base: float
    alignment_dpo_to_sft: float
    alignment_turbo_to_dpo: float
    lite0_frechet_sft_to_base: float
    lite0_frechet_dpo_to_sft: float
    lite0_frechet_turbo_to_dpo: float
    evaluated_images: int


def evaluate(
    p: Params,
    *,
    base: Path,
    sft: Path,
    dpo: Path,
    turbo: Path,
    autoencoder: Path,
    latents: Path,
    images: Path,
    catalogue: Path,
    classifier: Path,
    scorer: Path,
    enhancer: Path | None = None,
    report: Path,
) -> Metrics:
    """Ask every model for the same held-out images and report each beside the one before, chance and real images."""
    from components.data.latents import read_latents
    from components.evaluation import suite
    from components.evaluation.held_out import read_credits
    from components.evaluation.report import Report, write_report
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.models.training_record import read_training_records
    from components.tracking import current_run
    from flows.enhanced_drawings import Told, as_asked, grid_of, tell
    from flows.judges import load_judge

    chain = {"base": base, "sft": sft, "dpo": dpo, "turbo": turbo}
    records, decoder = read_training_records(chain), load_autoencoder(autoencoder)
    px = records["base"].px
    store = read_latents(latents, px, autoencoder_sha256(autoencoder))
    judges, questions, num_reference = prepare(p, store, decoder, images, classifier, px)
    models = {name: suite.load_model(path, records[name], p.sampling) for name, path in chain.items()}
    told = Told(models, questions, {})
    if enhancer:
        told = tell(models, questions, enhancer, px, p.num_enhanced_prompts, p.seed)
    drawn = suite.draw_all(told.models, decoder, store, told.questions, current_run().progress)
    rounds = [{name: images[name] for name in chain} for images in drawn.rounds]
    sections, guards = suite.examine(judges, store, questions, rounds[0], p.num_examples)
    shown = [prompt.sample_id for asked in questions for prompt in asked.prompts[: p.num_examples]]
    weights = {str(name): weight for name, weight in p.judges.items() if weight > 0}
    prefer = as_asked(load_judge(classifier, scorer, weights))
    found = Report(
        list(chain),
        sections,
        suite.preferred(prefer, questions, rounds),
        guards,
        weights,
        facts_of(models, records) | {"side": f"{px} px", "reference images": num_reference, "seed": p.seed},
        read_credits(catalogue, shown),
        drift_of(models, records),
        grid_of(told, judges, store, drawn.rounds, prefer, weights, p.num_examples) if told.rewritten else None,
    )
    write_report(report, found)
    log(found, drawn.images_per_s, report, records["dpo"].images_seen)
    return metrics_of(found, p.drawings_per_prompt)


def prepare(
    p: Params, store: "LatentStore", decoder: "AutoencoderKLFlux2", images: Path, classifier: Path, px: int
) -> "tuple[Judges, list[Question], int]":
    """The judges, made of training images, whose number comes last; and what is asked of each held-out split."""
    from components.data.prompts import choose_prompts
    from components.evaluation import suite
    from components.evaluation.held_out import HELD_OUT, TRAIN, read_prompts, read_squares

    candidates = read_prompts(store, p.caption_kind)
    reference = choose_prompts(candidates[TRAIN], p.num_reference_images, p.seed)
    reference_u8 = read_squares(images, reference, px, p.limits)
    judges = suite.train_judges(store, reference, reference_u8, classifier, p.retrieval, p.num_axes, p.seed)
    asked = [choose_prompts(candidates[split], p.num_prompts, p.seed) for split in HELD_OUT]
    noises = (p.sampling.batch_size, p.drawings_per_prompt, p.seed)
    questions = [
        suite.make_question(store, decoder, prompts, read_squares(images, prompts, px, p.limits), *noises)
        for prompts in asked
    ]
    return judges, questions, len(reference)


def facts_of(models: "Mapping[str, Model]", records: "Mapping[str, TrainingRecord]") -> dict[str, Any]:
    """What each model saw, and how often its network runs for one image."""
    seen = {f"{SEEN[name]} seen by {name}": record.images_seen for name, record in records.items()}
    return seen | {f"evaluations per image of {name}": model.sampling.num_evaluations for name, model in models.items()}


def drift_of(models: "Mapping[str, Model]", records: "Mapping[str, TrainingRecord]") -> "FewStepDrift | None":
    """What the chain's distilled model kept of its teacher; None where there is none, or nobody looked."""
    from components.evaluation.drift import drift_chart
    from components.evaluation.report import FewStepDrift

    for name, record in records.items():
        if record.few_steps and record.looks:
            return FewStepDrift(record.drift, drift_chart(record.looks), models[name].sampling.num_evaluations)
    return None


def log(found: "Report", images_per_s: Mapping[str, float], report: Path, images_seen: int) -> None:
    """Hand the run every score and speed, the sheets and the report; a speed is no metric that DVC may keep."""
    from components.evaluation.report import read_png
    from components.tracking import current_run

    run = current_run()
    scores = {f"{row.model}/{PREFIXES[row.split]}_{row.key}": row.value for row in found.rows}
    run.log_metrics(scores | {f"{name}/images_per_s": speed for name, speed in images_per_s.items()}, step=images_seen)
    if grid := found.enhancer:
        run.log_metrics(effects_of(grid), step=images_seen)
        run.log_image("compare_enhancer", read_png(report / "compare_enhancer.png"), step=images_seen)
    for sheet in ("compare", *(f"samples_{model}" for model in found.models)):
        run.log_image(sheet, read_png(report / f"{sheet}.png"), step=images_seen)
    run.log_artifact(report, "evaluation")


def effects_of(grid: "EnhancerGrid") -> dict[str, float]:
    """The scores with the enhancer, their differences to those without, with intervals, and how it did."""
    values = {"enhancer/fallback_frac": grid.fallback_frac, "enhancer/length_ratio": grid.length_ratio}
    for row in grid.rows:
        name = f"{row.model}/{PREFIXES[row.split]}_{row.key}"
        values[name] = row.value
        if moved := row.difference:
            name = f"{name}_difference"
            values |= {name: moved.value, f"{name}_low": moved.low, f"{name}_high": moved.high}
    for rate in grid.win_rates:
        name = f"enhancer/win_rate_{rate.model}_over_{rate.over}"
        values |= {name: rate.share, f"{name}_low": rate.low, f"{name}_high": rate.high}
    return values


def metrics_of(found: "Report", num_drawings: int) -> Metrics:
    """The metrics among all that was found: the last model's by its split, the earlier ones' over all prompts."""
    values: dict[str, float] = {}
    for row in found.rows:
        if row.model == found.models[-1]:
            values[f"{PREFIXES[row.split]}_{row.key}"] = row.value
        elif PREFIXES[row.split] == "all":
            values[f"{row.model}_{row.key}"] = row.value
    for rate in found.win_rates:
        name = f"win_rate_{rate.model}_over_{rate.over}"
        values |= {name: rate.share, f"{name}_low": rate.low, f"{name}_high": rate.high}
    values |= {f"{guard.key}_{guard.model}_to_{guard.over}": guard.ratio for guard in found.guards}
    scores = {field.name: values[field.name] for field in fields(Metrics) if field.name in values}
    images = len(found.models) * found.sections[0].num_prompts
    if grid := found.enhancer:
        images += len(grid.models) // 2 * len(grid.rewritten)
    return Metrics(**scores, evaluated_images=images * num_drawings)
