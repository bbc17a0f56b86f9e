"""The guards in a real Trainer: refused updates leave the weights, requests to stop end with a checkpoint."""

import json
import os
import signal
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from lightning import Callback, Trainer

from components.data.buckets import Bucket
from components.objectives.flow_matching import flow_matching_terms
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.training.batches import BatchSource
from components.training.callbacks import Every, LogSteps
from components.training.config import BatchConfig, Execution, OptimiserConfig
from components.training.guarding import Guard, Heartbeat, WatchLoss
from components.training.guards import NonFiniteError
from components.training.module import DiffusionModule
from components.training.preemption import PreemptedError, StopRequest
from components.training.spikes import LossSpikeError, SpikeDetector
from components.training.watchdog import StepClock

DENSITY = TimestepDensity("logit_normal", 0.0, 1.0, 2.0)
BATCH, STEPS = 6, 4
pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]


class Notes:
    """A report that remembers."""

    def __init__(self) -> None:
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.done: list[tuple[int, int, dict[str, float]]] = []

    def log_metrics(self, metrics, step=0):
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key, image_u8, step=0): ...

    def progress(self, done, total, **fields):
        self.done.append((done, total, fields))


def objective(model, batch):
    return Outcome(flow_matching_terms(model, batch.condition, batch.x_0, DENSITY, batch.generators))


def module_of(store, denoiser, *, micro_batch=None, steps=STEPS, objective=objective) -> DiffusionModule:
    return DiffusionModule(
        denoiser,
        objective,
        BatchSource({Bucket(32, 32): store}, BatchConfig(BATCH, {"short": 1.0}, 0.1), seed=0),
        OptimiserConfig(1e-3, (0.9, 0.99), 0.01, 1.0, 0, 0.0, "linear"),
        Execution("cpu", micro_batch=micro_batch),
        precision="32-true",
        batch_size=BATCH,
        num_steps=steps,
        ema_decay=0.9,
    )


def fit(module: DiffusionModule, *callbacks: Callback) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_steps=module.num_steps,
        max_epochs=1,
        accumulate_grad_batches=module.accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(module)
    return trainer


def no_save(trainer, module):
    raise AssertionError("nothing was to be saved")


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_a_bad_loss_is_refused_and_its_images_are_named(store, denoiser, tmp_path, micro_batch):
    weights = {name: value.clone() for name, value in denoiser.state_dict().items()}

    def bad_at_first(model, batch):
        terms = objective(model, batch).terms
        return Outcome({"flow_matching": terms["flow_matching"] * (float("nan") if batch.start == 0 else 1.0)})

    module = module_of(store, denoiser, micro_batch=micro_batch, objective=bad_at_first)
    with pytest.raises(NonFiniteError, match=r"the loss is not finite after 0 images .*nothing was updated"):
        fit(module, Guard(tmp_path, StopRequest(), no_save))
    for name, value in denoiser.state_dict().items():
        assert torch.equal(value, weights[name])
    record = json.loads((tmp_path / "not-finite-000000000000-rank0.json").read_text())
    source = BatchSource({Bucket(32, 32): store}, BatchConfig(BATCH, {"short": 1.0}, 0.1), seed=0)
    whole = source.at(0, BATCH)
    for key, expected in (
        ("sample_ids", whole.sample_ids),
        ("texts", whole.texts),
        ("seeds", [generator.initial_seed() for generator in whole.generators]),
    ):
        assert [value for batch in record["batches"] for value in batch[key]] == list(expected)
    assert len(record["batches"]) == module.accumulate
    assert record["terms"]["loss"] == "nan"
    assert record["processes_with_bad_loss"] == 1


def test_a_bad_gradient_is_refused_and_its_block_is_named(store, denoiser, tmp_path):
    module = module_of(store, denoiser)
    weight = next(weight for name, weight in denoiser.named_parameters() if ".layers.1." in name)
    steps = 0

    def spoil(gradient):
        nonlocal steps
        steps += 1
        return gradient * float("inf") if steps == 3 else gradient

    weight.register_hook(spoil)
    with pytest.raises(NonFiniteError, match=r"the gradient is not finite in transformer.layers.1 after 12 images"):
        fit(module, Guard(tmp_path, StopRequest(), no_save))
    assert module.images_seen == 12
    assert all(torch.isfinite(w).all() for w in denoiser.parameters())
    assert json.loads((tmp_path / "not-finite-000000000012-rank0.json").read_text())["groups"] == [
        "transformer.layers.1"
    ]


class SignalAt(Callback):
    """Sends this process a signal in the midst of a step."""

    def __init__(self, batch: int, number: int) -> None:
        self.batch, self.number = batch, number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == self.batch:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_a_signal_ends_training_after_the_running_step(store, denoiser, tmp_path, number, micro_batch):
    module, stop, saved = module_of(store, denoiser, micro_batch=micro_batch), StopRequest(), []
    before = signal.getsignal(number)
    guard = Guard(tmp_path, stop, lambda trainer, module: saved.append(module.images_seen))
    with stop.listening(), pytest.raises(PreemptedError, match="stopped on request after 12 images"):
        fit(module, guard, SignalAt(module.accumulate, number))
    assert saved == [12]
    assert signal.getsignal(number) is before
    assert list(tmp_path.iterdir()) == []


