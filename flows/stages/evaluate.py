"""Stage `evaluate`: what the models of the chain draw for held-out prompts, side by side, in small judges' eyes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from components.data.config import DecodeLimits
from components.data.top_down.config import Lettering
from components.evaluation.config import RetrievalConfig
from components.preference.config import JudgeWeights
from components.samplers.config import SamplingConfig

if TYPE_CHECKING:
    from components.evaluation.report import EnhancerGrid, FewStepDrift, Report
    from components.evaluation.suite import Model
    from components.models.training_record import TrainingRecord


class Params(BaseModel, frozen=True, extra="forbid"):
    """How many prompts, how they are drawn, and how the judges are made.

    `num_reference_images` training images are the reference of the Fréchet distance and train the image-text model;
    `num_axes` are the directions of their features in which the distance is taken. `judges` weighs the judges that say
    which of two models' images is preferred: take those that made the preference pairs, and see `drawings_per_prompt`
    of each prompt (all else is of the first). A distilled model is drawn as it says, the others with `sampling`.
    The first `num_enhanced_prompts` of each split are drawn in the prompt enhancer's words too, if there is one.
    `num_text_prompts` more prompts ask for words in the picture, which a reader looks for; `lettering` says how the
    same words are set in type beside them.
    """

    caption_kind: str
    num_prompts: int = Field(gt=1)
    drawings_per_prompt: int = Field(gt=0)
    num_enhanced_prompts: int = Field(gt=1)
    num_text_prompts: int = Field(ge=0)
    num_examples: int = Field(ge=0)
    num_reference_images: int = Field(gt=1)
    num_axes: int = Field(gt=0)
    sampling: SamplingConfig
    retrieval: RetrievalConfig
    judges: JudgeWeights
    lettering: Lettering
    limits: DecodeLimits
    seed: int


SEEN = {"base": "images", "sft": "images", "dpo": "pairs", "turbo": "prompts"}
PREFIXES = {"heldout_cell": "cell", "heldout_concept": "concept", "heldout": "all", "rendered_text": "text"}


@dataclass(frozen=True)
class Metrics:
    """Shares and cosines in [0, 1] and Lite0 Fréchet distances of the last model of the chain, and against the others.

    `cell` are unseen style x concept cells, `concept` unseen concepts, `all` both together; kernel distances are of
    Lite0 features too, `aes` the mean Aes score from 0 to 100. A win rate is the share of drawings at which the
    preference judge takes the later model's image, with its 95 % interval. Ratios are of a model to the one before.
    Every score of every model is in the report and in MLflow as `model/split/score`.
    """

    cell_style_accuracy: float
    cell_category_accuracy: float
    cell_alignment: float
    cell_retrieval_r1: float
    cell_retrieval_r5: float
    cell_lite0_frechet: float
    cell_lite0_kernel: float
    cell_aes: float
    concept_style_accuracy: float
    concept_category_accuracy: float
    concept_alignment: float
    concept_retrieval_r1: float
    concept_retrieval_r5: float
    concept_lite0_frechet: float
    concept_lite0_kernel: float
    concept_aes: float
    base_alignment: float
    sft_alignment: float
    dpo_alignment: float
    all_alignment: float
    base_lite0_frechet: float
    sft_lite0_frechet: float
    dpo_lite0_frechet: float
    all_lite0_frechet: float
    base_lite0_kernel: float
    base_aes: float
    sft_lite0_kernel: float
    sft_aes: float
    dpo_lite0_kernel: float
    dpo_aes: float
    all_lite0_kernel: float
    all_aes: float
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
    aes: Path,
    enhancer: Path | None = None,
    report: Path,
) -> Metrics:
    """Ask every model for the same held-out images and report each beside the one before, chance and real images."""
    from components.data.latents import EMPTY_TEXT, read_latents
    from components.evaluation import suite
    from components.evaluation.enhanced import enhancer_grid
    from components.evaluation.examination import examine, preferred
    from components.evaluation.held_out import read_credits, states_of
    from components.evaluation.report import Report, write_report
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.models.text_encoder import TextEncoder
    from components.models.training_record import read_training_records
    from components.tracking import current_run
    from flows.enhanced_drawings import tell
    from flows.questions import ask, costs_of, open_judges, preference_judge, text_reader

    chain = {"base": base, "sft": sft, "dpo": dpo, "turbo": turbo}
    records, decoder, encode = read_training_records(chain), load_autoencoder(autoencoder), TextEncoder.load()
    store = read_latents(latents, px := records["base"].px, autoencoder_sha256(autoencoder))
    eyes = open_judges(p, store, images, classifier, aes, px)
    questions, empty, read = ask(p, store, decoder, images, encode, px), states_of(store, EMPTY_TEXT), text_reader()
    models = {name: suite.load_model(path, records[name], p.sampling) for name, path in chain.items()}
    told = tell(models, questions, enhancer, px, p.num_enhanced_prompts, p.seed, encode)
    drawn = suite.draw_all(told.models, decoder, empty, told.questions, current_run().progress)
    rounds = [{name: images[name] for name in chain} for images in drawn.rounds]
    weights = {str(name): weight for name, weight in p.judges.items() if weight > 0}
    prefer = preference_judge(classifier, scorer, weights, eyes)
    sections, guards, worst = examine(eyes, read, questions, rounds, p.num_examples)
    found = Report(
        list(chain),
        sections,
        preferred(prefer, questions, rounds),
        guards,
        weights,
        facts_of(records, len(eyes.reference.features), p.seed),
        read_credits(catalogue, questions, p.num_examples),
        drift_of(models, records),
        enhancer_grid(eyes, read, told.questions, drawn.rounds, told.rewritten, prefer, p.num_examples),
        costs_of(told.models, told.questions, empty),
        worst,
    )
    write_report(report, found)
    log(found, drawn.seconds_per_image, report, records["dpo"].images_seen)
    return metrics_of(found, drawn.num_images)


def facts_of(records: "Mapping[str, TrainingRecord]", num_reference: int, seed: int) -> dict[str, Any]:
    """What each model saw, and what all have in common."""
    seen = {f"{SEEN[name]} seen by {name}": record.images_seen for name, record in records.items()}
    return seen | {"side": f"{records['base'].px} px", "reference images": num_reference, "seed": seed}


def drift_of(models: "Mapping[str, Model]", records: "Mapping[str, TrainingRecord]") -> "FewStepDrift | None":
    """What the chain's distilled model kept of its teacher; None where there is none, or nobody looked."""
    from components.evaluation.drift import drift_chart
    from components.evaluation.report import FewStepDrift

    for name, record in records.items():
        if record.few_steps and record.looks:
            return FewStepDrift(record.drift, drift_chart(record.looks), models[name].sampling.num_evaluations)
    return None


