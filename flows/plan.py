"""`easel plan`: what each training stage of a recipe needs on a profile. Reads numbers, computes numbers, no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.models.config import AUTOENCODERS, TEXT_ENCODERS
from components.models.cost import PX_PER_TOKEN, encode_flops, image_tokens, text_flops
from components.objectives.committee import CommitteeConfig, Role
from components.training.config import Execution
from components.training.distill_config import DistillConfig
from components.training.plan import Plan, first_change, plan, recommend
from components.training.plan_adapters import Distillation, layouts, with_adapters
from components.training.plan_memory import Workload
from flows.parameters import PARAMS_FILE, ParameterError, check_file
from flows.pipeline import PIPELINE
from flows.settings import Profile
from flows.stages import distill, encode, encode_sft, pretrain, sft

TOKENS_OF_KIND = {
    **{"tags": 32, "short": 16, "sentence": 64, "long": 256, "structured": 512},
    **{"keywords": 24, "request": 40, "instruction": 32, "specification": 40},
}
"""Tokens that a caption or prompt of each kind is taken to have: the planner reads no data."""
Training = pretrain.Params | sft.Params
Encoding = encode.Params | encode_sft.Params
ONE, SEVERAL = ("own", "best"), ("shardings", "layouts")
SHARDINGS = ("ddp", "zero1", "zero2", "zero3", "fsdp2")


@dataclass(frozen=True)
class StagePlan:
    """One training stage: as the profile would run it, as it should be run, and its memory under every sharding.

    `problem` says why the profile's own setting cannot run at all (a batch that does not divide); `change` is the first
    that would make it fit, "" if it fits. `layouts` are what holds the same networks in another way, under one setting:
    empty but for distillation. `encode_flops` are those of one image and its text by the frozen encoders.
    """

    stage: str
    px: int
    num_images: int
    work: Workload
    own: Plan | None
    problem: str
    change: str
    best: Plan | None
    shardings: Mapping[str, Plan]
    layouts: Mapping[str, Plan]
    encode_flops: float


def recipe_plans(
    root: Path, recipe: str, profile: Profile, *, utilisation: float, text_tokens: int | None
) -> list[StagePlan]:
    """A plan for each training stage of a recipe: a name in infra/recipes/, a file, or "" for params.yaml.

    Raises:
        ParameterError: no such recipe, or one that does not parse.
    """
    blocks = check_file(PIPELINE, recipe_file(root, recipe))
    encoding, curating = blocks["encode"], blocks["encode_sft"]
    assert isinstance(encoding, encode.Params)
    assert isinstance(curating, encode_sft.Params)
    return [
        stage_plan(name, blocks, made_by, profile, utilisation=utilisation, text_tokens=text_tokens)
        for name, block in blocks.items()
        if isinstance(block, Training | distill.Params)
        for made_by in (encoding if isinstance(block, pretrain.Params) else curating,)
    ]


def recipe_file(root: Path, recipe: str) -> Path:
    """Where a recipe is.

    Raises:
        ParameterError: nowhere; the message names those that there are.
    """
    if not recipe:
        return root / PARAMS_FILE
    named = root / "infra" / "recipes" / f"{recipe}.yaml"
    for file in (named, Path(recipe)):
        if file.is_file():
            return file
    known = ", ".join(sorted(file.stem for file in named.parent.glob("*.yaml")))
    raise ParameterError(f"{recipe}: neither a file nor a recipe; infra/recipes/ holds: {known}")


def workload(block: Training | distill.Params, encoding: Encoding, text_tokens: int | None) -> Workload:
    """What a stage trains on, by its block and by the encoders that made its data; texts are padded to the longest.

    All weights of one network train.
    """
    kinds = set(block.training.batch.caption_weights)
    match block:
        case sft.Params():
            kinds |= set(block.prior.caption_weights)
        case distill.Params():
            kinds |= set(block.training.prior.caption_weights)
        case pretrain.Params():
            pass
    text = TEXT_ENCODERS[encoding.text_encoder]
    longest = max(TOKENS_OF_KIND.get(kind, text.max_tokens) for kind in kinds)
    return Workload(
        model=block.model,
        in_channels=AUTOENCODERS[encoding.autoencoder].packed_channels,
        text_in_dim=text.hidden_size,
        image_tokens=image_tokens(block.px, block.px),
        text_tokens=min(text_tokens or longest, text.max_tokens),
        batch_size=block.training.batch.batch_size,
        precision=block.training.precision,
    )


def distillation(training: DistillConfig, blocks: Mapping[str, BaseModel]) -> Distillation:
    """Who takes part in a distillation: an expert is what its fine-tuning leaves, and the backbone if it has none."""
    experts = [blocks.get(f"expert_{name}") for name in training.committee.experts]
    return Distillation(
        student=training.student,
        fake=training.fake,
        experts=tuple(block.training.lora for block in experts if isinstance(block, sft.Params)),
        asked=_asked(training.committee, "dm") + 2 * _asked(training.committee, "ca"),
        cold_updates=training.num_cold_steps,
        substeps=training.cold_start.substeps if training.cold_start else 0,
        student_updates=training.num_student_updates,
        fake_updates=training.fake_updates,
        num_steps=training.sampler.num_steps,
    )


def _asked(committee: CommitteeConfig, role: Role) -> float:
    """How many experts count for a prompt: the mean over domains and bands, as if they were equally frequent."""
    rows = [row for of_bands in committee.weights[role].values() for row in of_bands.values()]
    return sum(sum(weight > 0 for weight in row) for row in rows) / len(rows)


def stage_plan(
    name: str,
    blocks: Mapping[str, BaseModel],
    encoding: Encoding,
    profile: Profile,
    *,
    utilisation: float,
    text_tokens: int | None,
) -> StagePlan:
    """The plan of one of a recipe's training stages."""
    block = blocks[name]
    assert isinstance(block, Training | distill.Params)
    work, others = workload(block, encoding, text_tokens), {}
    if isinstance(block, distill.Params):
        num_images = block.training.num_steps * work.batch_size
        others = layouts(work, distillation(block.training, blocks))
        work = next(iter(others.values()))
    else:
        num_images = block.training.num_images
        work = with_adapters(work, block.training.lora) if block.training.lora else work
    return plan_of(name, block.px, num_images, work, others, encoding, profile, utilisation)


