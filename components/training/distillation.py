"""Multi-teacher distribution matching distillation: from a committee that needs a hundred runs an image to eight.

One training, two networks in turn: the fake model follows what the student draws now, the student moves from there to
where the committee would be. Updates count as steps, prompts as images.
Source: arXiv:2605.25347, section 2.2.3; Yin et al. 2024, arXiv:2405.14867; Liu et al. 2025, arXiv:2511.22677.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import EMPTY_TEXT, LatentStore
from components.data.order import order_key
from components.models.committee import Distilled, student_state
from components.models.denoiser import Denoiser, TextCondition, pad_states, repeated
from components.models.step_token import with_step
from components.objectives.committee import Role
from components.objectives.distribution_matching import (
    Predictions,
    committee_prediction,
    committee_weights,
    decayed_scale,
    decoupled_gradient,
    draw_levels,
    moved_loss,
    predicted_data,
)
from components.objectives.flow_matching import velocity_error
from components.objectives.outcome import Outcome
from components.paths.interpolant import interpolate
from components.paths.noise import normal_noise
from components.paths.timesteps import draw_uniform
from components.samplers.rollout import ROLL_OUTS
from components.samplers.time_grid import shifted_time_grid
from components.training.adversary import check_adversary, head_outcome, misled_term
from components.training.batches import Batch
from components.training.callbacks import Every, report_grid
from components.training.config import Execution
from components.training.distill_config import DistillConfig
from components.training.distillation_watch import DistillationWatch, Examine
from components.training.fit import Surroundings, fit, prepare
from components.training.mixed_batches import MixedSource
from components.training.module import DiffusionModule
from components.training.pretrain import Pretrained, SaveGrid, flops_per_image, grid_drawer, latent_side
from components.training.routing_fit import fit_router, router_metrics
from components.training.sft import sft_source
from components.training.strategies import spread
from components.training.turns import TurnAdamW, build_turn_optimiser, turn_rate
from components.training.watch import Watching, numbers_of

PASSES_PER_PROMPT = 2.5
"""Of one update in units of a forward and a backward pass: the roll-out's mean, the pass itself, the teachers'."""


class CommitteeVelocity:
    """What a committee says of a batch: each expert is asked about the samples for which it counts.

    An expert that counts for none of them is asked about one all the same: under ZeRO-3 each pass needs all processes.
    """

    def __init__(self, model: Distilled, config: DistillConfig, domains: Sequence[str], fake_scale: float) -> None:
        self._committee, self._config = model.committee, config.committee
        self._domains, self._fake_scale = domains, fake_scale

    def weights(self, role: Role, t: Float[Tensor, " b"]) -> Float[Tensor, "b k"]:
        """How much each expert counts for each sample."""
        return committee_weights(self._config, role, t, self._domains)

    def __call__(
        self,
        weights: Float[Tensor, "b k"],
        x_t: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        condition: TextCondition,
    ) -> Float[Tensor, "b c h w"]:
        """The weighted velocity."""
        said = torch.zeros(len(self._config.experts), *x_t.shape, dtype=x_t.dtype, device=x_t.device)
        for number, name in enumerate(self._config.experts):
            rows = torch.nonzero(weights[:, number]).flatten()
            if not len(rows):
                rows = torch.zeros(1, dtype=torch.int64, device=x_t.device)
            own = TextCondition(condition.states[rows], condition.lengths[rows])
            v = self._committee.expert(name, x_t[rows], t[rows], own, fake_scale=self._fake_scale)
            said[number, rows] = v.to(said.dtype)
        return committee_prediction(weights, said)


class DistillationObjective:
    """The loss of one turn; whose it is follows from the batch's place in the run.

    `domain_of` tells the domain of a sample's prompt; samples that it does not name are of the committee's general one.
    """

    def __init__(self, config: DistillConfig, domain_of: Mapping[str, str], empty_text: Float[Tensor, "_ d"]) -> None:
        self._config, self._domain_of = config, domain_of
        self._empty = pad_states([empty_text])
        self._grid = shifted_time_grid(config.sampler.num_steps, config.sampler.shift)

    def __call__(self, model: Denoiser, batch: Batch) -> Outcome:
        """Terms and measures of the batch, with its samples' own random numbers; all of a step draw at one time."""
        if not isinstance(model, Distilled):
            raise TypeError(f"distillation trains a Distilled, got {type(model).__name__}")
        config = self._config
        step = batch.start // config.batch.batch_size
        place = int(
            np.random.default_rng(order_key("place in the grid", config.seed) + step).integers(len(self._grid) - 1)
        )
        x = self._roll_out(model, batch, place)
        match config.turn(step):
            case "cold":
                return self._cold(model, batch, x, place)
            case "fake":
                return self._fake(model, batch, x, place)
            case "student":
                return self._student(model, batch, x, place, config.updates_before(step))

    def _roll_out(self, model: Denoiser, batch: Batch, place: int) -> Float[Tensor, "b c h w"]:
        """The student's input at a time of the grid, got to as the sampler would."""
        noise = normal_noise(batch.x_0, batch.generators)
        if self._config.sampler.rollout == "noised_data":
            return interpolate(batch.x_0, noise, self._grid[place].to(noise.device).expand(len(noise)))
        times = self._grid[: place + 1].to(noise.device)
        roll_out = ROLL_OUTS[self._config.sampler.rollout]
        return roll_out(lambda x, t: model(x, t, batch.condition), noise, times, batch.generators)

    def _x_hat(
        self, model: Denoiser, x: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: TextCondition
    ) -> Float[Tensor, "b c h w"]:
        return x - t.reshape(-1, 1, 1, 1) * model(x, t, condition).to(x.dtype)

    def _fake(self, model: Distilled, batch: Batch, x: Float[Tensor, "b c h w"], place: int) -> Outcome:
        """Flow matching of the fake model on what the student draws at this step, which the fake one is told.

        A head, if there is one, learns beside it.
        """
        t_step = self._grid[place].to(x).expand(len(x))
        with torch.no_grad():
            x_hat = self._x_hat(model, x, t_step, batch.condition)
        low, high = self._config.levels
        t = (low + (high - low) * draw_uniform(batch.generators)).to(x)
        eps = normal_noise(x_hat, batch.generators)
        errors = velocity_error(model.committee.fake, with_step(batch.condition, place), x_hat, eps, t)
        terms = {"fake": errors.mean()}
        if self._config.adversarial is None:
            return Outcome(terms)
        head = head_outcome(self._config.adversarial, model, batch, x_hat, t, eps)
        return Outcome(terms | head.terms, head.measures)

    def _student(
        self, model: Distilled, batch: Batch, x: Float[Tensor, "b c h w"], place: int, updates: int
    ) -> Outcome:
        """Distribution matching and guidance, each at its own noise level; a head is misled at the former's."""
        config, condition = self._config, batch.condition
        t_step = self._grid[place]
        x_hat = self._x_hat(model, x, t_step.to(x).expand(len(x)), condition)
        drawn = draw_levels(float(t_step), *config.levels, batch.generators)
        t_dm, t_ca = (t.to(x) for t in drawn)
        eps_dm, eps_ca = normal_noise(x, batch.generators), normal_noise(x, batch.generators)
        scale = decayed_scale(updates, config.fake_scale, config.fake_scale_updates)
        with torch.no_grad():
            velocity = CommitteeVelocity(model, config, self._domains(batch), scale)
            x_dm, x_ca = interpolate(x_hat, eps_dm, t_dm), interpolate(x_hat, eps_ca, t_ca)
            of_dm, of_ca = velocity.weights("dm", t_dm), velocity.weights("ca", t_ca)
            said = Predictions(
                fake=predicted_data(x_dm, model.committee.fake(x_dm, t_dm, with_step(condition, place)).to(x), t_dm),
                real=predicted_data(x_dm, velocity(of_dm, x_dm, t_dm, condition), t_dm),
                guided_cond=predicted_data(x_ca, velocity(of_ca, x_ca, t_ca, condition), t_ca),
                guided_uncond=predicted_data(x_ca, velocity(of_ca, x_ca, t_ca, self._uncondition(x_ca)), t_ca),
            )
            gradient = decoupled_gradient(x_hat.detach(), said, config.guidance_scale)
        measures = {
            "fake_gap": (said.fake - said.real).abs().mean(),
            "guidance_gap": (said.guided_cond - said.guided_uncond).abs().mean(),
            "fake_scale": torch.tensor(scale, device=x.device),
            **self._routing({"dm": of_dm, "ca": of_ca}),
        }
        terms = {"student": moved_loss(x_hat, gradient)}
        if config.adversarial is not None:
            terms["misled"] = misled_term(config.adversarial, model, condition, x_hat, t_dm, eps_dm)
        return Outcome(terms, measures)

    def _cold(self, model: Distilled, batch: Batch, x: Float[Tensor, "b c h w"], place: int) -> Outcome:
        """Regression on the guided committee's mean velocity from this time of the grid to the next."""
        config, condition = self._config, batch.condition
        if config.cold_start is None:
            raise RuntimeError("a turn of a cold start that is not declared")
        t, t_next = self._grid[place].to(x), self._grid[place + 1].to(x)
        velocity, tables = CommitteeVelocity(model, config, self._domains(batch), 0.0), config.committee.weights
        with torch.no_grad():
            now = x
            for start, end in pairwise(torch.linspace(float(t), float(t_next), config.cold_start.substeps + 1).to(x)):
                times = start.expand(len(x))
                of_dm, of_ca = velocity.weights("dm", times), velocity.weights("ca", times)
                cond = velocity(of_ca, now, times, condition)
                uncond = velocity(of_ca, now, times, self._uncondition(now))
                # By the tables, not by this batch: under ZeRO-3 all processes must pass alike.
                matching = cond if tables["dm"] == tables["ca"] else velocity(of_dm, now, times, condition)
                now = now + (end - start) * (matching + (config.guidance_scale - 1) * (cond - uncond))
            target = (now - x) / (t_next - t)
        error = (model(x, t.expand(len(x)), condition).to(x) - target).square().mean()
        return Outcome({"cold": error})

    def _domains(self, batch: Batch) -> list[str]:
        general = self._config.committee.general
        return [self._domain_of.get(name, general) for name in batch.sample_ids]

    def _uncondition(self, like: Float[Tensor, "b c h w"]) -> TextCondition:
        empty = TextCondition(self._empty.states.to(like.device), self._empty.lengths.to(like.device))
        return repeated(empty, len(like))

    def _routing(self, weights: Mapping[Role, Float[Tensor, "b k"]]) -> dict[str, Tensor]:
        """The share of each expert in each objective, over the batch."""
        return {
            f"routing/{role}/{name}": share
            for role, of_role in weights.items()
            for name, share in zip(self._config.committee.experts, of_role.mean(dim=0), strict=True)
        }


