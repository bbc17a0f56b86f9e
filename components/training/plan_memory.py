"""Memory of one process of a training, in bytes, by part: what is there at the fullest moment of an update.

The optimiser updates float32 weights and keeps two float32 moments, 12 bytes for each; a float32 average adds 4. Where
the network computes in bf16 from its float32 weights by autocast (single, ddp) it makes bf16 copies of them, 2 bytes,
and gradients are float32. Under ZeRO and FSDP it computes with bf16 weights. ZeRO cuts the optimiser (1), gradients too
(2), weights too (3) into as many parts as there are processes; FSDP cuts all.
Activations are counted from what each operation of a block keeps for its backward pass; the tests compare with memory
measured on real updates.
Source: Rajbhandari et al. 2020, arXiv:1910.02054 (ZeRO); Korthikanti et al. 2022, arXiv:2205.05198 (activations).
"""

from dataclasses import dataclass, fields
from typing import Literal

from components.models.config import DiTConfig
from components.models.cost import parameter_count, parameters_by_part
from components.training.config import Execution

GIB = 2**30
BUCKET_ELEMENTS = 200_000_000
"""Elements that DeepSpeed reduces or gathers at a time, as `strategies` tells it."""
MAX_LIVE_ELEMENTS = 1_000_000_000
"""Whole weights that ZeRO-3 keeps gathered at a time: DeepSpeed's default."""
Numbers = Literal["float32", "autocast", "bf16"]


@dataclass(frozen=True)
class Workload:
    """What is trained: the network, the tokens of one image and of its text, the batch of one update, the precision.

    `trained` weights train, of one or several such networks or as adapters (None: one whole network), and `frozen` ones
    lie beside them. `passes` is the arithmetic of one image, in forward passes: 3 are one forward and backward.
    """

    model: DiTConfig
    in_channels: int
    text_in_dim: int
    image_tokens: int
    text_tokens: int
    batch_size: int
    precision: Literal["32-true", "bf16-mixed"]
    trained: int | None = None
    frozen: int = 0
    passes: float = 3.0

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        return parameter_count(self.model, self.in_channels, self.text_in_dim)

    @property
    def training(self) -> int:
        """Weights that train."""
        return self.parameters if self.trained is None else self.trained

    @property
    def tokens(self) -> int:
        """Tokens of one sample."""
        return self.image_tokens + self.text_tokens


@dataclass(frozen=True)
class Memory:
    """Bytes of one process on its device.

    `weights` are those that train and `frozen` the others; gradients, optimiser and average are of the former only.
    `temporary` is what the backward pass of one block, buffers and gathered weights need besides. The autoencoder and
    the text encoder are not among them: latents and texts are encoded before, and sample grids decoded by the host.
    """

    weights: float
    frozen: float
    gradients: float
    optimiser: float
    average: float
    activations: float
    temporary: float

    @property
    def total(self) -> float:
        """The fullest moment."""
        return sum(getattr(self, field.name) for field in fields(self))


def computing_in(execution: Execution, precision: Literal["32-true", "bf16-mixed"]) -> Numbers:
    """The numbers of the network's forward pass."""
    if precision == "32-true":
        return "float32"
    return "autocast" if execution.strategy in ("single", "ddp") else "bf16"


def device_memory(work: Workload, execution: Execution, micro_batch: int) -> Memory:
    """Memory of one process that computes `micro_batch` images at a time."""
    numbers, parameters = computing_in(execution, work.precision), work.training
    weights, gradients, optimiser = _states(execution, numbers, parameters)
    masters = 4.0 * parameters / (1 if execution.strategy in ("single", "ddp") else execution.world_size)
    average = 0.0 if execution.offload != "none" else masters
    kept, block = activations(work, numbers, micro_batch, activation_checkpointing=execution.activation_checkpointing)
    copies = 2.0 * max(parameters, work.parameters) if numbers == "autocast" else 0.0
    # Gradients of the update before are freed when the backward pass begins, unless they are still being added up.
    is_freed = execution.strategy in ("single", "fsdp2") and execution.accumulate(work.batch_size) == 1
    recomputed = 1.4 * block - (gradients if is_freed else 0.0) - copies
    backward = max(0.2 * block, recomputed if execution.activation_checkpointing else 0.0) + copies
    # Held-out losses are taken with the average in place of the weights, which are kept aside meanwhile.
    aside = 0.0 if execution.offload != "none" else masters + (weights if numbers == "bf16" else 0.0)
    return Memory(
        weights=weights,
        frozen=_frozen(execution, numbers, work.frozen),
        gradients=gradients,
        optimiser=optimiser,
        average=average,
        activations=kept,
        temporary=max(backward, aside - kept) + _buffers(work, execution),
    )


