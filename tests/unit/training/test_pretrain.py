"""The training loop on a tiny network: golden losses, overfitting, continuing, refusing."""

import json
import threading
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2
from safetensors.torch import load_file

from components.data.buckets import Bucket
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig, DiTConfig, LoraShape
from components.objectives.flow_matching import flow_matching_terms
from components.paths.config import TimestepDensity
from components.training import pretrain as training
from components.training.batches import BatchSource
from components.training.checkpoint_store import CheckpointStore
from components.training.config import (
    BatchConfig,
    Execution,
    GridConfig,
    HeldOutConfig,
    OptimiserConfig,
    PretrainConfig,
    PriorConfig,
)
from components.training.consumed import CONSUMED, effective, read_consumed
from components.training.fit import Surroundings
from components.training.guards import NonFiniteError

GOLDEN = Path(__file__).parents[2] / "golden" / "pretrain_cpu_float32.json"
TINY = DiTConfig(24, 2, 2, 48, (4, 4, 4), 256)
TINY_AUTOENCODER = AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)
BUCKET = Bucket(32, 32)
EXECUTION = Execution("cpu")


class Notes:
    """A report that remembers."""

    def __init__(self) -> None:
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.images: list[tuple[str, int]] = []
        self.done: list[int] = []

    def log_metrics(self, metrics, step=0):
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key, image_u8, step=0):
        self.images.append((key, step))

    def progress(self, done, total, **fields):
        self.done.append(done)

    def of(self, name: str) -> list[float]:
        return [metrics[name] for _, metrics in self.metrics if name in metrics]


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def config(num_images: int = 60, learning_rate: float = 3e-3, **changes) -> PretrainConfig:
    settings = {
        "num_images": num_images,
        "batch": BatchConfig(6, {"short": 3.0, "tags": 1.0}, 0.1),
        "optimiser": OptimiserConfig(learning_rate, (0.9, 0.99), 0.01, 1.0, 2, 0.3, "linear"),
        "timesteps": TimestepDensity("logit_normal", 0.0, 1.0, 2.0),
        "ema_decay": 0.9,
        "precision": "32-true",
        "lora": None,
        "held_out": HeldOutConfig(every_images=30, rows_per_split=2, seed=0),
        "grid": GridConfig(
            every_images=60, prompts=("a cat", "a dog"), num_sampling_steps=2, guidance_scale=2.0, shift=1.5, seed=0
        ),
        "seed": 0,
    }
    return PretrainConfig(**(settings | changes))


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    return build_autoencoder(TINY_AUTOENCODER).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products are faster on one thread, and golden losses do not depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _no_text_encoder(monkeypatch, store):
    """The prompts of the grid are two texts of the store: the real encoder has its own tests."""

    class FromStore:
        @classmethod
        def load(cls):
            return cls()

        def __call__(self, texts):
            return [torch.from_numpy(store.texts.of(number)).float() for number, _ in enumerate(texts)]

    monkeypatch.setattr(training, "TextEncoder", FromStore)


@pytest.fixture(autouse=True)
def incidents(tmp_path) -> Path:
    return tmp_path / "incidents"


def run(
    store, denoiser, autoencoder, settings, incidents, execution=EXECUTION, checkpoints=None, prior=None
) -> tuple[training.Pretrained, Notes, list[int]]:
    """Pre-training, or fine-tuning on the same images under other names if there is a `prior`."""
    notes, saved = Notes(), []
    surroundings = Surroundings(notes, incidents, checkpoints)
    buckets, rest = {BUCKET: store}, (execution, surroundings, lambda grid_u8, seen: saved.append(seen))
    if prior is None:
        trained = training.pretrain(buckets, denoiser, autoencoder, settings, *rest)
    else:
        curated = {BUCKET: replace(store, manifest_hash="curated")}
        trained = training.fine_tune(curated, buckets, denoiser, autoencoder, settings, prior, *rest)
    return trained, notes, saved


def test_ten_steps_give_the_golden_losses(store, denoiser, autoencoder, monkeypatch, incidents):
    monkeypatch.setattr("components.training.callbacks.LOG_EVERY_STEPS", 1)
    _, notes, _ = run(store, denoiser, autoencoder, config(), incidents)
    golden = json.loads(GOLDEN.read_text())
    for name, values in golden.items():
        assert notes.of(name) == pytest.approx(values, rel=1e-4), name


