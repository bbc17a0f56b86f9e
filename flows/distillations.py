"""What a distillation is made of: prompts with their domains, the committee, and who compares student and teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.models.config import DiTConfig
from components.samplers.config import SamplingConfig
from components.training.config import Execution
from components.training.distill_config import DistillConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2

    from components.data.buckets import Bucket
    from components.data.latents import LatentStore
    from components.models.committee import Distilled
    from components.models.denoiser import Denoiser
    from flows.stages.distill import Pictures

    Measure = Callable[[Denoiser], dict[str, float]]


@dataclass(frozen=True)
class Prompts:
    """Curated prompts and those of pre-training, by bucket, and the domain of each curated sample."""

    curated: "Mapping[Bucket, LatentStore]"
    earlier: "Mapping[Bucket, LatentStore]"
    domain_of: Mapping[str, str]

    @property
    def store(self) -> "LatentStore":
        """Any of the curated ones: they have one shape of latents and one text encoder."""
        return next(iter(self.curated.values()))


def read_prompts(curated: Path, sft_selection: Path, latents: Path, autoencoder: Path, px: int) -> Prompts:
    """Read the encoded prompts; ValueError where they do not belong together."""
    from components.data import records
    from components.data.latents import check_autoencoder, read_buckets
    from components.models.autoencoder import autoencoder_sha256
    from components.training.sft import check_texts

    for directory in (curated, latents):
        check_autoencoder(directory, autoencoder_sha256(autoencoder))
    selection = records.read_table(sft_selection, records.SFT_SELECTION)
    names, domains = selection.column("sample_id").to_pylist(), selection.column("domain").to_pylist()
    read = Prompts(read_buckets(curated, px), read_buckets(latents, px), dict(zip(names, domains, strict=True)))
    check_texts(read.store, next(iter(read.earlier.values())))
    return read


def check(config: DistillConfig, execution: Execution, prompts: Prompts, given: Mapping[str, Path | None]) -> None:
    """ValueError, in one line, for what would make the training useless, before anything is loaded."""
    from components.samplers.exported_grid import check_grid
    from components.training.distillation import check_execution

    check_execution(execution)
    execution.accumulate(config.batch.batch_size)
    committee, sampler = config.committee, config.sampler
    there = {committee.general, *(name for name, path in given.items() if path)}
    if missing := [name for name in committee.experts if name not in there]:
        raise ValueError(
            f"committee.experts names {missing[0]!r}, but the stage has no such input (there: "
            f"{', '.join(sorted(there))}); add it to the stage in flows/pipeline.py, or drop it from the committee"
        )
    asked = {domain for table in committee.weights.values() for domain in table} - {committee.general}
    if empty := sorted(asked - {*prompts.domain_of.values()}):
        raise ValueError(
            f"committee.weights names the domain {empty[0]!r}, which has no prompts (there: "
            f"{', '.join(sorted({*prompts.domain_of.values()}))}); see curate_sft.domains and its report of gaps"
        )
    check_grid(sampler.num_steps, sampler.shift)
    if sampler.rollout != "euler":
        raise ValueError(
            f"sampler.rollout is {sampler.rollout!r}, but the exported sampler takes plain Euler steps; choose 'euler'"
        )


def build(
    init: Path, given: Mapping[str, Path | None], shape: DiTConfig, config: DistillConfig, prompts: Prompts
) -> "Distilled":
    """The student with its committee: the backbone is the general expert, as it is."""
    from components.models.committee import build_distilled
    from components.training.pretrain import AVERAGED

    return build_distilled(
        init / AVERAGED,
        {name: given.get(name) for name in config.committee.experts},
        shape,
        prompts.store.latents.shape[1],
        prompts.store.texts.states.shape[1],
        student=config.student,
        fake=config.fake,
        seed=config.seed,
        has_head=config.adversarial is not None,
    )


def comparison(
    pictures: "Pictures",
    config: DistillConfig,
    prompts: Prompts,
    classifier: Path,
    scorer: Path,
    decoder: "AutoencoderKLFlux2",
) -> "tuple[Measure, Measure]":
    """Who measures the student's pictures, and who the teacher's, each drawn in their own way."""
    from flows.drift_pictures import DriftPictures, drift_pictures

    drawn = DriftPictures(
        pictures.num_prompts_per_domain,
        pictures.images_per_prompt,
        teacher=SamplingConfig(pictures.teacher_steps, config.guidance_scale, pictures.batch_size),
        student=SamplingConfig(config.sampler.num_steps, 1.0, pictures.batch_size),
        shift=config.sampler.shift,
        judges=pictures.judges,
        seed=pictures.seed,
    )
    return drift_pictures(prompts.curated, prompts.domain_of, prompts.earlier, drawn, classifier, scorer, decoder)
