"""What reached a network in training, seen from inside its training step."""

from typing import Any

import pytest

from components.training.module import DiffusionModule


def watch_batches(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The sample ids of every batch that a training step is given from now on."""
    seen, step = set[str](), DiffusionModule.training_step

    def watched(module: DiffusionModule, batch: Any, number: int) -> Any:
        seen.update(batch.sample_ids)
        return step(module, batch, number)

    monkeypatch.setattr(DiffusionModule, "training_step", watched)
    return seen