def _states(execution: Execution, numbers: Numbers, parameters: int) -> tuple[float, float, float]:
    """Weights, gradients and optimiser; under ZeRO the float32 weights count as the optimiser's."""
    size = 4.0 if numbers == "float32" else 2.0
    parts = execution.world_size
    match execution.strategy:
        case "single" | "ddp":
            return 4.0 * parameters, 4.0 * parameters, 8.0 * parameters
        case "fsdp2":
            return 4.0 * parameters / parts, 4.0 * parameters / parts, 8.0 * parameters / parts
        case "zero1" | "zero2" | "zero3":
            stage = int(execution.strategy[-1])
            weights = size * parameters / (parts if stage == 3 else 1)
            gradients = size * parameters / (parts if stage > 1 else 1)
            if execution.offload != "none":
                return (0.0 if execution.offload == "optimizer+parameters" else weights), gradients, 0.0
            return weights, gradients + 4.0 * parameters / parts, 12.0 * parameters / parts


def _frozen(execution: Execution, numbers: Numbers, parameters: int) -> float:
    """Weights that do not train: as those that do, but no one keeps them in float32 beside bf16."""
    if execution.strategy.startswith("zero"):
        return _states(execution, numbers, parameters)[0]
    return 4.0 * parameters / (execution.world_size if execution.strategy == "fsdp2" else 1)


def _buffers(work: Workload, execution: Execution) -> float:
    """What is gathered and reduced at a time, in bytes."""
    size = 4.0 if work.precision == "32-true" else 2.0
    parts = parameters_by_part(work.model, work.in_channels, work.text_in_dim)
    block, rest = parts["blocks"] // work.model.num_layers, sum(parts.values()) - parts["blocks"]
    match execution.strategy:
        case "single" | "ddp":
            return 0.0
        case "fsdp2":
            # Weights of this block, of the next and of all outside the blocks; gradients of a block, and in float32.
            return (2 * block + rest) * size + block * (size + 2 * 4.0)
        case "zero1" | "zero2":
            return 3 * size * BUCKET_ELEMENTS
        case "zero3":
            return size * (2 * BUCKET_ELEMENTS + min(work.training + work.frozen, MAX_LIVE_ELEMENTS))


def activations(
    work: Workload, numbers: Numbers, micro_batch: int, *, activation_checkpointing: bool
) -> tuple[float, float]:
    """Bytes kept from the forward pass for the backward pass, and those of one block alone.

    With checkpointing a block keeps its input only, and all blocks share the six modulations of every token.
    """
    h, heads = work.model.hidden_size, work.model.num_attention_heads
    tokens = micro_batch * work.tokens
    size = 4 if numbers == "float32" else 2
    # Widths kept as wide as the hidden state: 20 in float32. Norms and modulations stay in float32 under autocast and
    # are rounded under bf16. Queries, keys and values each copy their transposed input if there is more than one image.
    wide = {"float32": 80 if micro_batch == 1 else 88, "autocast": 82, "bf16": 76 if micro_batch == 1 else 80}[numbers]
    narrow = 4 * size * (h // heads) + 12 * heads + 8
    block = tokens * (wide * h + 4 * size * work.model.ffn_hidden_size + narrow)
    ends = tokens * h * {"float32": 21.6, "autocast": 12.9, "bf16": 6.8}[numbers]
    if not activation_checkpointing:
        return work.model.num_layers * block + ends, block
    stream = 2 if numbers == "bf16" else 4
    return tokens * h * (work.model.num_layers * stream + 4 * size) + ends, block
