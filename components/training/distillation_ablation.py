"""Distillation with its parts taken away: what a committee, two roles and backward simulation are worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKLFlux2

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.committee import Distilled
from components.objectives.committee import CommitteeConfig
from components.training.config import Execution
from components.training.distill_config import DistillConfig
from components.training.distillation import distill
from components.training.distillation_watch import Examine
from components.training.fit import Surroundings
from components.training.guards import NonFiniteError
from components.training.pretrain import SaveGrid
from components.training.reporting import Report

ARMS = {
    "committee": "committee, as declared",
    "single": "the general teacher alone",
    "one_table": "one table for both roles",
    "noised_data": "noised real data, no roll-out",
}
NUM_LOOKS = 4


def arm_configs(config: DistillConfig, num_student_updates: int) -> dict[str, DistillConfig]:
    """The training of each arm: same prompts, steps, seeds and rates, and nothing ends it early but broken numbers.

    Looks are spread over the training, and grids are drawn at its two ends.
    """
    every = max(1, num_student_updates // NUM_LOOKS)
    watch = replace(
        config.watch,
        every_updates=every,
        min_diversity=0.0,
        max_saturation=math.inf,
        max_quality_fall=math.inf,
        patience=0,
    )
    whole = replace(config, num_student_updates=num_student_updates, watch=watch)
    whole = replace(whole, grid=replace(config.grid, every_images=whole.num_steps * config.batch.batch_size))
    return {
        "committee": whole,
        "single": replace(whole, committee=single_teacher(config.committee)),
        "one_table": replace(whole, committee=one_table(config.committee)),
        "noised_data": replace(whole, sampler=replace(config.sampler, rollout="noised_data")),
    }


def single_teacher(committee: CommitteeConfig) -> CommitteeConfig:
    """The committee of which only the general expert is heard, everywhere; ValueError if it has none."""
    alone = tuple(float(name == committee.general) for name in committee.experts)
    of_bands = {"high": alone, "middle": alone, "low": alone}
    return replace(committee, weights={role: {committee.general: of_bands} for role in committee.weights})


def one_table(committee: CommitteeConfig) -> CommitteeConfig:
    """The committee in which guidance is taught by whoever teaches distribution matching."""
    return replace(committee, weights=dict.fromkeys(committee.weights, committee.weights["dm"]))


def train_arm(
    curated: Mapping[Bucket, LatentStore],
    earlier: Mapping[Bucket, LatentStore],
    domain_of: Mapping[str, str],
    denoiser: Distilled,
    autoencoder: AutoencoderKLFlux2,
    config: DistillConfig,
    execution: Execution,
    report: Report,
    incidents: Path,
    examine: Examine,
    teacher: Mapping[str, float],
    save_grid: SaveGrid,
) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Train one arm in place; its looks, and why it ended early: numbers that break are a result like others."""
    try:
        done = distill(
            *(curated, earlier, domain_of, denoiser, autoencoder, config, execution, Surroundings(report, incidents)),
            *(examine, teacher, save_grid),
        )
    except NonFiniteError as error:
        return (), str(error)
    looks: Any = done.facts["looks"]
    return looks, str(done.facts["ended_early"])
