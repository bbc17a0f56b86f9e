"""How the weights of one training are spread over processes: Lightning's strategies, and DeepSpeed on a CPU as well.

Under every strategy the optimiser updates float32 weights. `single` and `ddp` compute in bf16 by autocast, `fsdp2` by
FSDP's own policy, and DeepSpeed keeps a bf16 copy of the weights to compute with.
Source: Rajbhandari et al. 2020, arXiv:1910.02054 (ZeRO); Zhao et al. 2023, arXiv:2304.11277 (FSDP).
"""

import argparse
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.plugins import DeepSpeedPrecision, Precision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy, ParallelStrategy
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from components.models.denoiser import Denoiser
from components.training.config import Execution

Numbers = Literal["32-true", "bf16-mixed"]
BUCKET_ELEMENTS = 200_000_000
"""Elements that DeepSpeed reduces or gathers at a time: its own default costs memory that small GPUs lack."""


class ZeroStrategy(DeepSpeedStrategy):
    """DeepSpeed under Lightning, on a CPU too, where the parent refuses; on any other device the parent does it all.

    Three private methods of Lightning are overridden: a test fails when a new version changes them.
    """

    def setup_environment(self) -> None:
        """Set up device and process group without asking for CUDA."""
        if isinstance(self.accelerator, CUDAAccelerator):
            super().setup_environment()
        else:
            ParallelStrategy.setup_environment(self)
            self.setup_distributed()

    def setup_distributed(self) -> None:
        """Join the processes by gloo where there is no GPU."""
        if isinstance(self.accelerator, CUDAAccelerator):
            super().setup_distributed()
        else:
            reset_seed()
            self.set_world_ranks()
            self._init_deepspeed_distributed()

    def _setup_model_and_optimizer(self, model: Any, optimizer: Any, lr_scheduler: Any = None) -> Any:
        """The engine; a CPU has no index that could serve as rank."""
        if isinstance(self.accelerator, CUDAAccelerator):
            return super()._setup_model_and_optimizer(model, optimizer, lr_scheduler)
        import deepspeed

        initialize: Any = deepspeed.initialize  # annotated with one type where it takes several
        engine, wrapped, _, _ = initialize(
            args=argparse.Namespace(device_rank=self.local_rank),
            config=self.config,
            model=model,
            model_parameters=[weight for weight in model.parameters() if weight.requires_grad],
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        return engine, wrapped


class UntouchedInputs(DeepSpeedPrecision):
    """DeepSpeed's precision, but batches stay as they are: times in bf16 would be multiples of 1/256 near 1."""

    def convert_input(self, data: Any) -> Any:
        """The batch; the network converts what it computes with."""
        return data


@dataclass(frozen=True)
class Spread:
    """What Lightning's Trainer is told, and what the network computes in (None: autocast decides)."""

    arguments: dict[str, Any]
    compute_dtype: torch.dtype | None


def spread(
    execution: Execution, precision: Numbers, batch_size: int, gradient_clip: float, *, takes_turns: bool = False
) -> Spread:
    """The Trainer's arguments for one training, in which networks may take turns: then some weights get no gradient.

    ValueError if processes and micro-batches do not divide the batch.
    """
    accumulate = execution.accumulate(batch_size)
    shared = {
        "accelerator": execution.accelerator,
        "devices": execution.devices,
        "num_nodes": execution.num_nodes,
        "accumulate_grad_batches": accumulate,
    }
    half = torch.bfloat16 if precision == "bf16-mixed" else None
    match execution.strategy:
        case "single":
            return Spread(shared | {"precision": precision}, None)
        case "ddp":
            # The gradients are views of the buckets: one copy less.
            strategy = DDPStrategy(
                gradient_as_bucket_view=True,
                find_unused_parameters=takes_turns,
                process_group_backend=backend(execution),
            )
            return Spread(shared | {"precision": precision, "strategy": strategy}, None)
        case "fsdp2":
            strategy = ModelParallelStrategy(
                data_parallel_size=execution.world_size,
                tensor_parallel_size=1,
                process_group_backend=backend(execution),
            )
            return Spread(shared | {"plugins": Precision(), "strategy": strategy}, half)
        case "zero1" | "zero2" | "zero3":
            micro = batch_size // execution.world_size // accumulate
            config = zero_config(execution, precision, micro, gradient_clip)
            strategy = ZeroStrategy(config=config, process_group_backend=backend(execution))
            return Spread(shared | {"plugins": UntouchedInputs(precision), "strategy": strategy}, half)


def backend(execution: Execution) -> str:
    """How the processes talk."""
    return "nccl" if execution.accelerator == "cuda" else "gloo"


def zero_config(execution: Execution, precision: Numbers, micro_batch: int, gradient_clip: float) -> dict[str, Any]:
    """DeepSpeed's configuration; bf16 or float32, never float16."""
    optimisation: dict[str, Any] = {
        "stage": int(execution.strategy[-1]),
        "overlap_comm": execution.accelerator == "cuda",
        "contiguous_gradients": True,
        "reduce_bucket_size": BUCKET_ELEMENTS,
    }
    if execution.strategy == "zero3":
        optimisation["stage3_gather_16bit_weights_on_model_save"] = False
    else:
        optimisation["allgather_bucket_size"] = BUCKET_ELEMENTS
    on_host = {"device": "cpu", "pin_memory": execution.accelerator == "cuda"}
    if execution.offload != "none":
        optimisation["offload_optimizer"] = on_host
    if execution.offload == "optimizer+parameters":
        optimisation["offload_param"] = on_host
    half: dict[str, Any] = {"bf16": {"enabled": True, "check_grad_overflow": True}} if precision == "bf16-mixed" else {}
    return half | {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_clipping": gradient_clip,
        "zero_optimization": optimisation,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }


def shard(denoiser: Denoiser, mesh: Any, precision: Numbers) -> None:
    """Shard the network in place by FSDP2: every block of its own, and the rest together."""
    half = precision == "bf16-mixed"
    # Times stay in float32: the network casts its own inputs.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if half else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in denoiser.transformer.layers:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(denoiser, mesh=mesh, mp_policy=policy)
