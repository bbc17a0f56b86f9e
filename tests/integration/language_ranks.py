"""What every process of a language model's training does in `test_language_ranks.py`; not a test itself."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from components.models.language_config import LanguageShape
from components.models.language_model import LanguageModel, TokenRows, build_language_model
from components.training.config import Execution, OptimiserConfig
from components.training.fit import Surroundings
from components.training.language_config import LanguageTraining
from components.training.language_training import RowSource, learn
from flows.process import die_with_parent

SHAPE = LanguageShape(24, 32, 2, 2, 2, 16, 48, 10_000.0, 64, 0.1)
OPTIMISER = OptimiserConfig(3e-3, (0.9, 0.99), 0.01, 1.0, 2, 0.3, "linear")
LENGTH = 20


class Silent:
    """A report that keeps nothing."""

    def log_metrics(self, metrics: Any, step: int) -> None:
        """Nothing."""

    def log_image(self, key: str, image_u8: Any, step: int) -> None:
        """Nothing."""

    def progress(self, done: int, total: int, **fields: Any) -> None:
        """Nothing."""


def rows(seed: int, count: int) -> TokenRows:
    """Random texts, of whose tokens each row has another number to say."""
    tokens = torch.randint(4, 24, (count, LENGTH), generator=torch.Generator().manual_seed(seed))
    is_answer = torch.arange(LENGTH) > 6 + torch.arange(count)[:, None] % 9
    return TokenRows(tokens, torch.arange(LENGTH).repeat(count, 1), torch.ones_like(tokens), is_answer)


def main(folder: Path, strategies: list[str]) -> None:
    """Train under one strategy after another; the first process leaves the weights."""
    die_with_parent()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    num_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    training = LanguageTraining(80, 8, LENGTH, OPTIMISER, 0.9, "32-true", None, 40, 0)
    for strategy in strategies:
        named: Any = strategy
        network = build_language_model(SHAPE, 0, special={"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3})
        source = RowSource(rows(0, 30), [f"row{number}" for number in range(30)], 8, seed=0)
        learned = learn(
            LanguageModel(network).train(),
            source,
            rows(1, 7),
            training,
            Execution("cpu", devices=num_ranks, strategy=named, micro_batch=2),
            Surroundings(Silent(), folder / "incidents"),
        )
        if os.environ.get("RANK", "0") == "0":
            figures = torch.tensor([learned.perplexity_before, learned.perplexity_after])
            save_file(learned.averaged | {"perplexities": figures}, folder / f"{strategy}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
