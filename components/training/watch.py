"""A watch over a training: what is measured now and then, why training should end, the weights worth keeping.

What a watch has seen is written at once beside the checkpoints, so that a training that was killed decides as one that
was not: `looks.jsonl`, a line for each look, and `kept.safetensors`, the averaged weights of one of them, which says
after how many images they stood so. A training that continues remembers the looks up to its checkpoint. Weights of any
other look, as an attempt leaves that was killed after it, are not taken for those of the looks: they are forgotten, and
so are the looks they should have been of, until a look that is seen (again) has weights worth keeping.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.models.denoiser import Denoiser
from components.training.batches import Batch
from components.training.callbacks import Every, Weights, as_diffusion
from components.training.module import DiffusionModule
from components.training.ranks import mean_terms, place
from components.training.reporting import Report
from components.training.watchdog import StepClock
from components.training.weights import full_weights

LOOKS, KEPT = "looks.jsonl", "kept.safetensors"
Seen = Mapping[str, Any]
"""What was seen at a look: `images_seen`, numbers by name, and `reason`, why training should end ("" if it should not).
"""


def numbers_of(look: Seen) -> dict[str, float]:
    """What was measured at a look."""
    return {name: value for name, value in look.items() if isinstance(value, float)}


class Watch(ABC):
    """A look (see `callbacks.Every`) that measures, judges, and keeps the weights of the look that `best` chooses.

    With a `folder` everything is written there at once; without one nothing outlives the process. Numbers are reported
    under `prefix` and their own names.
    """

    def __init__(self, report: Report, folder: Path | None, prefix: str = "") -> None:
        self._report, self._folder, self._prefix = report, folder, prefix
        self.looks: list[dict[str, Any]] = []
        self.terms: dict[str, float] = {}  # the objective's, of the step before the look; none before the first
        self._kept: dict[str, Tensor] = {}
        self._num_forgotten = 0  # looks at the beginning whose weights are not there any more

    @abstractmethod
    def measure(self, denoiser: Denoiser, images_seen: int) -> dict[str, Any]:
        """What is to be remembered of a look; every process calls it and gets the same."""

    @abstractmethod
    def why(self, looks: Sequence[Seen]) -> str:
        """Why training should end after the last of `looks`, for a person; "" if it should go on."""

    def best(self, looks: Sequence[Seen]) -> Seen:
        """The one of `looks`, all without a fault, whose weights are worth most: the last."""
        return looks[-1]

    @property
    def reason(self) -> str:
        """Why training should end; "" while it should not."""
        return str(self.looks[-1]["reason"]) if self.looks else ""

    @property
    def kept_look(self) -> Seen:
        """What was seen of the weights that are kept; ValueError if there are none."""
        candidates = [look for look in self.looks[self._num_forgotten :] if not look["reason"]]
        if not candidates:
            raise ValueError(
                f"{self._folder}: the weights of the looks before this attempt are gone, and no look since was without "
                "a fault; remove the folder and train again"
            )
        return self.best(candidates)

    def begin(self, images_seen: int) -> None:
        """Remember the looks up to that point: what an earlier attempt saw after it will be seen again."""
        self.looks, self._num_forgotten = [], 0
        if self._folder is None or images_seen == 0 or not (self._folder / LOOKS).is_file():
            return
        lines = (self._folder / LOOKS).read_bytes().rpartition(b"\n")[0].splitlines()
        self.looks = [look for look in map(json.loads, lines) if look["images_seen"] <= images_seen]
        if self.looks and _images_seen_of(self._folder / KEPT) != self.kept_look["images_seen"]:
            self._num_forgotten = len(self.looks)

    def __call__(self, denoiser: Denoiser, images_seen: int, weights: Weights) -> None:
        """Look once."""
        look = {"images_seen": images_seen, **self.measure(denoiser, images_seen), "reason": ""}
        if "loss" in self.terms:
            look["train_loss"] = self.terms["loss"]
        look["reason"] = self.why([*self.looks, look])
        self.looks.append(look)
        if not look["reason"] and self.kept_look is look:
            self._keep(full_weights(denoiser), images_seen)
        self._write()
        if place()[0] == 0:
            told = {f"{self._prefix}{name}": value for name, value in numbers_of(look).items()}
            self._report.log_metrics(told, images_seen)

    def kept(self) -> dict[str, Tensor]:
        """The averaged weights at `kept_look`, all of them, by name; ValueError if the file is of another look."""
        if self._folder is None:
            return self._kept
        found, wanted = _images_seen_of(self._folder / KEPT), self.kept_look["images_seen"]
        if found != wanted:
            raise ValueError(
                f"{self._folder / KEPT}: its weights are of {found} images and the look's of {wanted}; "
                "two trainings write into one folder: remove it and train again"
            )
        return load_file(self._folder / KEPT)

    def _keep(self, weights: dict[str, Tensor], images_seen: int) -> None:
        if self._folder is None:
            self._kept = weights
        elif place()[0] == 0:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, self._folder / f".{KEPT}", metadata={"images_seen": str(images_seen)})
            (self._folder / f".{KEPT}").replace(self._folder / KEPT)

    def _write(self) -> None:
        if self._folder is not None and place()[0] == 0:
            text = "".join(json.dumps(look) + "\n" for look in self.looks)
            (self._folder / f".{LOOKS}").write_text(text, encoding="utf-8")
            (self._folder / f".{LOOKS}").replace(self._folder / LOOKS)


def _images_seen_of(file: Path) -> int | None:
    """After how many images the weights in `file` stood so; None if there is no file, or it does not say."""
    if not file.is_file():
        return None
    with safe_open(file, framework="pt") as weights:
        told = (weights.metadata() or {}).get("images_seen")
    return None if told is None else int(told)


class Watching(Every):
    """Looks with a watch, and ends training when it says so; placed before what saves checkpoints."""

    def __init__(self, watch: Watch, every_images: int, clock: StepClock) -> None:
        super().__init__(every_images, watch, clock, ("averaged",))
        self._watch = watch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember what was seen before; a training that had been ended stays so."""
        self._watch.begin(as_diffusion(pl_module).images_seen)
        super().on_train_start(trainer, pl_module)
        self._end_if_told(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Look if it is time, and end if the look found a reason."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._end_if_told(pl_module)

    def _look_at(self, trainer: Trainer, module: DiffusionModule) -> None:
        if module.terms:
            self._watch.terms = mean_terms(module.terms)
        super()._look_at(trainer, module)

    def _end_if_told(self, pl_module: LightningModule) -> None:
        if self._watch.reason:
            as_diffusion(pl_module).end(self._watch.reason)
