"""What Lightning and DeepSpeed are told for each way of spreading a training."""

import inspect

import pytest
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy

from components.training.config import Execution
from components.training.strategies import spread, zero_config


def config(strategy, precision="32-true", **changes):
    return zero_config(Execution("cpu", devices=2, strategy=strategy, **changes), precision, 4, 1.0)


@pytest.mark.parametrize(("strategy", "stage"), [("zero1", 1), ("zero2", 2), ("zero3", 3)])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_deepspeed_gets_its_stage_and_never_float16(strategy, stage, precision):
    told = config(strategy, precision)
    assert told["zero_optimization"]["stage"] == stage
    assert told["train_micro_batch_size_per_gpu"] == 4
    assert told["gradient_clipping"] == 1.0
    assert "fp16" not in told
    # In bf16 a step whose gradient is not finite must be seen, not silently left out.
    assert told.get("bf16") == ({"enabled": True, "check_grad_overflow": True} if precision == "bf16-mixed" else None)


@pytest.mark.parametrize(
    ("strategy", "offload", "moved"),
    [
        ("zero2", "none", set()),
        ("zero2", "optimizer", {"offload_optimizer"}),
        ("zero3", "optimizer+parameters", {"offload_optimizer", "offload_param"}),
    ],
)
def test_what_is_offloaded_is_said(strategy, offload, moved):
    told = config(strategy, offload=offload)["zero_optimization"]
    assert {key for key in told if key.startswith("offload")} == moved


def test_the_methods_that_are_overridden_are_lightning_s_own():
    """Private names: should a new version change one, our override would never be called."""
    assert list(inspect.signature(DeepSpeedStrategy._setup_model_and_optimizer).parameters) == [
        "self",
        "model",
        "optimizer",
        "lr_scheduler",
    ]
    called = inspect.getsource(DeepSpeedStrategy._initialize_deepspeed_train)
    assert "self._setup_model_and_optimizer(model, optimizer, scheduler)" in called
    assert "_init_deepspeed_distributed" in inspect.getsource(DeepSpeedStrategy.setup_distributed)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "zero2"])
def test_micro_batches_make_up_the_batch(strategy):
    execution = Execution("cpu", devices=2, strategy=strategy, micro_batch=2)
    how = spread(execution, "bf16-mixed", 12, 1.0)
    assert how.arguments["accumulate_grad_batches"] == 3
    assert how.arguments["devices"] == 2
    # Under autocast the network's inputs stay as they are; the others compute in bf16 weights.
    assert how.compute_dtype == (None if strategy == "ddp" else torch.bfloat16)


def test_a_batch_that_does_not_divide_is_refused_before_anything_starts():
    with pytest.raises(ValueError, match="a batch of 10 does not divide into 4 processes"):
        spread(Execution("cpu", devices=4, strategy="ddp"), "32-true", 10, 1.0)
