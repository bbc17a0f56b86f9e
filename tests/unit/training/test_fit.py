"""A training that is asked to stop, by a real signal, just when a look and a checkpoint are due; and what follows."""

import os
import signal
from copy import deepcopy

import pytest
import torch
from kept_report import KeptReport

from components.data.buckets import Bucket
from components.objectives.flow_matching import flow_matching_terms
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.training.batches import BatchSource
from components.training.callbacks import Every
from components.training.checkpoint_store import CheckpointStore
from components.training.config import BatchConfig, Execution, OptimiserConfig
from components.training.fit import Surroundings, fit
from components.training.module import DiffusionModule
from components.training.preemption import PreemptedError
from components.training.strategies import spread

BATCH, STEPS = 6, 4
DENSITY = TimestepDensity("logit_normal", 0.0, 1.0, 2.0)
EXECUTION = Execution("cpu", checkpoint_every_steps=2)


def train(store, denoiser, folder, looks, *, signal_at=None):
    def objective(model, batch):
        if batch.start == signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return Outcome(flow_matching_terms(model, batch.condition, batch.x_0, DENSITY, batch.generators))

    module = DiffusionModule(
        denoiser,
        objective,
        BatchSource({Bucket(32, 32): store}, BatchConfig(BATCH, {"short": 1.0}, 0.1), seed=0),
        OptimiserConfig(1e-3, (0.9, 0.99), 0.01, 1.0, 0, 0.0, "linear"),
        EXECUTION,
        precision="32-true",
        batch_size=BATCH,
        num_steps=STEPS,
        ema_decay=0.9,
    )
    around = Surroundings(KeptReport(), folder / "incidents", CheckpointStore(folder / "kept", {"run": 1}))

    def look(network, images_seen, weights):
        looks.append((images_seen, weights))

    how = spread(EXECUTION, "32-true", BATCH, 1.0)
    return fit(module, how, EXECUTION, around, lambda clock: [Every(12, look, clock)])


@pytest.mark.parametrize("signal_at", [6, 12])
def test_stopped_and_continued_it_is_bit_equal_and_looks_once(store, denoiser, tmp_path, signal_at):
    expected_looks, looks = [], []
    whole = train(store, deepcopy(denoiser), tmp_path / "whole", expected_looks)
    with pytest.raises(PreemptedError, match=f"after {signal_at + BATCH} images"):
        train(store, deepcopy(denoiser), tmp_path / "cut", looks, signal_at=signal_at)
    continued = train(store, deepcopy(denoiser), tmp_path / "cut", looks)
    for name, weight in whole.raw.items():
        assert torch.equal(continued.raw[name], weight)
        assert torch.equal(continued.averaged[name], whole.averaged[name])
    assert looks == expected_looks == [(seen, kind) for seen in (0, 12, 24) for kind in ("averaged", "raw")]
    assert not (tmp_path / "cut" / "incidents").exists() or not list((tmp_path / "cut" / "incidents").iterdir())
