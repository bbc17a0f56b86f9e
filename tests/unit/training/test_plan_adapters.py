"""Memory of a distillation, counted by hand: only what trains has gradients and an optimiser."""

from dataclasses import replace

import pytest

from components.models.config import DiTConfig, LoraShape
from components.training.config import Execution
from components.training.plan import files, network_bytes, plan
from components.training.plan_adapters import Distillation, distill_workload, layouts
from components.training.plan_memory import Workload, device_memory

LARGE = Workload(
    DiTConfig(4096, 36, 32, 12288, (32, 48, 48), 256), 128, 3072, image_tokens=4096, text_tokens=256, batch_size=512,
    precision="bf16-mixed",
)  # fmt: skip
WEIGHTS = 8_033_490_048
ATTENTION = LoraShape(rank=64, alpha=128, layers=("to_q", "to_k", "to_v", "to_out.0"))
ADAPTER = 36 * 4 * 64 * (4096 + 4096)  # blocks, matrices, rank, width inside and outside
SHARED = Distillation(
    ATTENTION, ATTENTION, (ATTENTION, ATTENTION), asked=4.0, cold_updates=0, substeps=2, student_updates=100,
    fake_updates=5, num_steps=8,
)  # fmt: skip
NODE = Execution("cuda", 8, strategy="zero2", micro_batch=1, peak_tflops=989, device_memory_gib=79)
CLUSTER = replace(NODE, num_nodes=8)


@pytest.mark.parametrize(
    ("student", "fake", "experts", "trained", "frozen"),
    [
        (ATTENTION, ATTENTION, (ATTENTION, ATTENTION), 2 * ADAPTER, WEIGHTS + 2 * ADAPTER),
        (ATTENTION, None, (ATTENTION,), ADAPTER + WEIGHTS, WEIGHTS + ADAPTER),
        (None, ATTENTION, (None,), WEIGHTS + ADAPTER, 2 * WEIGHTS),
        (None, None, (), 2 * WEIGHTS, WEIGHTS),
    ],
)
def test_weights_are_counted_once_and_only_adapters_train_where_there_are_some(student, fake, experts, trained, frozen):
    work = distill_workload(LARGE, replace(SHARED, student=student, fake=fake, experts=experts))
    assert (work.training, work.frozen) == (trained, frozen)
    assert work.parameters == WEIGHTS


@pytest.mark.parametrize(
    ("strategy", "of_trained", "cut_of_trained", "of_frozen", "cut_of_frozen"),
    # Bytes of a weight that every process holds, and those that are cut. Of what trains: as for a training of one
    # network. Of what is frozen: 2 in bf16, or 4 where the computation starts from float32.
    [
        ("ddp", 20, 0, 4, 0),
        ("zero1", 4, 20, 2, 0),
        ("zero2", 2, 22, 2, 0),
        ("zero3", 0, 24, 0, 2),
        ("fsdp2", 0, 20, 0, 4),
    ],
)
@pytest.mark.parametrize("execution", [NODE, CLUSTER])
def test_the_optimiser_holds_states_of_what_trains_only(
    execution, strategy, of_trained, cut_of_trained, of_frozen, cut_of_frozen
):
    parts = execution.world_size
    for work in layouts(LARGE, SHARED).values():
        memory = device_memory(work, replace(execution, strategy=strategy), 1)
        trained = memory.weights + memory.gradients + memory.optimiser + memory.average
        assert trained == pytest.approx(work.training * (of_trained + cut_of_trained / parts))
        assert memory.frozen == pytest.approx(work.frozen * (of_frozen + cut_of_frozen / parts))


def test_on_one_node_three_copies_need_what_one_backbone_spares():
    one, three = (
        device_memory(work, replace(NODE, activation_checkpointing=True), 1) for work in layouts(LARGE, SHARED).values()
    )
    assert one.optimiser == pytest.approx(12 * 2 * ADAPTER / 8)
    assert three.optimiser == pytest.approx(12 * 2 * WEIGHTS / 8)
    assert one.activations == three.activations  # one network at a time has a gradient
    # Two more networks in bf16, four adapters less; gradients, optimiser and average of two networks, not of adapters.
    spared = 2 * (2 * WEIGHTS - 4 * ADAPTER) + (2 + 4 + 12 + 4) * 2 * (WEIGHTS - ADAPTER) / 8
    held = [m.weights + m.frozen + m.gradients + m.optimiser + m.average for m in (one, three)]
    assert held[1] - held[0] == pytest.approx(spared)


def test_what_is_compared_says_how_many_networks_there_are():
    assert list(layouts(LARGE, SHARED)) == ["one backbone", "three copies"]
    assert list(layouts(LARGE, replace(SHARED, fake=None))) == ["two networks", "three copies"]
    assert list(layouts(LARGE, replace(SHARED, student=None, fake=None))) == ["three copies"]


def test_an_image_costs_its_share_of_all_kinds_of_updates():
    work = distill_workload(LARGE, SHARED)
    # Fake: 3.5 steps to the one learnt from, that one, forward and half a backward. Student: 3.5, its own 2, 4 and 1.
    turns = (5 * (3.5 + 1 + 2) + (3.5 + 2 + 4 + 1)) / 6
    assert work.passes == pytest.approx(turns)
    colder = distill_workload(LARGE, replace(SHARED, cold_updates=200))
    assert colder.passes == pytest.approx((200 * (3.5 + 2 + 2 * 4) + 600 * turns) / 800)
    assert distill_workload(LARGE, replace(SHARED, student=None, fake=None)).passes == pytest.approx(turns + 1)
    one, base = (plan(w, NODE, num_images=1000, utilisation=0.35) for w in (work, LARGE))
    assert one.model_flops / base.model_flops == pytest.approx(work.passes / 3)


def test_only_what_trains_is_reduced_and_saved():
    one, three = layouts(LARGE, SHARED).values()
    assert network_bytes(one, NODE) / network_bytes(three, NODE) == pytest.approx(ADAPTER / WEIGHTS)
    assert files(one, NODE).checkpoint == 18 * 2 * ADAPTER + 2 * (WEIGHTS + 2 * ADAPTER)
    assert files(one, NODE).model == files(three, NODE).model == 8 * WEIGHTS