class DistillationModule(DiffusionModule):
    """The module whose steps are turns: each updates the student or the fake model; the average is the student's."""

    def __init__(
        self,
        denoiser: Distilled,
        objective: DistillationObjective,
        source: MixedSource,
        config: DistillConfig,
        execution: Execution,
    ) -> None:
        super().__init__(
            denoiser,
            objective,
            source,
            config.student_optimiser,
            execution,
            precision=config.precision,
            batch_size=config.batch.batch_size,
            num_steps=config.num_steps,
            ema_decay=config.ema_decay,
        )
        self._config, self._distilled = config, denoiser

    @property
    def turn(self) -> str:
        """Whose update the running step is."""
        return self._config.turn(self.step)

    @property
    def updates_average(self) -> bool:
        """The fake model's updates do not change the student."""
        return self.turn != "fake"

    def configure_optimizers(self) -> TurnAdamW:
        """One AdamW for both, whose groups take turns."""
        weights = {"student": self._distilled.student_weights(), "fake": self._distilled.fake_weights()}
        configs = {"student": self._config.student_optimiser, "fake": self._config.fake_optimiser}
        return build_turn_optimiser({name: own.values() for name, own in weights.items()}, configs)

    def set_rates(self, groups: Sequence[dict[str, Any]]) -> None:
        """The rate of the network whose turn it is; the other one's groups idle."""
        active = "fake" if self.turn == "fake" else "student"
        rate = turn_rate(self._config, self.step)
        for group in groups:
            group["idle"] = group["part"] != active
            group["lr"] = rate


