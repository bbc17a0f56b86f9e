"""Preference training of the transformer: from pairs and a reference to weights that people's choices would favour.

Source: Wallace et al. 2023, arXiv:2311.12908; arXiv:2605.25347, section 2.2.2.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float, UInt8
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.denoiser import Denoiser, TextCondition
from components.objectives.config import PreferenceLoss
from components.objectives.flow_matching import Model
from components.objectives.outcome import Outcome
from components.objectives.preference import beta_of, next_margin_mean, preference_outcome
from components.paths.config import TimestepDensity
from components.training.batches import Batch
from components.training.callbacks import Every, report_grid
from components.training.config import Execution, PreferenceConfig
from components.training.fit import Surroundings, fit, prepare
from components.training.module import DiffusionModule
from components.training.pair_batches import PairSource, rows_of_pairs
from components.training.preference_watch import PreferenceWatch, Quality, fix_pair_problems
from components.training.pretrain import Pretrained, flops_per_image, grid_drawer, latent_side
from components.training.strategies import spread
from components.training.watch import Watching, numbers_of

FORWARDS_PER_PAIR = 2 * (1 + 1 / 3)
"""Of a pair both images pass the network forward and back, and the reference forward only: a third of that."""


class Reference:
    """The frozen copy of a network that preferences are measured against; it goes where its inputs are."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = copy.deepcopy(denoiser).requires_grad_(False).eval()

    def __call__(
        self, x_t: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: TextCondition
    ) -> Float[Tensor, "b c h w"]:
        """Its velocity."""
        if next(self._denoiser.parameters()).device != x_t.device:
            self._denoiser.to(x_t.device)
        return self._denoiser(x_t, t, condition)


class AdaptersOff:
    """The trained network itself without its adapters: a reference that takes no memory of its own."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser

    def __call__(
        self, x_t: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: TextCondition
    ) -> Float[Tensor, "b c h w"]:
        """Its velocity."""
        transformer = self._denoiser.transformer
        transformer.disable_adapters()
        try:
            return self._denoiser(x_t, t, condition)
        finally:
            transformer.enable_adapters()


class PreferenceObjective:
    """The objective on a batch of pairs, at a fixed beta."""

    def __init__(self, reference: Model[TextCondition], density: TimestepDensity, loss: PreferenceLoss) -> None:
        self._reference, self._density, self._loss = reference, density, loss

    @property
    def beta(self) -> float:
        """What margins are multiplied with."""
        return self._loss.beta

    def __call__(self, model: Denoiser, batch: Batch) -> Outcome:
        """Terms and measures of the batch, with the pairs' own random numbers."""
        winners, losers = batch.x_0.chunk(2)
        return preference_outcome(
            model,
            self._reference,
            batch.condition,
            winners,
            losers,
            self._density,
            batch.generators,
            self._loss,
            self.beta,
        )


class AutoBetaObjective(PreferenceObjective):
    """The objective whose beta follows the margins of the updates before (see `module.Adaptive`)."""

    def __init__(self, reference: Model[TextCondition], density: TimestepDensity, loss: PreferenceLoss) -> None:
        super().__init__(reference, density, loss)
        self.state: dict[str, float] = {}

    @property
    def beta(self) -> float:
        """What the running mean of the margins' sizes asks for."""
        return beta_of(self._loss, self.state.get("margin_mean"))

    def observe(self, measures: dict[str, float]) -> None:
        """Take in an update's mean margin."""
        if self._loss.auto_beta is not None:
            mean = next_margin_mean(self.state.get("margin_mean"), measures["margin_abs"], self._loss.auto_beta)
            self.state["margin_mean"] = mean


def train_on_preferences(
    buckets: Mapping[Bucket, LatentStore],
    pairs: pa.Table,
    denoiser: Denoiser,
    autoencoder: AutoencoderKLFlux2,
    config: PreferenceConfig,
    execution: Execution,
    surroundings: Surroundings,
    quality: Quality,
    guardrails: Sequence[str],
    save_grid: Callable[[UInt8[np.ndarray, "h w 3"], int], None],
) -> Pretrained:
    """Train `denoiser` in place on `config.num_pairs` draws of the pairs, against itself as it comes.

    The average is that of the last look without a fault, and so are `images_seen` and `held_out` (`measures_of` and
    the pictures' qualities); the facts are all looks and why training ended early ("" if it did not).

    Raises as `fit` and `rows_of_pairs` do, before anything is trained where pairs are at fault.
    """
    source = PairSource(
        buckets,
        pairs,
        batch_size=config.batch_size,
        caption_dropout_frac=config.caption_dropout_frac,
        in_order=config.in_order,
        seed=config.seed,
    )
    held_out = rows_of_pairs(buckets, pairs, "heldout", 1)
    how = spread(execution, config.precision, config.batch_size, config.optimiser.gradient_clip)
    reference = AdaptersOff(denoiser) if config.reference == "adapters_off" else Reference(denoiser)
    prepare(denoiser, execution)
    objective = AutoBetaObjective if config.loss.auto_beta else PreferenceObjective
    module = DiffusionModule(
        denoiser,
        objective(reference, config.timesteps, config.loss),
        source,
        config.optimiser,
        execution,
        precision=config.precision,
        batch_size=config.batch_size,
        num_steps=config.num_steps,
        ema_decay=config.ema_decay,
    )
    report, checkpoints = surroundings.report, surroundings.checkpoints
    watch = PreferenceWatch(
        fix_pair_problems(buckets, held_out, config.watch.visits, config.watch.seed),
        reference,
        quality,
        guardrails,
        config.watch,
        report,
        checkpoints.directory if checkpoints else None,
        execution.micro_batch,
    )
    draw = grid_drawer(autoencoder, latent_side(buckets), config.grid)
    fitted = fit(
        module,
        how,
        execution,
        surroundings,
        lambda clock: [
            Every(config.grid.every_images, report_grid(report, draw, save_grid), clock),
            Watching(watch, config.watch.every_images, clock),
        ],
        flops_per_image=FORWARDS_PER_PAIR * flops_per_image(denoiser, buckets),
    )
    kept = watch.kept_look
    return Pretrained(
        raw=fitted.raw,
        averaged=watch.kept(),
        images_seen=kept["images_seen"],
        images_per_s=fitted.images_per_s,
        final_loss=watch.looks[-1]["train_loss"],
        held_out=numbers_of(kept),
        held_out_before=numbers_of(watch.looks[0]),
        consumed=source.consumed(module.images_seen),
        facts={"looks": watch.looks, "ended_early": module.ended_early},
    )
