"""One optimiser for several networks that are updated in turn.

DeepSpeed has one optimiser per engine and Lightning one engine per training; so the networks' weights are groups of one
AdamW, and the groups that do not have their turn are left as they are. That is what separate optimisers would do.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from components.training.config import OptimiserConfig
from components.training.distill_config import DistillConfig
from components.training.schedule import learning_rate_factor


class TurnAdamW(torch.optim.AdamW):
    """AdamW that leaves groups whose `idle` is true untouched: their weights, moments and counts of steps."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the groups that have their turn."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["idle"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        return loss


def build_turn_optimiser(parts: dict[str, Iterable[nn.Parameter]], configs: dict[str, OptimiserConfig]) -> TurnAdamW:
    """Groups of each part under its own settings, known by their `part`; vectors (norms, biases) do not decay."""
    groups: list[dict[str, Any]] = []
    for name, weights in parts.items():
        config, own = configs[name], list(weights)
        for chosen, decay in (
            ([one for one in own if one.ndim > 1], config.weight_decay),
            ([one for one in own if one.ndim <= 1], 0.0),
        ):
            if chosen:
                groups.append(
                    {
                        "params": chosen,
                        "weight_decay": decay,
                        "lr": config.learning_rate,
                        "betas": config.betas,
                        "part": name,
                        "idle": False,
                    }
                )
    return TurnAdamW(groups, fused=True)


def turn_rate(config: DistillConfig, step: int) -> float:
    """The learning rate of the update number `step` (from 0), by its place among those of its kind."""
    before = config.updates_before(step)
    match config.turn(step):
        case "cold":
            return config.cold_start.learning_rate if config.cold_start else 0.0
        case "student":
            own, total = config.student_optimiser, config.num_student_updates
        case "fake":
            own, total = config.fake_optimiser, config.num_student_updates * config.fake_updates
    return own.learning_rate * learning_rate_factor(before, total, own)