def plan_of(
    name: str,
    px: int,
    num_images: int,
    work: Workload,
    others: Mapping[str, Workload],
    encoding: Encoding,
    profile: Profile,
    utilisation: float,
) -> StagePlan:
    """The plan of a stage that does `work`, beside `others` under the setting that suits it best."""
    execution = profile.execution
    own, problem = None, ""
    try:
        own = plan(work, execution, num_images=num_images, utilisation=utilisation)
    except ValueError as error:
        problem = str(error)
    best = recommend(work, execution, num_images=num_images, utilisation=utilisation)
    basis = best or own

    def under(chosen: Execution, other: Workload = work) -> Plan:
        return plan(other, chosen, num_images=num_images, utilisation=utilisation)

    shardings: dict[str, Plan] = {}
    if basis is not None and execution.world_size > 1:
        for sharding in SHARDINGS:
            chosen = replace(basis.execution, strategy=sharding, offload="none", micro_batch=basis.micro_batch)
            shardings[sharding] = under(chosen)
    elif basis is not None:
        shardings[basis.execution.strategy] = basis
    text = TEXT_ENCODERS[encoding.text_encoder]
    pixels = work.image_tokens * PX_PER_TOKEN**2
    return StagePlan(
        stage=name,
        px=px,
        num_images=num_images,
        work=work,
        own=own,
        problem=problem,
        change=first_change(work, execution) if own is None or not own.fits else "",
        best=best,
        shardings=shardings,
        layouts={key: under(basis.execution, other) for key, other in others.items()} if basis else {},
        encode_flops=encode_flops(AUTOENCODERS[encoding.autoencoder], pixels) + text_flops(text, work.text_tokens),
    )


def stage_json(found: StagePlan) -> dict[str, Any]:
    """A plan as JSON values; every plan with its derived numbers."""
    told = {key: value for key, value in asdict(found).items() if key not in (*ONE, *SEVERAL)}
    work = found.work
    told["work"] |= {"parameters": work.parameters, "tokens": work.tokens, "trained": work.training}
    for key in ONE:
        told[key] = _plan_json(one) if (one := getattr(found, key)) else None
    for key in SEVERAL:
        told[key] = {name: _plan_json(one) for name, one in getattr(found, key).items()}
    return told


def _plan_json(found: Plan) -> dict[str, Any]:
    told = asdict(found)
    del told["work"]
    told["trained"], told["frozen"] = found.work.training, found.work.frozen
    told["memory"]["total"] = found.memory.total
    return told | {"fits": found.fits}
