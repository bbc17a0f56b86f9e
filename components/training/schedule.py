"""Optimiser and learning rate of the transformer's training."""

import math

import torch
from torch import nn

from components.training.config import OptimiserConfig


def build_optimiser(module: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over all weights that train; vectors (norms, biases) do not decay."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def learning_rate_factor(step: int, num_steps: int, config: OptimiserConfig) -> float:
    """Factor for the update number `step` (from 0) of `num_steps`: up over the warm-up, flat, down at the end."""
    up = (step + 1) / config.warmup_steps if config.warmup_steps else 1.0
    decay_steps = config.decay_frac * num_steps
    down = max(0.0, min(1.0, (num_steps - step) / decay_steps)) if decay_steps else 1.0
    if config.decay == "cosine":
        down = (1 - math.cos(math.pi * down)) / 2
    return max(0.0, min(1.0, up, down))
