"""Preference training of a tiny network on planted preferences: what it learns, and that a kill changes nothing."""

import threading
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from kept_report import KeptReport
from tiny_losses import ANCHORED
from tiny_pairs import pair_store, pair_table
from tiny_training import TINY, tiny_denoiser

from components.data.buckets import Bucket
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig, LoraShape
from components.objectives.config import AutoBeta
from components.paths.config import TimestepDensity
from components.training import preference_training
from components.training.checkpoint_store import CheckpointStore
from components.training.config import Execution, GridConfig, OptimiserConfig, PreferenceConfig, WatchConfig
from components.training.fit import Surroundings
from components.training.preference_training import Reference, train_on_preferences
from components.training.pretrain import start_network
from components.training.watch import KEPT, LOOKS

CONFIG = PreferenceConfig(
    num_pairs=80,
    batch_size=4,
    caption_dropout_frac=0.1,
    in_order=False,
    loss=ANCHORED,
    reference="copy",
    optimiser=OptimiserConfig(2e-3, (0.9, 0.95), 0.0, 1.0, 2, 0.0, "linear"),
    timesteps=TimestepDensity("logit_normal", 0.0, 1.0, 1.0),
    ema_decay=0.8,
    precision="32-true",
    lora=None,
    watch=WatchConfig(every_images=20, visits=4, max_error_rise=10.0, max_quality_fall=0.05, patience=0, seed=0),
    grid=GridConfig(1000, ("text",), 2, 1.0, 1.0, 0),
    seed=0,
)


@pytest.fixture
def autoencoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval()


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """Grids need the real text encoder, whose token states are wider than this network's; they are tested elsewhere."""
    monkeypatch.setattr(preference_training, "report_grid", lambda *_: lambda *_: None)
    monkeypatch.setattr(preference_training, "grid_drawer", lambda *_: None)


def run(autoencoder, folder, config=CONFIG, *, denoiser=None, quality=lambda _: {}, guardrails=(), store=None, every=2):
    notes = KeptReport()
    trained = train_on_preferences(
        {Bucket(32, 32): pair_store()},
        pair_table(),
        denoiser or tiny_denoiser(),
        autoencoder,
        config,
        Execution("cpu", checkpoint_every_steps=every),
        Surroundings(notes, folder / "incidents", store),
        quality,
        guardrails,
        lambda *_: None,
    )
    return trained, notes


def test_it_starts_at_the_reference_and_learns_the_planted_preference(autoencoder, tmp_path):
    trained, notes = run(autoencoder, tmp_path)
    looks = trained.facts["looks"]
    assert [look["images_seen"] for look in looks] == [0, 20, 40, 60, 80]
    assert (looks[0]["accuracy"], looks[0]["win_ratio"], looks[0]["lose_ratio"], looks[0]["margin"]) == (0.5, 1, 1, 0)
    assert looks[-1]["accuracy"] > 0.8
    assert looks[-1]["win_ratio"] < 1
    assert trained.held_out == {name: value for name, value in looks[-1].items() if isinstance(value, float)}
    first = next(metrics for _, metrics in notes.metrics if "train/dpo" in metrics)
    assert trained.final_loss == looks[-1]["train_loss"]
    assert {"train/win_error_ratio", "train/gradient_factor", "train/gradient_cosine", "train/drift"} <= set(first)


