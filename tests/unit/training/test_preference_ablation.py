"""Trainings that differ in their safeguards only, on a tiny network."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2
from tiny_pairs import pair_store, pair_table

from components.data.buckets import Bucket
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig
from components.objectives.config import AutoBeta, PreferenceLoss
from components.paths.config import TimestepDensity
from components.tracking import NullRun
from components.training import pretrain
from components.training.config import Execution, GridConfig, OptimiserConfig, PreferenceConfig, WatchConfig
from components.training.preference_ablation import ARMS, arm_configs, train_arm
from components.training.reporting import Remembering

BUCKET = Bucket(32, 32)
CONFIG = PreferenceConfig(
    num_pairs=16,
    batch_size=4,
    caption_dropout_frac=0.0,
    in_order=False,
    loss=PreferenceLoss(0.5, 1.0, 0.35, 0.15, "sum", "mean", 0.5, AutoBeta(0.2, 0.9, 1e-3, 1.0), 0.1, 1.0, 0.2),
    reference="copy",
    optimiser=OptimiserConfig(3e-3, (0.9, 0.99), 0.01, 1.0, 0, 0.0, "linear"),
    timesteps=TimestepDensity("logit_normal", 0.0, 1.0, 2.0),
    ema_decay=0.0,
    precision="32-true",
    lora=None,
    watch=WatchConfig(every_images=8, visits=2, max_error_rise=0.0, max_quality_fall=0.0, patience=1, seed=0),
    grid=GridConfig(every_images=8, prompts=("a", "b"), num_sampling_steps=1, guidance_scale=2.0, shift=1.5, seed=0),
    seed=0,
)


@pytest.fixture
def autoencoder() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _texts_of_the_store(monkeypatch):
    class FromStore:
        @classmethod
        def load(cls):
            return cls()

        def __call__(self, texts):
            return [torch.from_numpy(pair_store().texts.of(number)).float() for number, _ in enumerate(texts)]

    monkeypatch.setattr(pretrain, "TextEncoder", FromStore)


def test_the_arms_are_the_four_ways_to_have_two_safeguards():
    losses = {arm: config.loss for arm, config in arm_configs(CONFIG, mu=0.9).items()}
    assert set(losses) == set(ARMS)
    has_anchors = {arm: (loss.win_anchor, loss.lose_anchor) == (0.35, 0.15) for arm, loss in losses.items()}
    scales = {arm: loss.winner_preserving for arm, loss in losses.items()}
    assert has_anchors == {"naive": False, "anchors": True, "sdpo": False, "both": True}
    assert scales == {"naive": None, "anchors": None, "sdpo": 0.9, "both": 0.9}
    both = losses["both"]
    assert (both.auto_beta, both.output_anchor, both.dpop, both.margin_dropout) == (None, 0.0, 0.0, 0.0)


def test_the_arms_differ_in_nothing_else():
    configs = [asdict(config) for config in arm_configs(CONFIG, mu=0.9).values()]
    for config in configs:
        for name in ("win_anchor", "lose_anchor", "winner_preserving"):
            del config["loss"][name]
    assert all(config == configs[0] for config in configs)
    assert configs[0]["optimiser"] == asdict(CONFIG.optimiser)


def trained(arm: str, denoiser, autoencoder, tmp_path, learning_rate: float = 3e-3):
    optimiser = replace(CONFIG.optimiser, learning_rate=learning_rate)
    config = arm_configs(replace(CONFIG, optimiser=optimiser), mu=0.9)[arm]
    report, grids = Remembering(NullRun()), list[np.ndarray]()
    done = train_arm(
        {BUCKET: pair_store()}, pair_table(), denoiser, autoencoder, config, Execution("cpu"), report, tmp_path,
        lambda grid_u8, seen: grids.append(grid_u8),
    )  # fmt: skip
    return done, report.history, grids


@pytest.mark.parametrize("arm", list(ARMS))
def test_an_arm_is_trained_to_its_end_and_remembers_its_looks(arm, denoiser, autoencoder, tmp_path):
    done, history, grids = trained(arm, denoiser, autoencoder, tmp_path)
    assert done.ended_early == ""
    assert done.weights is not None
    assert [seen for seen, _ in history["health/lose_ratio"]] == [0, 4, 8, 12, 16]
    assert history["health/lose_ratio"][0] == (0, 1.0)
    assert history["health/accuracy"][0] == (0, 0.5)
    assert len(grids) == 2


def test_numbers_that_break_are_a_result(denoiser, autoencoder, tmp_path):
    done, history, _ = trained("naive", denoiser, autoencoder, tmp_path, learning_rate=1e30)
    assert done.weights is None
    assert "finite" in done.ended_early
    assert history["health/lose_ratio"][0] == (0, 1.0)
