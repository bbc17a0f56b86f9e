"""What a training will need, before it starts: memory, arithmetic, time, files, and the setting that suits best.

Pure functions of the workload and the execution; nothing is measured. Memory is in bytes, arithmetic in operations.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from components.models.cost import forward_flops
from components.training.config import Execution
from components.training.plan_memory import GIB, Memory, Workload, device_memory

RESERVED_BYTES = 2.0 * GIB
"""Of a GPU's memory: driver, communication, libraries' workspaces."""
FRAGMENTED_FRAC = 0.05
"""Of a GPU's memory: lost between the allocator's blocks."""
PROCESS_BYTES = 4.0 * GIB
"""Of the host's memory, for each process: libraries and batches prepared ahead."""
HOST_LINK_BYTES_PER_S = 25e9
"""Between a GPU and its host: PCIe 5 x16 at half its peak."""
HOST_MEMORY_BYTES_PER_S = 100e9
"""Of one node, for an optimiser on the host, which reads the gradient and reads and writes weight and moments."""
MAX_NODES = 512

Strategy = Literal["single", "ddp", "zero1", "zero2", "zero3", "fsdp2"]
Offload = Literal["none", "optimizer", "optimizer+parameters"]


@dataclass(frozen=True)
class Speed:
    """How fast a training goes if its devices reach `utilisation` of their peak on all that they compute.

    `mfu` counts only the model's own arithmetic: recomputation lowers it. `network_bytes` are sent by one process for
    one update, and `network_bytes_per_s` is what the network must carry to send them while it computes.
    """

    utilisation: float
    mfu: float
    images_per_s: float
    seconds_per_update: float
    hours: float
    device_hours: float
    network_bytes: float
    network_bytes_per_s: float


@dataclass(frozen=True)
class Files:
    """Bytes on disk: a checkpoint to resume from, what the stage leaves, and caches for a million images and texts."""

    checkpoint: float
    model: float
    latents_per_million: float
    texts_per_million: float


@dataclass(frozen=True)
class Plan:
    """One training under one execution. `usable` is None where the profile does not say what a device holds."""

    work: Workload
    execution: Execution
    micro_batch: int
    accumulate: int
    memory: Memory
    usable: float | None
    host_bytes: float
    model_flops: float
    executed_flops: float
    speed: Speed | None
    files: Files

    @property
    def fits(self) -> bool:
        """Whether devices and hosts hold it, as far as the profile says what they hold."""
        host = self.execution.host_memory_gib
        on_device = self.usable is None or self.memory.total <= self.usable
        return on_device and (host is None or self.host_bytes <= host * GIB)


def plan(work: Workload, execution: Execution, *, num_images: int, utilisation: float) -> Plan:
    """What training on `num_images` draws needs; ValueError if processes and micro-batches do not divide the batch."""
    accumulate = execution.accumulate(work.batch_size)
    micro_batch = work.batch_size // (execution.world_size * accumulate)
    forward = forward_flops(work.model, work.in_channels, work.text_in_dim, work.image_tokens, work.text_tokens)
    model_flops = work.passes * forward.total
    executed = model_flops + (forward.blocks if execution.activation_checkpointing else 0.0)
    speed = _speed(work, execution, num_images, utilisation, model_flops, executed) if execution.peak_tflops else None
    return Plan(
        work=work,
        execution=execution,
        micro_batch=micro_batch,
        accumulate=accumulate,
        memory=device_memory(work, execution, micro_batch),
        usable=usable_bytes(execution),
        host_bytes=host_bytes(work, execution),
        model_flops=model_flops,
        executed_flops=executed,
        speed=speed,
        files=files(work, execution),
    )


def usable_bytes(execution: Execution) -> float | None:
    """What a training may take of one device's memory; on a CPU the host's, shared by its processes."""
    if execution.accelerator == "cpu":
        shared = execution.host_memory_gib
        return None if shared is None else shared * GIB / execution.devices - PROCESS_BYTES
    size = execution.device_memory_gib
    return None if size is None else size * GIB * (1 - FRAGMENTED_FRAC) - RESERVED_BYTES


def host_bytes(work: Workload, execution: Execution) -> float:
    """Memory of one node: each process with a whole float32 copy of the weights while it loads or exports them.

    What is offloaded comes on top: float32 weights, moments, gradients and average, and the weights it computes with.
    """
    trained, held, parts = work.training, work.training + work.frozen, execution.world_size
    offloaded = 0.0
    if execution.offload != "none":
        offloaded = (12.0 + 4.0 + 4.0) * trained / parts
    if execution.offload == "optimizer+parameters":
        offloaded += (2.0 if work.precision == "bf16-mixed" else 4.0) * held / parts
    return execution.devices * (PROCESS_BYTES + 4.0 * held + offloaded)


def files(work: Workload, execution: Execution) -> Files:
    """Sizes on disk. Caches are float16; a text's states are as many as its tokens, without padding."""
    live = 2.0 if execution.strategy.startswith("zero") and work.precision == "bf16-mixed" else 0.0
    return Files(
        checkpoint=(4.0 + 8.0 + 4.0 + live) * work.training + (live or 4.0) * work.frozen,
        model=2 * 4.0 * work.parameters,
        latents_per_million=2e6 * work.in_channels * work.image_tokens,
        texts_per_million=2e6 * work.text_in_dim * work.text_tokens,
    )


