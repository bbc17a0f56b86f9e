"""The training loop on a tiny network: golden losses, overfitting, continuing, refusing."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2

from components.data.buckets import Bucket
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig, DiTConfig
from components.objectives.flow_matching import flow_matching_terms
from components.paths.config import TimestepDensity
from components.training import pretrain as training
from components.training.batches import BatchSource
from components.training.config import BatchConfig, GridConfig, HeldOutConfig, OptimiserConfig, PretrainConfig
from components.training.module import NonFiniteLossError

GOLDEN = Path(__file__).parents[2] / "golden" / "pretrain_cpu_float32.json"
TINY = DiTConfig(24, 2, 2, 48, (4, 4, 4), 256)
TINY_AUTOENCODER = AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)


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


def config(num_images: int = 60, learning_rate: float = 3e-3, **changes) -> PretrainConfig:
    settings = {
        "num_images": num_images,
        "batch": BatchConfig(6, {"short": 3.0, "tags": 1.0}, 0.1),
        "optimiser": OptimiserConfig(learning_rate, (0.9, 0.99), 0.01, 1.0, 2, 0.3),
        "timesteps": TimestepDensity("logit_normal", 0.0, 1.0, 2.0),
        "ema_decay": 0.9,
        "precision": "32-true",
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


def run(store, denoiser, autoencoder, settings) -> tuple[training.Pretrained, Notes, list[int]]:
    notes, saved = Notes(), []
    trained = training.pretrain(
        store, denoiser, autoencoder, settings, notes, lambda grid_u8, seen: saved.append(seen), "cpu"
    )
    return trained, notes, saved


def test_ten_steps_give_the_golden_losses(store, denoiser, autoencoder, monkeypatch):
    monkeypatch.setattr("components.training.callbacks.LOG_EVERY_STEPS", 1)
    _, notes, _ = run(store, denoiser, autoencoder, config())
    golden = json.loads(GOLDEN.read_text())
    for name, values in golden.items():
        assert notes.of(name) == pytest.approx(values, rel=1e-4), name


def test_what_is_reported_and_when(store, denoiser, autoencoder):
    trained, notes, saved = run(store, denoiser, autoencoder, config())
    assert trained.images_seen == 60
    assert [step for step, metrics in notes.metrics if "held_out/train" in metrics] == [0, 30, 60]
    assert saved == [step for _, step in notes.images] == [0, 60]
    assert notes.done == [60]
    assert set(trained.held_out) == {"train", "heldout_cell", "heldout_concept"}
    assert trained.held_out["train"] == notes.of("held_out/train")[-1]


def test_the_same_settings_give_the_same_weights(store, denoiser, autoencoder):
    one, _, _ = run(store, deepcopy(denoiser), autoencoder, config())
    two, _, _ = run(store, deepcopy(denoiser), autoencoder, config())
    for a, b in zip(one.averaged.parameters(), two.averaged.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_average_differs_from_the_raw_weights(store, denoiser, autoencoder):
    trained, _, _ = run(store, denoiser, autoencoder, config())
    pairs = zip(trained.raw.parameters(), trained.averaged.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) > 1e-4


def test_it_overfits_eight_images(store, denoiser, autoencoder):
    batch = BatchConfig(16, {"short": 1.0}, 0.0)
    every = HeldOutConfig(every_images=10**6, rows_per_split=8, seed=0)
    settings = config(num_images=16 * 150, learning_rate=1e-2, batch=batch, held_out=every)
    trained, notes, _ = run(store, denoiser, autoencoder, settings)
    before, after = notes.of("held_out/train")[0], trained.held_out["train"]
    assert after < 0.35 * before
    # It learned these images, not images: the others got no better than the mean could be.
    assert trained.held_out["heldout_concept"] > 2 * after


def test_a_loss_that_is_not_finite_stops_before_the_update(store, denoiser, autoencoder):
    before = {name: value.clone() for name, value in denoiser.state_dict().items()}
    store.latents[:] = np.inf
    with pytest.raises(NonFiniteLossError, match="after 0 images"):
        run(store, denoiser, autoencoder, config())
    for name, value in denoiser.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_later_phase_starts_from_the_average(store, denoiser, autoencoder, tmp_path):
    trained, _, _ = run(store, denoiser, autoencoder, config())
    training.save_pretrained(tmp_path, trained, {"px": 32})
    started = training.start_network(TINY, 8, 10, tmp_path, seed=5)
    for a, b in zip(started.parameters(), trained.averaged.parameters(), strict=True):
        assert torch.equal(a, b)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["px"] == 32
    assert record["images_seen"] == 60
    files = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {"training.json"} | {
        f"{kind}/{name}"
        for kind in ("raw", "transformer")
        for name in ("config.json", "diffusion_pytorch_model.safetensors")
    }


def test_a_later_phase_of_another_shape_is_refused(store, denoiser, autoencoder, tmp_path):
    trained, _, _ = run(store, denoiser, autoencoder, config())
    training.save_pretrained(tmp_path, trained, {})
    deeper = DiTConfig(24, 3, 2, 48, (4, 4, 4), 256)
    with pytest.raises(ValueError, match="its num_layers differ"):
        training.start_network(deeper, 8, 10, tmp_path, seed=0)


def test_the_objective_uses_the_batch_s_own_random_numbers(store, denoiser):
    density = TimestepDensity("logit_normal", 0.0, 1.0, 2.0)
    source = BatchSource({Bucket(32, 32): store}, BatchConfig(6, {"short": 1.0}, 0.1), seed=0)
    loss = training.objective(denoiser, source.at(18, 6), density)["flow_matching"]
    again = source.at(18, 6)
    by_hand = flow_matching_terms(denoiser, again.condition, again.x_0, density, again.generators)["flow_matching"]
    assert torch.equal(loss, by_hand)
