"""Stage `distill`: a student of eight evaluations an image, taught by a committee of experts (MT-DMD)."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.models.config import DiTConfig
from components.preference.config import JudgeWeights
from components.training.distill_config import DistillConfig


class Pictures(BaseModel, frozen=True, extra="forbid"):
    """What is drawn to compare the student with its teacher, who takes `teacher_steps` with the training's guidance."""

    num_prompts_per_domain: int = Field(gt=0)
    images_per_prompt: int = Field(gt=1)
    teacher_steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    judges: JudgeWeights
    seed: int


class Params(BaseModel, frozen=True, extra="forbid"):
    """The resolution, the network, what is compared in pictures, how it is trained."""

    px: int = Field(gt=0, multiple_of=16)
    model: DiTConfig
    pictures: Pictures
    training: DistillConfig


@dataclass(frozen=True)
class Metrics:
    """Of the weights that were kept; shares are the student's over the teacher's, 1 for as good, and less is worse.

    `worst` is the domain that lost most. `ended_early` is 1 where the watch ended training (the run says why).
    """

    prompts_seen: int
    student_updates: int
    ended_early: int
    student_evaluations: int
    teacher_evaluations: int
    alignment_share: float
    worst_alignment_share: float
    diversity_share: float
    worst_diversity_share: float
    frechet_share: float
    saturation: float


def distill(
    p: Params,
    *,
    init: Path,
    curated: Path,
    sft_selection: Path,
    latents: Path,
    classifier: Path,
    scorer: Path,
    autoencoder: Path,
    lettering: Path | None = None,
    style: Path | None = None,
    layout: Path | None = None,
    photo: Path | None = None,
    model: Path,
    grids: Path,
) -> Metrics:
    """Distil the aligned model and its domain experts into one that draws in few steps without guidance."""
    from components.evaluation.drift import drift_chart
    from components.models.autoencoder import load_autoencoder
    from components.tracking import current_run
    from components.training.distillation import distill as train
    from flows import distillations, trainings
    from flows.settings import current_profile

    execution = current_profile().execution
    given = {"lettering": lettering, "style": style, "layout": layout, "photo": photo}
    data = distillations.read_prompts(curated, sft_selection, latents, autoencoder, p.px)
    distillations.check(p.training, execution, data, given)
    decoder = load_autoencoder(autoencoder)
    student = distillations.build(init, given, p.model, p.training, data)
    examine, teacher = distillations.comparison(p.pictures, p.training, data, classifier, scorer, decoder)
    trained = trainings.train_and_save(
        lambda surroundings, save_grid: train(
            *(data.curated, data.earlier, data.domain_of, student, decoder, p.training, execution, surroundings),
            *(examine, teacher, save_grid),
        ),
        student,
        p.px,
        p.model,
        p.training,
        {"pictures": p.pictures.model_dump()},
        model=model,
        grids=grids,
    )
    run = current_run()
    looks = trained.facts["looks"]
    run.log_image("drift", drift_chart(looks), trained.images_seen)  # pyright: ignore[reportArgumentType] - as it was saved
    run.set_tags({"easel.ended_early": str(trained.facts["ended_early"])})
    return metrics_of(p, trained.images_seen, trained.held_out, bool(trained.facts["ended_early"]))


def metrics_of(p: Params, prompts_seen: int, kept: dict[str, float], ended_early: bool) -> Metrics:
    """The metrics of the look whose weights were kept."""

    def worst(measure: str) -> float:
        names = [name for name in kept if name.startswith("drift/") and name.endswith(f"/{measure}")]
        return min(kept[name] for name in names if "/all/" not in name)

    guided = 1 if p.training.guidance_scale == 1 else 2
    return Metrics(
        prompts_seen=prompts_seen,
        student_updates=p.training.student_updates_before(prompts_seen // p.training.batch.batch_size),
        ended_early=int(ended_early),
        student_evaluations=p.training.sampler.num_steps,
        teacher_evaluations=guided * p.pictures.teacher_steps,
        alignment_share=kept["drift/all/alignment"],
        worst_alignment_share=worst("alignment"),
        diversity_share=kept["drift/all/diversity"],
        worst_diversity_share=worst("diversity"),
        frechet_share=kept["drift/all/frechet"],
        saturation=kept["saturation"],
    )
