"""Which samples a run was trained on, for lineage: a line of JSON for each range of positions that was consumed.

A position tells its samples (`Traceable.sample_ids`), so ranges are all there is to keep. Lines are only ever added.
An attempt that continues from a checkpoint begins with the position it continues at: what attempts before it consumed
from there on never reached the weights and counts no more.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning import Callback, LightningModule, Trainer

from components.training.callbacks import as_diffusion
from components.training.module import DiffusionModule

CONSUMED = "consumed.jsonl"


class RecordError(ValueError):
    """A record of consumed samples that is damaged, or of another run."""


@runtime_checkable
class Traceable(Protocol):
    """A source of batches whose positions name their samples: the same ones for the same three facts, always."""

    manifest_hash: str
    seed: int
    batch_size: int

    def sample_ids(self, start: int, stop: int) -> Iterable[tuple[str, ...]]:
        """Which samples lie at the positions start, ..., stop - 1, step by step."""
        ...


@dataclass(frozen=True)
class Consumed:
    """The positions start, ..., stop - 1, in the `attempt`th start of the run."""

    manifest_hash: str
    seed: int
    batch_size: int
    attempt: int
    start: int
    stop: int


class ConsumedRecord:
    """The record of a run in `file`, as an attempt writes it that begins at the position `start`.

    What a kill kept from being written before `start` is added: a checkpoint there says that it was consumed.
    RecordError if the file tells of another order of samples.
    """

    def __init__(self, file: Path, source: Traceable, *, start: int) -> None:
        lines = read_consumed(file)
        attempt = 1 + max((line.attempt for line in lines), default=0)
        reached = max((piece.stop for piece in effective(lines)), default=0)
        self._file = file
        self._last = Consumed(source.manifest_hash, source.seed, source.batch_size, attempt, min(reached, start), start)
        if lines and _order_of(lines[-1]) != _order_of(self._last):
            raise RecordError(f"{file}: is of other data, seed or batch size; keep it with its run and begin another")
        _drop_torn_line(file)
        self._write()

    def reach(self, position: int) -> None:
        """Everything before `position` was consumed: one line for what is new, on the disk when this returns."""
        if position > self._last.stop:
            self._last = Consumed(*_order_of(self._last), self._last.attempt, self._last.stop, position)
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, (json.dumps(asdict(self._last)) + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)


class KeepConsumed(Callback):
    """Writes the record of a training into `file`: every so many steps, and whenever it ends."""

    def __init__(self, file: Path, every_steps: int) -> None:
        self._file, self._every_steps = file, every_steps
        self._record: ConsumedRecord | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin where the training does; only the first process writes."""
        module = as_diffusion(pl_module)
        if trainer.global_rank == 0 and isinstance(module.source, Traceable):
            self._record = ConsumedRecord(self._file, module.source, start=module.images_seen)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write if it is time."""
        module = as_diffusion(pl_module)
        if module.has_stepped and module.step % self._every_steps == 0:
            self._reach(module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what is left."""
        self._reach(as_diffusion(pl_module))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write how far it came."""
        self._reach(as_diffusion(pl_module))

    def _reach(self, module: DiffusionModule) -> None:
        if self._record is not None:
            self._record.reach(module.images_seen)


def read_consumed(file: Path) -> list[Consumed]:
    """The lines of a record, in order, none if there is no file; a last line that was cut short is left out."""
    if not file.is_file():
        return []
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    try:
        return [Consumed(**json.loads(line)) for line in whole.splitlines()]
    except (ValueError, TypeError) as error:
        raise RecordError(f"{file}: damaged ({error}); restore it from a copy, or move it away") from error


def effective(lines: Sequence[Consumed]) -> list[Consumed]:
    """The ranges that reached the weights, rising and without overlap: a later attempt replaces from its start on."""
    pieces = list[Consumed]()
    for line in lines:
        while pieces and pieces[-1].attempt != line.attempt and pieces[-1].stop > line.start:
            piece = pieces.pop()
            if piece.start < line.start:
                pieces.append(Consumed(*_order_of(piece), piece.attempt, piece.start, line.start))
        if line.stop > line.start:
            pieces.append(line)
    return pieces


def samples_seen(file: Path, source: Traceable, start: int, stop: int) -> Counter[str]:
    """How often each sample came between the images start and stop - 1 of the run that `file` tells of.

    RecordError if the record is of another source, or does not reach so far.
    """
    pieces = effective(read_consumed(file))
    wanted = (source.manifest_hash, source.seed, source.batch_size)
    if any(_order_of(piece) != wanted for piece in pieces):
        raise RecordError(f"{file}: is of other data, seed or batch size than those asked about")
    reached = max((piece.stop for piece in pieces), default=0)
    if start < 0 or stop > reached:
        raise RecordError(f"{file}: tells of the images 0 to {reached - 1}, not of {start} to {stop - 1}")
    return Counter(name for names in source.sample_ids(start, stop) for name in names)


def _order_of(line: Consumed) -> tuple[str, int, int]:
    return line.manifest_hash, line.seed, line.batch_size


def _drop_torn_line(file: Path) -> None:
    """A kill may have cut the last line short; the next one must not continue it."""
    if file.is_file():
        os.truncate(file, file.read_bytes().rfind(b"\n") + 1)
