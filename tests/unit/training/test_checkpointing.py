"""Which checkpoints a training refuses; what they hold is compared in the tests of the strategies."""

import pytest

from components.training.checkpointing import CheckpointStrategyError, check_strategy, convert


@pytest.mark.parametrize(
    ("saved", "strategy", "is_read"),
    [
        ("single", "single", True),
        ("ddp", "single", True),
        ("single", "fsdp2", True),
        ("fsdp2", "ddp", True),
        ("zero2", "zero2", True),
        ("zero2", "zero3", False),
        ("zero2", "single", False),
        ("ddp", "zero2", False),
    ],
)
def test_whole_weights_serve_every_strategy_but_deepspeed_s_only_their_own(saved, strategy, is_read):
    if is_read:
        check_strategy({"strategy": saved}, strategy)
    else:
        with pytest.raises(
            CheckpointStrategyError, match=f"saved under strategy {saved}, this training .* {strategy};"
        ):
            check_strategy({"strategy": saved}, strategy)


def test_shards_that_cannot_be_converted_are_one_line(tmp_path):
    (tmp_path / "saved" / "deepspeed").mkdir(parents=True)
    with pytest.raises(ValueError, match="cannot be converted for another number of processes") as caught:
        convert(tmp_path / "saved", tmp_path / "universal")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "universal").exists()
