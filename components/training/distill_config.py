"""Settings of distillation, as plain values: reading parameters must not import torch.

Source: arXiv:2605.25347, section 2.2.3; where it gives no numbers, Yin et al. 2024, arXiv:2405.14867.
"""

from dataclasses import dataclass
from typing import Literal

from components.models.config import LoraShape
from components.objectives.adversarial_config import AdversarialConfig
from components.objectives.committee import CommitteeConfig
from components.objectives.routing_config import RouterFit
from components.training.config import BatchConfig, GridConfig, OptimiserConfig, PriorConfig
from components.training.drift_config import DriftWatchConfig

Turn = Literal["cold", "fake", "student"]


@dataclass(frozen=True)
class FewSteps:
    """The sampler that the student is made for: Euler steps on the shifted grid, without guidance.

    `rollout` is how training gets to a step's input: as that sampler does (`euler`), with fresh noise at each step
    (`renoise`, for samplers that do so), or by noising real images (`noised_data`, which only serves as a comparison).
    """

    num_steps: int
    shift: float
    rollout: Literal["euler", "renoise", "noised_data"]

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.shift <= 0:
            raise ValueError(f"num_steps must be at least 1 and shift positive, got {self.num_steps} and {self.shift}")


@dataclass(frozen=True)
class ColdStart:
    """Updates before the first turn of the fake model, at a rate of their own.

    They regress the student's velocity on the guided committee's mean one between two times of the grid, which it
    reaches by `substeps` Euler steps; with 1 it is the guided velocity itself.
    """

    num_updates: int
    substeps: int
    learning_rate: float

    def __post_init__(self) -> None:
        if min(self.num_updates, self.substeps) < 1 or self.learning_rate <= 0:
            raise ValueError(f"num_updates, substeps and learning_rate of the cold start must be positive, got {self}")


@dataclass(frozen=True)
class DistillConfig:
    """Everything that decides the result of a distillation but its data, its teachers and its start.

    Args:
        num_student_updates: after the cold start.
        fake_updates: of the model of the student itself, before each update of the student.
        cold_start: None where the student draws well in few steps already.
        batch: prompts of curated images.
        prior: share of updates on prompts of pre-training, and which of their captions.
        sampler: what the student is made for.
        guidance_scale: of the committee, in its standard form: 1 is none.
        levels: lowest and highest noise level of distribution matching and of the fake model's training.
        fake_scale: scale at which the fake model's adapters are added to the teachers at first.
        fake_scale_updates: updates of the student over which that scale falls to 0.
        committee: who teaches what.
        router: how its weights are fitted to training images first; None: they are used as declared.
        adversarial: a head that tells real pictures from the student's, and the student's term from it; None is none.
        student: adapters that train; None: all weights.
        fake: adapters that train; None: all weights of a copy.
        student_optimiser, fake_optimiser: learning rates follow their own updates.
        ema_decay: of the student's average.
        grid: sample grids, which the student draws.
    """

    num_student_updates: int
    fake_updates: int
    cold_start: ColdStart | None
    batch: BatchConfig
    prior: PriorConfig
    sampler: FewSteps
    guidance_scale: float
    levels: tuple[float, float]
    fake_scale: float
    fake_scale_updates: int
    committee: CommitteeConfig
    router: RouterFit | None
    adversarial: AdversarialConfig | None
    student: LoraShape | None
    fake: LoraShape | None
    student_optimiser: OptimiserConfig
    fake_optimiser: OptimiserConfig
    ema_decay: float
    precision: Literal["32-true", "bf16-mixed"]
    watch: DriftWatchConfig
    grid: GridConfig
    seed: int

    def __post_init__(self) -> None:
        if min(self.num_student_updates, self.fake_updates, self.fake_scale_updates) < 1:
            raise ValueError("num_student_updates, fake_updates and fake_scale_updates must be at least 1")
        if self.guidance_scale < 1 or not 0 <= self.levels[0] < self.levels[1] <= 1 or self.fake_scale < 0:
            raise ValueError(
                f"guidance_scale must be at least 1, levels rise within [0, 1] and fake_scale not be negative, got "
                f"{self.guidance_scale}, {self.levels} and {self.fake_scale}"
            )
        if self.fake is None and self.fake_scale:
            raise ValueError("fake_scale adds the fake model's adapters to the teachers; without adapters it must be 0")
        if self.student_optimiser.gradient_clip != self.fake_optimiser.gradient_clip:
            raise ValueError("student_optimiser and fake_optimiser must have one gradient_clip: DeepSpeed has only one")
        drawn = (self.grid.num_sampling_steps, self.grid.shift, self.grid.guidance_scale)
        if drawn != (self.sampler.num_steps, self.sampler.shift, 1.0):
            raise ValueError(
                f"grid draws with {drawn[0]} steps, shift {drawn[1]} and guidance {drawn[2]}, but the student is made "
                f"for {self.sampler.num_steps}, {self.sampler.shift} and 1.0 (sampler); make them equal"
            )

    @property
    def lora(self) -> LoraShape | None:
        """What is merged when the student is saved."""
        return self.student

    @property
    def num_cold_steps(self) -> int:
        """Updates of the cold start."""
        return self.cold_start.num_updates if self.cold_start else 0

    @property
    def num_steps(self) -> int:
        """Updates of student and fake model together."""
        return self.num_cold_steps + self.num_student_updates * (self.fake_updates + 1)

    def turn(self, step: int) -> Turn:
        """Whose update `step` (from 0) is: the fake model's `fake_updates` times, then the student's."""
        place = step - self.num_cold_steps
        if place < 0:
            return "cold"
        return "student" if place % (self.fake_updates + 1) == self.fake_updates else "fake"

    def updates_before(self, step: int) -> int:
        """How many of the steps before `step` were of the kind of its turn."""
        rounds, place = divmod(step - self.num_cold_steps, self.fake_updates + 1)
        match self.turn(step):
            case "cold":
                return step
            case "student":
                return rounds
            case "fake":
                return rounds * self.fake_updates + place

    def student_updates_before(self, step: int) -> int:
        """Updates of the student, besides the cold start, in the steps before `step`."""
        return max(0, step - self.num_cold_steps) // (self.fake_updates + 1)
