"""What a training needs: published rules for memory, closed forms, and settings that fit or say why not."""

from dataclasses import replace

import pytest

from components.models.config import DiTConfig
from components.training.config import Execution
from components.training.plan import first_change, network_bytes, plan, recommend, usable_bytes
from components.training.plan_memory import GIB, Workload, device_memory

LARGE = Workload(
    DiTConfig(4096, 36, 32, 12288, (32, 48, 48), 256), 128, 3072, image_tokens=4096, text_tokens=256, batch_size=512,
    precision="bf16-mixed",
)  # fmt: skip
NODE = Execution("cuda", 8, strategy="zero2", micro_batch=1, peak_tflops=989, device_memory_gib=79)
CLUSTER = replace(NODE, num_nodes=8)


def planned(work, execution, num_images=512_000, utilisation=0.35):
    return plan(work, execution, num_images=num_images, utilisation=utilisation)


@pytest.mark.parametrize(
    ("strategy", "of_all", "of_each"),
    # Bytes a parameter that every process holds, and those that are cut into as many parts as there are processes:
    # ZeRO's table (weights and gradients 2, optimiser 12), its float32 gradients at the update, and our average (4).
    [
        ("ddp", 4 + 4 + 8 + 4, 0),
        ("zero1", 2 + 2, 12 + 4 + 4),
        ("zero2", 2, 2 + 12 + 4 + 4),
        ("zero3", 0, 2 + 2 + 12 + 4 + 4),
        ("fsdp2", 0, 4 + 4 + 8 + 4),
    ],
)
def test_states_are_cut_as_published(strategy, of_all, of_each):
    memory = device_memory(LARGE, replace(CLUSTER, strategy=strategy), 1)
    states = memory.weights + memory.gradients + memory.optimiser + memory.average
    assert states == pytest.approx(LARGE.parameters * (of_all + of_each / 64))


def test_a_single_float32_training_takes_twenty_bytes_a_parameter():
    work = replace(LARGE, precision="32-true", image_tokens=0, text_tokens=0)
    memory = device_memory(work, Execution("cuda", micro_batch=1), 1)
    assert memory.total == pytest.approx(work.parameters * (4 + 4 + 8 + 4 + 4))  # and a copy kept while it is judged


def test_activations_grow_with_images_and_checkpointing_keeps_one_hidden_state_a_block():
    one, four = (device_memory(LARGE, CLUSTER, size).activations for size in (1, 4))
    assert 4 * one <= four <= 4.5 * one
    kept = device_memory(LARGE, replace(CLUSTER, activation_checkpointing=True), 1).activations
    assert kept == pytest.approx(2 * 36 * 4096 * LARGE.tokens, rel=0.25)
    # Between 20 and 36 hidden states of 2 bytes a block and token: Korthikanti et al. have 17 without the gated layer.
    assert 20 <= one / (2 * 36 * 4096 * LARGE.tokens) <= 60


def test_more_sharding_never_takes_more_of_the_states():
    totals = [device_memory(LARGE, replace(CLUSTER, strategy=s), 1).total for s in ("ddp", "zero1", "zero2", "zero3")]
    assert totals == sorted(totals, reverse=True)


def test_speed_is_arithmetic_over_peak():
    found = planned(LARGE, CLUSTER, num_images=1_000_000, utilisation=0.4)
    assert found.speed is not None
    per_image = found.executed_flops / (0.4 * 989e12)
    assert found.speed.images_per_s == pytest.approx(64 / per_image)
    assert found.speed.device_hours == pytest.approx(1e6 * per_image / 3600)
    assert found.speed.mfu == pytest.approx(0.4)


def test_recomputation_lowers_the_utilisation_that_counts():
    speed = planned(LARGE, replace(CLUSTER, activation_checkpointing=True)).speed
    assert speed is not None
    assert speed.mfu == pytest.approx(0.35 * 3 / 4, rel=0.01)


