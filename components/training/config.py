"""Settings of the training loops, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass
from typing import Literal

from components.models.config import LoraShape
from components.objectives.config import PreferenceLoss, ReconstructionWeights
from components.paths.config import TimestepDensity


@dataclass(frozen=True)
class ResolutionShare:
    """How often a training step uses images of `side_px`, and how many at a time; shares are relative."""

    side_px: int
    batch_size: int
    share: float


@dataclass(frozen=True)
class AutoencoderTraining:
    """How the autoencoder is trained. The learning rate rises for `warmup_steps`, then falls to 0 on half a cosine.

    `latent_noise` is the largest standard deviation of the extra noise the decoder learns to overlook.
    """

    steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float
    latent_noise: float
    resolutions: tuple[ResolutionShare, ...]
    weights: ReconstructionWeights
    seed: int

    def __post_init__(self) -> None:
        if not self.resolutions or any(r.side_px % 16 or r.share <= 0 for r in self.resolutions):
            raise ValueError(f"resolutions need positive shares and sides in multiples of 16, got {self.resolutions}")


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with a linear warm-up, a constant rate, and a decay to 0 over the last `decay_frac` of the steps.

    The decay is a line or half a cosine; with `decay_frac` 1 it begins with the first step. `weight_decay` acts on
    matrices only.
    """

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    gradient_clip: float
    warmup_steps: int
    decay_frac: float
    decay: Literal["linear", "cosine"]

    def __post_init__(self) -> None:
        if not 0 <= self.decay_frac <= 1:
            raise ValueError(f"decay_frac must be in [0, 1], got {self.decay_frac}")


@dataclass(frozen=True)
class BatchConfig:
    """How a batch is drawn: its size, the relative weights of the kinds of caption, and the share without caption."""

    batch_size: int
    caption_weights: dict[str, float]
    caption_dropout_frac: float

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not 0 <= self.caption_dropout_frac <= 1:
            raise ValueError(
                f"batch_size must be at least 1 and caption_dropout_frac in [0, 1], got {self.batch_size} and "
                f"{self.caption_dropout_frac}"
            )
        if not self.caption_weights or min(self.caption_weights.values()) <= 0:
            raise ValueError(f"caption_weights must be positive, got {self.caption_weights}")


@dataclass(frozen=True)
class PriorConfig:
    """How much of a fine-tuning goes on with what the network was pre-trained on: share of steps, kinds of caption."""

    frac: float
    caption_weights: dict[str, float]

    def __post_init__(self) -> None:
        if not 0 <= self.frac < 1:
            raise ValueError(f"prior.frac is a share of the steps, in [0, 1), got {self.frac}")
        if not self.caption_weights or min(self.caption_weights.values()) <= 0:
            raise ValueError(f"prior.caption_weights must be positive, got {self.caption_weights}")


@dataclass(frozen=True)
class HeldOutConfig:
    """When and on how many rows of each split the loss is measured; times and noise are fixed by `seed`."""

    every_images: int
    rows_per_split: int
    seed: int