def distill(
    curated: Mapping[Bucket, LatentStore],
    earlier: Mapping[Bucket, LatentStore],
    domain_of: Mapping[str, str],
    denoiser: Distilled,
    autoencoder: AutoencoderKLFlux2,
    config: DistillConfig,
    execution: Execution,
    surroundings: Surroundings,
    examine: Examine,
    teacher: Mapping[str, float] | Examine,
    save_grid: SaveGrid,
) -> Pretrained:
    """Train `denoiser` in place on prompts of `curated`, and for a share of the updates on those of `earlier`.

    `examine` measures the student's pictures, and `teacher` is what it says of the teacher's, or who measures those;
    `domain_of` a sample's prompt, for the committee's tables, which `config.router` fits first. The average is that
    of the look that lost least of any ability, and so are `images_seen` and `held_out`; the facts are how to draw, all
    looks, why training ended early ("" if it did not), and the fitted tables.

    Raises as `fit` does; ValueError for a head's block that is not there.
    """
    check_execution(execution)
    check_adversary(config.adversarial, denoiser)
    source = sft_source(curated, earlier, config.batch, config.prior, seed=config.seed)
    how = spread(
        execution, config.precision, config.batch.batch_size, config.student_optimiser.gradient_clip, takes_turns=True
    )
    # Before a strategy spreads the weights: every process has them all, and fits the same.
    if config.router is not None:
        config = replace(config, committee=fit_router(denoiser, curated, earlier, domain_of, config))
        surroundings.report.log_metrics(router_metrics(config.committee), 0)
    prepare(denoiser, execution)
    store = next(iter(curated.values()))
    empty = torch.from_numpy(store.texts.of(EMPTY_TEXT).astype(np.float32))
    module = DistillationModule(denoiser, DistillationObjective(config, domain_of, empty), source, config, execution)
    report, checkpoints = surroundings.report, surroundings.checkpoints
    watch = DistillationWatch(
        examine,
        teacher,
        config.watch,
        report,
        checkpoints.directory if checkpoints else None,
        lambda seen: config.student_updates_before(seen // config.batch.batch_size),
    )
    draw = grid_drawer(autoencoder, latent_side(curated), config.grid)
    round_images = (config.fake_updates + 1) * config.batch.batch_size
    fitted = fit(
        module,
        how,
        execution,
        surroundings,
        lambda clock: [
            Every(config.grid.every_images, report_grid(report, draw, save_grid), clock),
            Watching(watch, config.watch.every_updates * round_images, clock),
        ],
        flops_per_image=PASSES_PER_PROMPT * flops_per_image(denoiser, curated),
    )
    kept = watch.kept_look
    return Pretrained(
        raw=student_state(fitted.raw),
        averaged=student_state(watch.kept()),
        images_seen=kept["images_seen"],
        images_per_s=fitted.images_per_s,
        final_loss=watch.looks[-1].get("train_loss", float("nan")),
        held_out=numbers_of(kept),
        held_out_before=numbers_of(watch.looks[0]),
        consumed=source.consumed(module.images_seen),
        facts={
            "distilled": {
                "num_steps": config.sampler.num_steps,
                "guidance_scale": 1.0,
                "rollout": config.sampler.rollout,
            },
            "looks": watch.looks,
            "ended_early": module.ended_early,
            **({"router": config.committee.weights} if config.router else {}),
        },
    )


def check_execution(execution: Execution) -> None:
    """ValueError where two networks cannot take turns."""
    if execution.strategy == "fsdp2":
        raise ValueError(
            "distillation shards two networks that train in turn, which fsdp2 cannot do here; choose a profile with "
            "strategy ddp, zero2 or zero3"
        )