def network_bytes(work: Workload, execution: Execution) -> float:
    """Bytes that one process sends for one update: weights gathered, gradients reduced.

    Source: Rajbhandari et al. 2020, arXiv:1910.02054, section 7.
    """
    trained, accumulate = float(work.training), execution.accumulate(work.batch_size)
    size = 4.0 if work.precision == "32-true" else 2.0
    gathered = _gathers(work) * work.parameters * size
    away = 1 - 1 / execution.world_size
    match execution.strategy:
        case "single":
            return 0.0
        case "ddp":
            return away * trained * 2 * 4.0
        case "zero1":
            return away * trained * 2 * size
        case "zero2":
            return away * trained * (accumulate * size + size)
        case "zero3":
            return away * accumulate * (gathered + trained * size)
        case "fsdp2":
            return away * accumulate * (gathered + trained * 4.0)


def _gathers(work: Workload) -> float:
    """How often a micro-batch needs a whole network: in each pass; gradients of whole weights come with another's."""
    return work.passes - (1 if work.training >= work.parameters else 0)


def _speed(
    work: Workload, execution: Execution, num_images: int, utilisation: float, model_flops: float, executed: float
) -> Speed:
    """The longer of computing and sending, which overlap, plus the way to the host and back where it is used."""
    peak = 1e12 * (execution.peak_tflops or 0.0)
    computing = work.batch_size * executed / (execution.world_size * utilisation * peak)
    sent = network_bytes(work, execution)
    sending = sent / (1e9 * execution.network_gb_per_s) if execution.network_gb_per_s else 0.0
    update = max(computing, sending) + _offload_seconds(work, execution)
    hours = num_images / work.batch_size * update / 3600
    return Speed(
        utilisation=utilisation,
        mfu=work.batch_size * model_flops / (execution.world_size * peak * update),
        images_per_s=work.batch_size / update,
        seconds_per_update=update,
        hours=hours,
        device_hours=hours * execution.world_size,
        network_bytes=sent,
        network_bytes_per_s=sent / computing,
    )


def _offload_seconds(work: Workload, execution: Execution) -> float:
    """One update's way to the host and back (gradients down, weights up, gathered weights too), and its optimiser."""
    if execution.offload == "none":
        return 0.0
    share = work.training / execution.world_size
    gathered = _gathers(work) * execution.accumulate(work.batch_size) if execution.offload != "optimizer" else 0
    link = 2.0 * (2 * share + gathered * work.parameters / execution.world_size) / HOST_LINK_BYTES_PER_S
    return link + 28.0 * share * execution.devices / HOST_MEMORY_BYTES_PER_S


def recommend(work: Workload, execution: Execution, *, num_images: int, utilisation: float) -> Plan | None:
    """The fastest setting that fits on the profile's devices; None if there is none.

    Among equally fast ones the one that sends least, then the largest micro-batch: it uses the device best.
    """
    plans = (
        plan(work, candidate, num_images=num_images, utilisation=utilisation)
        for candidate in _candidates(work, execution)
    )
    return min((found for found in plans if found.fits), key=_cost, default=None)


def _cost(found: Plan) -> tuple[float, float, int, float]:
    update = found.speed.seconds_per_update if found.speed else found.executed_flops
    return update, network_bytes(found.work, found.execution), -found.micro_batch, found.memory.total


def _candidates(work: Workload, execution: Execution) -> Iterator[Execution]:
    """Every strategy with every offload it knows, with and without checkpointing, at every micro-batch that divides."""
    world = execution.world_size
    if work.batch_size % world:
        return
    share = work.batch_size // world
    micro_batches = [size for size in range(1, share + 1) if share % size == 0]
    for strategy, offload in _strategies(world):
        if execution.accelerator == "cpu" and offload != "none":
            continue
        for is_checkpointing in (False, True):
            for micro_batch in micro_batches:
                yield replace(
                    execution,
                    strategy=strategy,
                    offload=offload,
                    micro_batch=micro_batch,
                    activation_checkpointing=is_checkpointing,
                )


def _strategies(world_size: int) -> Iterator[tuple[Strategy, Offload]]:
    """From the simplest to the most sparing."""
    if world_size == 1:
        yield "single", "none"
    else:
        yield "ddp", "none"
        yield "zero1", "none"
        yield "zero2", "none"
        yield "fsdp2", "none"
        yield "zero3", "none"
    yield "zero2", "optimizer"
    yield "zero3", "optimizer"
    yield "zero3", "optimizer+parameters"


def first_change(work: Workload, execution: Execution) -> str:
    """The smallest change of the profile that would make a training fit that does not, in words.

    Tried in this order: fewer images at a time, checkpointing, both, more sharding, offloading, more devices.
    """
    fewer = replace(execution, micro_batch=1)
    steps = [fewer, replace(execution, activation_checkpointing=True), replace(fewer, activation_checkpointing=True)]
    steps += [
        replace(fewer, activation_checkpointing=True, strategy=strategy, offload=offload)
        for strategy, offload in _strategies(execution.world_size)
        if not (execution.accelerator == "cpu" and offload != "none")
    ]
    nodes = execution.num_nodes
    while nodes < MAX_NODES:
        nodes *= 2
        wide = replace(fewer, num_nodes=nodes, activation_checkpointing=True, strategy="zero2", offload="none")
        steps += [wide, replace(wide, strategy="zero3")]
    for candidate in steps:
        if work.batch_size % candidate.world_size == 0 and _fits(work, candidate):
            return _difference(execution, candidate)
    return "no setting of this profile; devices with more memory, fewer tokens or a smaller model"


def _fits(work: Workload, execution: Execution) -> bool:
    return plan(work, execution, num_images=work.batch_size, utilisation=1.0).fits


def _difference(before: Execution, after: Execution) -> str:
    """The fields that differ, as they would stand in the profile."""
    names = ("num_nodes", "strategy", "offload", "activation_checkpointing", "micro_batch")
    told = {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}
    return ", ".join(f"{name}: {str(value).lower()}" for name, value in told.items())