def log(found: "Report", seconds_per_image: Mapping[str, float], report: Path, images_seen: int) -> None:
    """Hand the run every score, the seconds that an image took, the sheets, the report and the table of scores.

    A time is no metric that DVC may keep. Scores are `<model>/<split>/<score>`, as the registry has them of a version.
    """
    from components.evaluation.report import read_png
    from components.tracking import current_run
    from components.tracking.tables import log_tables

    run = current_run()
    scores = {f"{row.model}/{row.split}/{row.key}": row.value for row in found.rows}
    costs = {f"{cost.model}/gflops_per_image": cost.gflops for cost in found.costs}
    times = {f"{name}/seconds_per_image": seconds for name, seconds in seconds_per_image.items()}
    run.log_metrics(scores | costs | times, step=images_seen)
    if grid := found.enhancer:
        run.log_metrics(effects_of(grid), step=images_seen)
        run.log_image("compare_enhancer", read_png(report / "compare_enhancer.png"), step=images_seen)
    for sheet in ("compare", *(f"samples_{model}" for model in found.models)):
        run.log_image(sheet, read_png(report / f"{sheet}.png"), step=images_seen)
    run.log_artifact(report, "evaluation")
    shown = ("value", "low", "high", "chance", "real")
    table = [
        {"measure": f"{row.model}/{row.split}/{row.key}", **{name: getattr(row, name) for name in shown}}
        for row in found.rows
    ]
    log_tables(run, {"scores": table})


def effects_of(grid: "EnhancerGrid") -> dict[str, float]:
    """The scores with the enhancer, their differences to those without, with intervals, and how it did."""
    values = {"enhancer/fallback_frac": grid.fallback_frac, "enhancer/length_ratio": grid.length_ratio}
    for row in grid.rows:
        if moved := row.difference:  # those without it are of fewer prompts than the chain's, under the same name
            name = f"{row.model}/{row.split}/{row.key}"
            values[name] = row.value
            name = f"{name}_difference"
            values |= {name: moved.value, f"{name}_low": moved.low, f"{name}_high": moved.high}
    for rate in grid.win_rates:
        name = f"enhancer/win_rate_{rate.model}_over_{rate.over}"
        values |= {name: rate.share, f"{name}_low": rate.low, f"{name}_high": rate.high}
    return values


def metrics_of(found: "Report", num_images: int) -> Metrics:
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
    return Metrics(**scores, evaluated_images=num_images)