def test_a_request_during_the_last_step_changes_nothing(store, denoiser, tmp_path):
    module, stop = module_of(store, denoiser), StopRequest()
    with stop.listening():
        fit(module, Guard(tmp_path, stop, no_save), SignalAt(STEPS - 1, signal.SIGTERM))
    assert module.images_seen == STEPS * BATCH


def test_guards_change_no_weight(store, denoiser, tmp_path):
    plain, guarded = module_of(store, deepcopy(denoiser)), module_of(store, deepcopy(denoiser))
    fit(plain)
    guard, clock = Guard(tmp_path, StopRequest(), no_save), StepClock()
    fit(
        guarded,
        guard,
        WatchLoss(guard, SpikeDetector(), Notes(), stops=True),
        Heartbeat(clock),
        LogSteps(Notes(), clock),
    )
    for a, b in zip(plain.denoiser.parameters(), guarded.denoiser.parameters(), strict=True):
        assert torch.equal(a, b)
    assert clock.median_s is not None


@pytest.mark.parametrize("stops", [False, True])
def test_loss_spikes_are_reported_and_may_stop(store, denoiser, tmp_path, stops):
    planted = range(30, 33)

    def spiking(model, batch):
        factor = 50 if batch.start // BATCH in planted else 1
        return Outcome({name: value * factor for name, value in objective(model, batch).terms.items()})

    module, notes = module_of(store, denoiser, steps=40, objective=spiking), Notes()
    guard = Guard(tmp_path, StopRequest(), no_save)
    watch = WatchLoss(guard, SpikeDetector(patience=3), notes, stops=stops)
    if stops:
        with pytest.raises(LossSpikeError, match="3 steps in a row"):
            fit(module, guard, watch)
    else:
        fit(module, guard, watch)
    assert [seen for seen, metrics in notes.metrics if "guard/loss_spike" in metrics] == [
        BATCH * step for step in planted
    ]
    record = json.loads((tmp_path / "loss-spike-000000000180-rank0.json").read_text())
    assert len(record["batches"][0]["sample_ids"]) == BATCH
    assert len(list(tmp_path.iterdir())) == 3


def test_steps_are_logged_over_images_seen(store, denoiser, monkeypatch):
    monkeypatch.setattr("components.training.callbacks.LOG_EVERY_STEPS", 2)
    notes = Notes()
    module = module_of(store, denoiser, micro_batch=3)
    fit(module, LogSteps(notes, StepClock(), flops_per_image=1e6, peak_tflops=1e-3))
    assert [seen for seen, _ in notes.metrics] == [12, 24]
    for _, numbers in notes.metrics:
        assert set(numbers) == {
            "train/flow_matching",
            "train/loss",
            "train/gradient_norm",
            "train/learning_rate",
            "train/images_per_s",
            "train/memory_gb",
            "train/mfu",
        }
        assert numbers["train/mfu"] == pytest.approx(numbers["train/images_per_s"] * 1e6 / 1e9)
        assert numbers["train/gradient_norm"] > 0
        assert 0.01 < numbers["train/memory_gb"] < 1000
    assert [(done, total) for done, total, _ in notes.done] == [(12, 24), (24, 24)]


@pytest.mark.parametrize(("every", "expected"), [(12, [0, 12, 24]), (13, [0, 18, 24]), (10**6, [0, 24])])
def test_looks_come_when_the_images_seen_say_so(store, denoiser, every, expected):
    looks = []
    module = module_of(store, denoiser)

    def look(network, images_seen, weights):
        looks.append((images_seen, weights, [weight.detach().clone() for weight in network.parameters()]))
        assert not network.training

    fit(module, Every(every, look, StepClock()))
    assert [(seen, weights) for seen, weights, _ in looks] == [
        (seen, weights) for seen in expected for weights in ("averaged", "raw")
    ]
    averaged, raw = looks[-2][2], looks[-1][2]
    assert all(torch.equal(a, b) for a, b in zip(raw, denoiser.parameters(), strict=True))
    for a, b in zip(averaged, module.average.weights.values(), strict=True):
        assert torch.equal(a, b)
    assert not all(torch.equal(a, b) for a, b in zip(averaged, raw, strict=True))
    assert denoiser.training


def test_a_training_that_continues_does_not_look_again(store, denoiser):
    looks = []
    module = module_of(store, denoiser)
    module.step = 2
    fit(module, Every(12, lambda network, seen, weights: looks.append(seen), StepClock()))
    assert all(a <= b for a, b in pairwise(looks))
    assert sorted(set(looks)) == [24]