def test_what_is_reported_and_when(store, denoiser, autoencoder, incidents):
    trained, notes, saved = run(store, denoiser, autoencoder, config(), incidents)
    assert trained.images_seen == 60
    assert [step for step, metrics in notes.metrics if "held_out/train" in metrics] == [0, 30, 60]
    assert saved == [0, 60]
    assert notes.images == [(name, step) for step in saved for name in ("samples", "samples_raw")]
    assert notes.done == [60]
    assert set(trained.held_out) == {"train", "heldout_cell", "heldout_concept"}
    assert trained.held_out["train"] == notes.of("held_out/train")[-1]


def test_the_same_settings_give_the_same_weights(store, denoiser, autoencoder, incidents):
    one, _, _ = run(store, deepcopy(denoiser), autoencoder, config(), incidents)
    two, _, _ = run(store, deepcopy(denoiser), autoencoder, config(), incidents)
    assert_equal(one.averaged, two.averaged)


def test_the_average_differs_from_the_raw_weights(store, denoiser, autoencoder, incidents):
    trained, _, _ = run(store, denoiser, autoencoder, config(), incidents)
    assert max(float((trained.raw[name] - trained.averaged[name]).abs().max()) for name in trained.raw) > 1e-4


def test_it_overfits_eight_images(store, denoiser, autoencoder, incidents):
    batch = BatchConfig(16, {"short": 1.0}, 0.0)
    every = HeldOutConfig(every_images=10**6, rows_per_split=8, seed=0)
    settings = config(num_images=16 * 150, learning_rate=1e-2, batch=batch, held_out=every)
    trained, notes, _ = run(store, denoiser, autoencoder, settings, incidents)
    before, after = notes.of("held_out/train")[0], trained.held_out["train"]
    assert after < 0.35 * before
    # It learned these images, not images: the others got no better than the mean could be.
    assert trained.held_out["heldout_concept"] > 2 * after


def test_a_loss_that_is_not_finite_stops_before_the_update(store, denoiser, autoencoder, incidents):
    before = {name: value.clone() for name, value in denoiser.state_dict().items()}
    store.latents[:] = np.inf
    with pytest.raises(NonFiniteError, match="after 0 images"):
        run(store, denoiser, autoencoder, config(), incidents)
    for name, value in denoiser.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_later_phase_starts_from_the_average(store, denoiser, autoencoder, tmp_path, incidents):
    trained, _, _ = run(store, denoiser, autoencoder, config(), incidents)
    model_dir = tmp_path / "model"
    training.save_pretrained(model_dir, trained, denoiser.transformer.config, None, {"px": 32})
    started = training.start_network(TINY, 8, 10, model_dir / training.AVERAGED, None, seed=5)
    assert_equal(started.state_dict(), trained.averaged)
    record = json.loads((model_dir / "training.json").read_text())
    assert record["px"] == 32
    assert record["images_seen"] == 60
    files = {file.relative_to(model_dir).as_posix() for file in model_dir.rglob("*") if file.is_file()}
    assert files == {"training.json"} | {
        f"{kind}/{name}"
        for kind in ("raw", "transformer")
        for name in ("config.json", "diffusion_pytorch_model.safetensors")
    }


def test_a_later_phase_of_another_shape_is_refused(store, denoiser, autoencoder, tmp_path, incidents):
    trained, _, _ = run(store, denoiser, autoencoder, config(), incidents)
    training.save_pretrained(tmp_path, trained, denoiser.transformer.config, None, {})
    deeper = DiTConfig(24, 3, 2, 48, (4, 4, 4), 256)
    with pytest.raises(ValueError, match="num_layers 2, not 3"):
        training.start_network(deeper, 8, 10, tmp_path / training.AVERAGED, None, seed=0)


def test_the_objective_uses_the_batch_s_own_random_numbers(store, denoiser):
    density = TimestepDensity("logit_normal", 0.0, 1.0, 2.0)
    source = BatchSource({Bucket(32, 32): store}, BatchConfig(6, {"short": 1.0}, 0.1), seed=0)
    loss = training.objective(denoiser, source.at(18, 6), density).terms["flow_matching"]
    again = source.at(18, 6)
    by_hand = flow_matching_terms(denoiser, again.condition, again.x_0, density, again.generators)["flow_matching"]
    assert torch.equal(loss, by_hand)


