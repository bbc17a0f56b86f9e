"""Preference training with its safeguards taken away: what the anchors and the winner-preserving scale are worth."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from diffusers import AutoencoderKLFlux2
from jaxtyping import UInt8
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.denoiser import Denoiser
from components.objectives.config import PreferenceLoss
from components.training.config import Execution, PreferenceConfig
from components.training.fit import Surroundings
from components.training.guards import NonFiniteError
from components.training.preference_training import train_on_preferences
from components.training.reporting import Report

ARMS = {
    "naive": "DPO term alone",
    "anchors": "with anchors",
    "sdpo": "with the winner-preserving scale",
    "both": "with both",
}
NUM_LOOKS = 8


@dataclass(frozen=True)
class TrainedArm:
    """The averaged weights at the end, or none and why, where training broke down."""

    weights: dict[str, Tensor] | None
    ended_early: str


def arm_losses(loss: PreferenceLoss, mu: float) -> dict[str, PreferenceLoss]:
    """The loss of each arm: beta and reductions are those of `loss`, and so are the anchors where there are some.

    Every other safeguard and option is off, so that nothing else differs. `mu` is the winner-preserving scale's.
    """
    naive = replace(
        loss,
        dpo_weight=1.0,
        win_anchor=0.0,
        lose_anchor=0.0,
        winner_preserving=None,
        auto_beta=None,
        output_anchor=0.0,
        dpop=0.0,
        margin_dropout=0.0,
    )
    anchors = replace(naive, win_anchor=loss.win_anchor, lose_anchor=loss.lose_anchor)
    return {
        "naive": naive,
        "anchors": anchors,
        "sdpo": replace(naive, winner_preserving=mu),
        "both": replace(anchors, winner_preserving=mu),
    }


def arm_configs(config: PreferenceConfig, mu: float) -> dict[str, PreferenceConfig]:
    """The training of each arm: same steps, seeds and learning rate, and nothing ends it early but numbers that break.

    Looks are spread over the training, and grids are drawn at its two ends.
    """
    every = max(1, config.num_pairs // NUM_LOOKS)
    watch = replace(config.watch, every_images=every, max_error_rise=math.inf, max_quality_fall=math.inf, patience=0)
    grid = replace(config.grid, every_images=config.num_pairs)
    return {
        arm: replace(config, loss=loss, watch=watch, grid=grid) for arm, loss in arm_losses(config.loss, mu).items()
    }


def train_arm(
    buckets: Mapping[Bucket, LatentStore],
    pairs: pa.Table,
    denoiser: Denoiser,
    autoencoder: AutoencoderKLFlux2,
    config: PreferenceConfig,
    execution: Execution,
    report: Report,
    incidents: Path,
    save_grid: Callable[[UInt8[np.ndarray, "h w 3"], int], None],
) -> TrainedArm:
    """Train one arm in place; numbers that are not finite end it, and are a result like others."""
    surroundings = Surroundings(report, incidents)
    try:
        done = train_on_preferences(
            buckets, pairs, denoiser, autoencoder, config, execution, surroundings, lambda _: {}, (), save_grid
        )
    except NonFiniteError as error:
        return TrainedArm(None, str(error))
    return TrainedArm(done.averaged, str(done.facts["ended_early"]))