@dataclass(frozen=True)
class GridConfig:
    """When and how sample grids are drawn; the noise of each prompt is fixed by `seed`."""

    every_images: int
    prompts: tuple[str, ...]
    num_sampling_steps: int
    guidance_scale: float
    shift: float
    seed: int


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the result of one phase of flow matching but its data and its start."""

    num_images: int
    batch: BatchConfig
    optimiser: OptimiserConfig
    timesteps: TimestepDensity
    ema_decay: float
    precision: Literal["32-true", "bf16-mixed"]
    lora: LoraShape | None
    held_out: HeldOutConfig
    grid: GridConfig
    seed: int

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_images must be at least one batch of {self.batch.batch_size}, got {self.num_images}")

    @property
    def num_steps(self) -> int:
        """Updates of the run: whole batches only."""
        return self.num_images // self.batch.batch_size


@dataclass(frozen=True)
class WatchConfig:
    """When preference training is looked at on held-out pairs, and what ends it early.

    Args:
        every_images: pairs between two looks.
        visits: noise levels at which each held-out pair is measured.
        max_error_rise: by how much the winner's error may exceed the reference's, as a share.
        max_quality_fall: by how much a judged quality of pictures may get worse than at the start, as a share.
        patience: looks without a better held-out accuracy after which training ends; 0 never.
        seed: of the noise.
    """

    every_images: int
    visits: int
    max_error_rise: float
    max_quality_fall: float
    patience: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.every_images, self.visits) < 1 or self.patience < 0:
            raise ValueError(f"every_images and visits must be at least 1 and patience at least 0, got {self}")
        if min(self.max_error_rise, self.max_quality_fall) < 0:
            raise ValueError(f"max_error_rise and max_quality_fall must not be negative, got {self}")


@dataclass(frozen=True)
class PreferenceConfig:
    """Everything that decides the result of a preference training but its pairs and its start. Pairs count as images.

    `reference` is a frozen copy of the start, or (with `lora` only) the network with its adapters switched off, which
    costs no memory. `in_order`: the first round follows the table of pairs, as `preferences` ordered it.
    """

    num_pairs: int
    batch_size: int
    caption_dropout_frac: float
    in_order: bool
    loss: PreferenceLoss
    reference: Literal["copy", "adapters_off"]
    optimiser: OptimiserConfig
    timesteps: TimestepDensity
    ema_decay: float
    precision: Literal["32-true", "bf16-mixed"]
    lora: LoraShape | None
    watch: WatchConfig
    grid: GridConfig
    seed: int

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_steps < 1 or not 0 <= self.caption_dropout_frac <= 1:
            raise ValueError(
                f"num_pairs must be at least one batch and caption_dropout_frac in [0, 1], got {self.num_pairs}, "
                f"{self.batch_size} and {self.caption_dropout_frac}"
            )
        if self.reference == "adapters_off" and self.lora is None:
            raise ValueError("reference adapters_off needs a lora; choose copy, or give a lora")

    @property
    def num_steps(self) -> int:
        """Updates of the run: whole batches only."""
        return self.num_pairs // self.batch_size


@dataclass(frozen=True)
class Execution:
    """Where and how a training stage runs; nothing here changes a result beyond rounding.

    Args:
        accelerator: Lightning's name of the hardware.
        devices: processes on each node.
        num_nodes: nodes.
        strategy: how weights, gradients and optimiser state are spread over the processes; `single` is one process.
        offload: what DeepSpeed keeps in the host's memory.
        micro_batch: images of one process per forward pass; None is its whole share of the batch.
        activation_checkpointing: compute each block again in the backward pass instead of keeping its activations.
        compile: compile each block.
        checkpoint_every_steps: updates between two checkpoints.
        peak_tflops: of one device at the training's precision, for the model FLOPs utilisation; None leaves it out.
        device_memory_gib: of one device, for the planner; None: it does not judge whether a training fits.
        host_memory_gib: of one node, likewise.
        network_gb_per_s: what one device sends to the others, for the planner; None: it does not slow them down.
    """

    accelerator: Literal["cpu", "cuda"]
    devices: int = 1
    num_nodes: int = 1
    strategy: Literal["single", "ddp", "zero1", "zero2", "zero3", "fsdp2"] = "single"
    offload: Literal["none", "optimizer", "optimizer+parameters"] = "none"
    micro_batch: int | None = None
    activation_checkpointing: bool = False
    compile: bool = False
    checkpoint_every_steps: int = 250
    peak_tflops: float | None = None
    device_memory_gib: float | None = None
    host_memory_gib: float | None = None
    network_gb_per_s: float | None = None

    def __post_init__(self) -> None:
        if min(self.devices, self.num_nodes, self.checkpoint_every_steps) < 1 or (
            self.micro_batch is not None and self.micro_batch < 1
        ):
            raise ValueError(f"devices, num_nodes, micro_batch and checkpoint_every_steps must be at least 1: {self}")
        given = (self.peak_tflops, self.device_memory_gib, self.host_memory_gib, self.network_gb_per_s)
        if any(size is not None and size <= 0 for size in given):
            raise ValueError(f"what a device, its host or the network can do must be positive, got {given}")
        if self.strategy == "single" and self.world_size > 1:
            raise ValueError(f"strategy single is one process, got {self.world_size}; choose ddp, zero1 ... or fsdp2")
        if self.offload != "none" and not self.strategy.startswith("zero"):
            raise ValueError(f"offload {self.offload} needs strategy zero1, zero2 or zero3, got {self.strategy}")
        if self.offload == "optimizer+parameters" and self.strategy != "zero3":
            raise ValueError(f"offload {self.offload} needs strategy zero3, got {self.strategy}")

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.devices * self.num_nodes

    def accumulate(self, batch_size: int) -> int:
        """Forward passes per update and process; ValueError if processes and micro-batch do not divide the batch."""
        micro = self.micro_batch or batch_size // self.world_size
        if not micro or batch_size % (micro * self.world_size):
            raise ValueError(
                f"a batch of {batch_size} does not divide into {self.world_size} processes"
                + (f" with micro-batches of {micro}" if self.micro_batch else "")
                + "; change batch_size, or micro_batch and devices of the profile"
            )
        return batch_size // (micro * self.world_size)
