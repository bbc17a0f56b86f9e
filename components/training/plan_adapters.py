"""What a training with adapters holds and computes, and distillation, which has several of them on one backbone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from components.models.config import LoraShape
from components.models.cost import lora_parameters
from components.training.plan_memory import Workload


@dataclass(frozen=True)
class Distillation:
    """Who takes part, and how often each is asked.

    None for `student` or `fake` is a copy with all its weights, for an expert a full checkpoint; the backbone itself is
    one expert more. `asked` are the experts' passes for one guided prediction of the committee: matching, guidance with
    and without the prompt. A cold start of `cold_updates` asks so `substeps` times each, then `fake_updates` of the
    fake network come before each of `student_updates`. `num_steps` are those of the student's sampler.
    """

    student: LoraShape | None
    fake: LoraShape | None
    experts: tuple[LoraShape | None, ...]
    asked: float
    cold_updates: int
    substeps: int
    student_updates: int
    fake_updates: int
    num_steps: int


def with_adapters(work: Workload, shape: LoraShape) -> Workload:
    """The same training, of adapters beside the network: no products for the gradients of its weights."""
    return replace(work, trained=_adapters(work, shape), frozen=work.parameters, passes=2.0)


def distill_workload(base: Workload, how: Distillation) -> Workload:
    """A distillation of the network of `base`; its images are the prompts of all updates, of whichever kind.

    Half of the student's steps, without a gradient, lead to the one that is learnt from.
    """

    def weights(shape: LoraShape | None) -> int:
        return base.parameters if shape is None else _adapters(base, shape)

    def learning(shape: LoraShape | None) -> int:
        return 3 if shape is None else 2

    rollout = (how.num_steps - 1) / 2
    of_cold = rollout + learning(how.student) + how.substeps * how.asked
    of_fake = rollout + 1 + learning(how.fake)
    of_student = rollout + learning(how.student) + how.asked + 1
    of_all = how.cold_updates * of_cold + how.student_updates * (how.fake_updates * of_fake + of_student)
    return replace(
        base,
        trained=weights(how.student) + weights(how.fake),
        frozen=base.parameters + sum(map(weights, how.experts)),
        passes=of_all / (how.cold_updates + how.student_updates * (how.fake_updates + 1)),
    )


def layouts(base: Workload, how: Distillation) -> Mapping[str, Workload]:
    """The same with everything on one backbone as far as `how` says so, and with three copies: a single teacher."""
    copies = replace(how, student=None, fake=None, experts=())
    own = {0: "one backbone", 1: "two networks", 2: "three copies"}[(how.student, how.fake).count(None)]
    found = {own: distill_workload(base, how)}
    found.setdefault("three copies", distill_workload(base, copies))
    return found


def _adapters(work: Workload, shape: LoraShape) -> int:
    return lora_parameters(work.model, work.in_channels, work.text_in_dim, shape)