def shake(denoiser) -> None:
    """A new network's output is zero, and then no gradient reaches its inside."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in denoiser.named_parameters():
            if "lora_" not in name:
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))


def without_adapters(weights) -> dict[str, torch.Tensor]:
    return {name.replace(".base_layer", ""): w.clone() for name, w in weights.items() if "lora_" not in name}


class Killed(BaseException):
    """What no part of the training catches."""


@pytest.mark.parametrize(
    ("kills", "prior"), [((4,), None), ((3, 5, 8), None), ((3, 7), PriorConfig(0.4, {"tags": 1.0}))]
)
def test_killed_and_continued_it_is_bit_equal_to_one_that_was_not(
    store, denoiser, autoencoder, incidents, tmp_path, monkeypatch, kills, prior
):
    whole, _, _ = run(store, deepcopy(denoiser), autoencoder, config(), incidents, prior=prior)
    execution = Execution("cpu", checkpoint_every_steps=2)
    objective, calls = training.objective, []

    def killing(*args):
        calls.append(1)
        if len(calls) in kills:
            raise Killed
        return objective(*args)

    monkeypatch.setattr(training, "objective", killing)
    for _ in kills:
        with pytest.raises(Killed):
            run(
                store,
                deepcopy(denoiser),
                autoencoder,
                config(),
                incidents,
                execution,
                CheckpointStore(tmp_path / "kept", {"run": 1}),
                prior,
            )
        # A real kill takes the writer with it; here it must not write into what the next attempt finds.
        for thread in [one for one in threading.enumerate() if one.name == "checkpoint-writer"]:
            thread.join()
    checkpoints = CheckpointStore(tmp_path / "kept", {"run": 1})
    continued, notes, _ = run(store, denoiser, autoencoder, config(), incidents, execution, checkpoints, prior)
    assert_equal(continued.raw, whole.raw)
    assert_equal(continued.averaged, whole.averaged)
    assert continued.held_out == whole.held_out
    assert continued.held_out_before == whole.held_out_before != whole.held_out
    assert continued.consumed == whole.consumed
    assert continued.final_loss == whole.final_loss
    assert next(step for step, metrics in notes.metrics if "held_out/train" in metrics) > 0
    pieces = effective(read_consumed(tmp_path / "kept" / CONSUMED))
    assert [place for piece in pieces for place in range(piece.start, piece.stop)] == list(range(60))
    assert pieces[-1].attempt == len(kills) + 1


def test_four_micro_batches_are_one_batch(store, denoiser, autoencoder, incidents):
    batch = BatchConfig(8, {"short": 1.0}, 0.1)
    settings = config(num_images=40, batch=batch)
    one, _, _ = run(store, deepcopy(denoiser), autoencoder, settings, incidents)
    execution = Execution("cpu", micro_batch=2)
    four, _, _ = run(store, denoiser, autoencoder, settings, incidents, execution)
    for name, value in one.raw.items():
        torch.testing.assert_close(four.raw[name], value, rtol=1e-4, atol=2e-6)


def test_activations_that_are_computed_again_change_nothing(store, denoiser, autoencoder, incidents):
    one, _, _ = run(store, deepcopy(denoiser), autoencoder, config(), incidents)
    execution = Execution("cpu", activation_checkpointing=True)
    again, _, _ = run(store, denoiser, autoencoder, config(), incidents, execution)
    assert_equal(again.raw, one.raw)


def test_adapters_leave_the_base_alone_and_are_merged_when_saved(store, autoencoder, incidents, tmp_path):
    lora = LoraShape(rank=2, alpha=4, layers=("to_q", "to_v"))
    denoiser = training.start_network(TINY, 8, 10, None, lora, seed=0)
    shake(denoiser)
    base = without_adapters(denoiser.state_dict())
    trained, _, _ = run(store, denoiser, autoencoder, config(lora=lora), incidents)
    assert_equal(without_adapters(trained.averaged), base)
    training.save_pretrained(tmp_path, trained, denoiser.transformer.config, lora, {})
    merged = load_file(tmp_path / training.AVERAGED / "diffusion_pytorch_model.safetensors")
    name = "transformer.layers.1.self_attention.to_q"
    down, up = (trained.averaged[f"{name}.lora_{part}.default.weight"] for part in "AB")
    expected = base[f"{name}.weight"] + 4.0 / 2 * up @ down
    torch.testing.assert_close(merged["layers.1.self_attention.to_q.weight"], expected)
    assert float(up.abs().max()) > 0
    assert (tmp_path / training.LORA / "pytorch_lora_weights.safetensors").is_file()