@pytest.mark.parametrize("kills", [(4,), (3, 6, 9)])
def test_killed_and_continued_it_is_bit_equal_to_one_that_was_not(autoencoder, tmp_path, monkeypatch, kills):
    config = replace(CONFIG, loss=replace(ANCHORED, auto_beta=AutoBeta(0.3, 0.9, 1e-3, 1.0)))
    whole, _ = run(autoencoder, tmp_path, config, store=CheckpointStore(tmp_path / "whole", {"run": 1}))
    outcome, calls = preference_training.preference_outcome, []

    class Killed(BaseException):
        """What no part of the training catches."""

    def killing(*args):
        calls.append(1)
        if len(calls) in kills:
            raise Killed
        return outcome(*args)

    monkeypatch.setattr(preference_training, "preference_outcome", killing)
    for _ in kills:
        with pytest.raises(Killed):
            run(autoencoder, tmp_path, config, store=CheckpointStore(tmp_path / "kept", {"run": 1}))
        for thread in [one for one in threading.enumerate() if one.name == "checkpoint-writer"]:
            thread.join()
    continued, _ = run(autoencoder, tmp_path, config, store=CheckpointStore(tmp_path / "kept", {"run": 1}))
    for name, value in whole.averaged.items():
        assert torch.equal(continued.averaged[name], value), name
        assert torch.equal(continued.raw[name], whole.raw[name]), name
    assert continued.facts == whole.facts
    for name in (LOOKS, KEPT):
        assert (tmp_path / "kept" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_both_errors_rising_end_it_with_a_plain_message_and_the_last_good_weights(autoencoder, tmp_path):
    naive = replace(ANCHORED, win_anchor=0.0, lose_anchor=0.0, beta=1.0)
    wild = replace(
        CONFIG,
        num_pairs=400,
        loss=naive,
        optimiser=replace(CONFIG.optimiser, learning_rate=0.3, gradient_clip=1e9),
        watch=replace(CONFIG.watch, max_error_rise=0.05),
    )
    store = CheckpointStore(tmp_path / "kept", {"run": 1})
    start = {name: value.clone() for name, value in tiny_denoiser().state_dict().items()}
    trained, _ = run(autoencoder, tmp_path, wild, store=store, every=1)
    looks = trained.facts["looks"]
    assert trained.facts["ended_early"].startswith("both errors rise: on held-out pairs")
    assert len(looks) < 21
    assert looks[-1]["lose_ratio"] > 1.05
    assert trained.images_seen == looks[-2]["images_seen"]
    if trained.images_seen == 0:
        assert all(torch.equal(trained.averaged[name], value) for name, value in start.items())
    # Run again, it knows that it had ended: nothing more is trained.
    again, notes = run(autoencoder, tmp_path, wild, store=store, every=1)
    assert again.facts == trained.facts
    assert not any("train/dpo" in metrics for _, metrics in notes.metrics)


def test_a_quality_that_falls_ends_it(autoencoder, tmp_path):
    values = iter([1.0, 0.97, 0.94, 0.9])
    trained, _ = run(autoencoder, tmp_path, quality=lambda _: {"alignment": next(values)}, guardrails=("alignment",))
    assert trained.facts["ended_early"] == "alignment is 6.0 % worse than at the start (1, now 0.94)"
    assert trained.images_seen == 20
    assert trained.held_out["alignment"] == 0.97


def test_adapters_switched_off_are_the_same_reference_as_a_copy(autoencoder, tmp_path):
    lora = LoraShape(rank=2, alpha=4, layers=("to_q", "to_v"))
    config = replace(CONFIG, num_pairs=24, lora=lora)
    network = start_network(TINY, 8, 10, None, lora, seed=0)
    with torch.no_grad():  # a new network draws nothing at all, so that adapters inside it would get no gradient
        for name, weight in network.named_parameters():
            if "lora_" not in name:
                weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))))
    copied, _ = run(autoencoder, tmp_path, config, denoiser=deepcopy(network))
    switched, _ = run(autoencoder, tmp_path, replace(config, reference="adapters_off"), denoiser=network)
    assert copied.held_out["margin"] != 0
    for name, value in copied.averaged.items():
        torch.testing.assert_close(switched.averaged[name], value, rtol=0, atol=1e-7)


def test_a_reference_does_not_move_with_the_network():
    denoiser = tiny_denoiser()
    reference = Reference(denoiser)
    batch = {"x_t": torch.randn(2, 8, 2, 2, generator=torch.Generator().manual_seed(0)), "t": torch.full((2,), 0.5)}
    condition = preference_training.TextCondition(torch.zeros(2, 1, 10), torch.ones(2, dtype=torch.long))
    before = reference(**batch, condition=condition)
    assert torch.equal(before, denoiser(**batch, condition=condition))
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.add_(0.1)
    assert torch.equal(reference(**batch, condition=condition), before)
    assert not torch.equal(denoiser(**batch, condition=condition), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "adapters_off"}, "reference adapters_off needs a lora"),
        ({"num_pairs": 3}, "num_pairs must be at least one batch"),
        ({"caption_dropout_frac": 1.5}, r"caption_dropout_frac in \[0, 1\]"),
    ],
)
def test_settings_at_fault_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)