def test_a_slow_network_is_what_the_time_is_made_of():
    slow = planned(LARGE, replace(CLUSTER, strategy="zero3", network_gb_per_s=1.0)).speed
    assert slow is not None
    assert slow.seconds_per_update == pytest.approx(slow.network_bytes / 1e9)
    fast = planned(LARGE, replace(CLUSTER, strategy="zero3", network_gb_per_s=1e6)).speed
    assert fast is not None
    assert fast.mfu == pytest.approx(0.35)


def test_what_is_sent_is_as_published():
    # ZeRO 1 and 2 send 2 halves of each weight an update, ZeRO 3 half as much again.
    sent = {s: network_bytes(LARGE, replace(CLUSTER, strategy=s, micro_batch=8)) for s in ("zero1", "zero2", "zero3")}
    assert sent["zero1"] == sent["zero2"] == pytest.approx(63 / 64 * 4 * LARGE.parameters)
    assert sent["zero3"] == pytest.approx(1.5 * sent["zero2"])


def test_the_recommendation_fits_and_nothing_that_fits_is_faster():
    best = recommend(LARGE, CLUSTER, num_images=1000, utilisation=0.35)
    assert best is not None
    assert best.fits
    assert best.speed is not None
    assert best.memory.total <= 79 * GIB
    for strategy in ("ddp", "zero1", "zero2", "zero3", "fsdp2"):
        for micro_batch in (1, 2, 4, 8):
            other = planned(LARGE, replace(CLUSTER, strategy=strategy, micro_batch=micro_batch))
            assert other.speed is not None
            assert not other.fits or other.speed.images_per_s <= best.speed.images_per_s * (1 + 1e-9)


def test_what_does_not_fit_says_the_first_change_that_makes_it_fit():
    full = replace(CLUSTER, micro_batch=8)
    assert not planned(LARGE, full).fits
    change = first_change(LARGE, full)
    assert change == "activation_checkpointing: true"
    assert planned(LARGE, replace(full, activation_checkpointing=True)).fits


def test_one_gpu_is_told_to_offload_and_a_small_one_to_give_up():
    alone = replace(NODE, devices=1, strategy="single")
    assert "offload: optimizer" in first_change(LARGE, alone)
    best = recommend(LARGE, alone, num_images=1000, utilisation=0.35)
    assert best is not None
    assert best.execution.offload != "none"
    small = replace(alone, device_memory_gib=2.5)
    assert recommend(LARGE, small, num_images=1000, utilisation=0.35) is None
    assert "smaller model" in first_change(LARGE, small)


def test_a_host_too_small_for_its_processes_is_no_fit():
    assert planned(LARGE, replace(CLUSTER, activation_checkpointing=True, host_memory_gib=1000)).fits
    assert not planned(LARGE, replace(CLUSTER, activation_checkpointing=True, host_memory_gib=100)).fits


def test_offloading_moves_the_states_to_the_host_and_costs_time():
    near, far = (
        planned(LARGE, replace(NODE, strategy="zero3", offload=offload)) for offload in ("none", "optimizer+parameters")
    )
    assert far.memory.weights == far.memory.optimiser == far.memory.average == 0
    assert far.host_bytes - near.host_bytes == pytest.approx(22 * LARGE.parameters)
    assert near.speed is not None
    assert far.speed is not None
    assert far.speed.images_per_s < near.speed.images_per_s


def test_files_are_as_large_as_what_they_hold():
    found = planned(LARGE, CLUSTER).files
    assert found.checkpoint == 18 * LARGE.parameters
    assert found.latents_per_million == 1e6 * 2 * 128 * 4096
    assert found.texts_per_million == 1e6 * 2 * 3072 * 256


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="does not divide"):
        planned(replace(LARGE, batch_size=500), CLUSTER)
    assert recommend(replace(LARGE, batch_size=500), CLUSTER, num_images=1000, utilisation=0.35) is None


def test_without_memory_or_peak_nothing_is_judged():
    found = planned(LARGE, Execution("cpu", micro_batch=1))
    assert found.speed is None
    assert found.usable is None
    assert found.fits
    assert usable_bytes(Execution("cpu", devices=2, strategy="zero2", host_memory_gib=24)) == 8 * GIB
