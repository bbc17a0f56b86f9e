"""What a checkpoint of a training holds, and how a training goes on from one.

Weights, optimiser's moments and the average, whole and in safetensors: any number of processes can read them, under
`single`, `ddp` and `fsdp2`. DeepSpeed writes its own shards instead (and pickles: they are read only after the store
has checked their digests); on another number of processes they are first converted by DeepSpeed's universal format.
The position in the data and the learning rate follow from the number of images seen.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from components.training.callbacks import as_diffusion
from components.training.checkpoint_store import AsyncWriter, Checkpoint, CheckpointStore
from components.training.config import Execution
from components.training.module import Adaptive, DiffusionModule
from components.training.ranks import mean_terms
from components.training.watchdog import StepClock
from components.training.weights import full_weights, masters, trained, write_full, write_masters

WEIGHTS, AVERAGE, OPTIMISER, RANDOM = (f"{name}.safetensors" for name in ("weights", "average", "optimiser", "random"))
ZERO_TAG = "deepspeed"


class CheckpointStrategyError(ValueError):
    """A checkpoint of one strategy, and a training under another that cannot read it."""


class Checkpointing(Callback):
    """Restores the latest checkpoint before the first step and writes one every so many steps, beside the training.

    The last step leaves none: what follows it is quickly done again, and only then is the training's result complete.
    """

    def __init__(self, store: CheckpointStore, execution: Execution, clock: StepClock) -> None:
        self._store, self._execution, self._clock = store, execution, clock
        self._writer = AsyncWriter()
        self._found: Checkpoint | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look for a checkpoint, once for all processes."""
        found = self._store.latest() if trainer.global_rank == 0 else None
        self._found = trainer.strategy.broadcast(found)
        if self._found is None:
            return
        check_strategy(self._found.facts, self._execution.strategy)
        if self._is_zero and self._found.num_ranks != self._execution.world_size:
            # A leftover to the store: removed when the next attempt starts.
            universal = self._store.directory / f".universal-{self._found.directory.name}"
            if trainer.global_rank == 0:
                convert(self._found.directory, universal)
            trainer.strategy.barrier()
            strategy: Any = trainer.strategy
            strategy.config["checkpoint"] = {"load_universal": True}
            self._found = replace(self._found, directory=universal)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on from it."""
        if self._found is not None:
            restore(trainer, as_diffusion(pl_module), self._found)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time."""
        module = as_diffusion(pl_module)
        if module.has_stepped and module.step % self._execution.checkpoint_every_steps == 0:
            self.save(trainer, module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the files of the last one."""
        with self._clock.paused():
            self._writer.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Wait for them also when training was asked to stop; after any other end there is no hurry to trust them."""
        if hasattr(exception, "exit_code"):
            self._writer.close()

    def save(self, trainer: Trainer, module: DiffusionModule) -> None:
        """Write a checkpoint of this step; only the copy of the state holds up the training, not the files."""
        if module.step < module.num_steps:
            with self._clock.paused():
                self._save(trainer, module)

    def _save(self, trainer: Trainer, module: DiffusionModule) -> None:
        images_seen, rank, facts = module.images_seen, trainer.global_rank, self._facts(module)
        folder = self._store.begin(images_seen)
        average = full_average(module)
        state = {} if self._is_zero else {WEIGHTS: full_trained(module), OPTIMISER: optimiser_state(trainer)}
        if self._is_zero:
            engine: Any = trainer.strategy.model
            engine.save_checkpoint(str(folder), tag=ZERO_TAG, save_latest=False)
        if rank == 0:
            state |= {AVERAGE: average, RANDOM: {"torch": torch.get_rng_state()}}
        elif not self._is_zero:
            state.clear()

        def write() -> None:
            for name, tensors in state.items():
                save_file(tensors, folder / name)
            self._store.leave_receipt(folder, rank, [folder / name for name in state])
            if rank == 0:
                self._store.commit(folder, images_seen, facts, self._execution.world_size)

        self._writer.submit(write)

    @property
    def _is_zero(self) -> bool:
        return self._execution.strategy.startswith("zero")

    def _facts(self, module: DiffusionModule) -> dict[str, Any]:
        return {
            "step": module.step,
            "strategy": self._execution.strategy,
            "average_updates": module.average.num_updates,
            "terms": mean_terms(module.terms) if module.terms else {},
            "objective": dict(module.objective.state) if isinstance(module.objective, Adaptive) else {},
        }


def check_strategy(facts: Mapping[str, Any], strategy: str) -> None:
    """CheckpointStrategyError if what a strategy saved cannot be read by another."""
    saved = str(facts["strategy"])
    if saved != strategy and (saved.startswith("zero") or strategy.startswith("zero")):
        raise CheckpointStrategyError(
            f"the checkpoint was saved under strategy {saved}, this training runs under {strategy}; choose a profile "
            f"with {saved}, or delete the checkpoint to begin again"
        )


@torch.no_grad()
def full_average(module: DiffusionModule) -> dict[str, Tensor]:
    """The average, whole, in the host's memory; called by every process."""
    before = {name: part.clone() for name, part in masters(module.denoiser).items()}
    write_masters(module.denoiser, module.average.weights)
    whole = full_trained(module)
    write_masters(module.denoiser, before)
    return whole


def full_trained(module: DiffusionModule) -> dict[str, Tensor]:
    """The weights that train, whole, in the host's memory: frozen ones are where they came from."""
    return full_weights(module.denoiser, trained(module.denoiser))


def optimiser_state(trainer: Trainer) -> dict[str, Tensor]:
    """The optimiser's tensors, whole, as `<weight>/<moment>`; on all processes but the first of several: nothing."""
    module = as_diffusion(trainer.lightning_module)
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found: Any = get_optimizer_state_dict(module.denoiser, trainer.optimizers[0], options=options)
    return {
        f"{weight}/{moment}": value.detach().to("cpu", copy=True).contiguous()
        for weight, moments in found.get("state", {}).items()
        for moment, value in moments.items()
    }


def restore(trainer: Trainer, module: DiffusionModule, found: Checkpoint) -> None:
    """Put weights, optimiser, average, random state and step back as the checkpoint has them."""
    if str(found.facts["strategy"]).startswith("zero"):
        restore_zero(trainer.strategy.model, found.directory)
    else:
        write_full(module.denoiser, load_file(found.directory / WEIGHTS))
        restore_optimiser(trainer, module, load_file(found.directory / OPTIMISER))
    restore_average(module, load_file(found.directory / AVERAGE), int(found.facts["average_updates"]))
    torch.set_rng_state(load_file(found.directory / RANDOM)["torch"])
    module.step = int(found.facts["step"])
    module.terms = {name: torch.tensor(value, device=module.device) for name, value in found.facts["terms"].items()}
    if isinstance(module.objective, Adaptive):
        module.objective.state.update(found.facts["objective"])


def restore_zero(engine: Any, directory: Path) -> None:
    """Let DeepSpeed read its files, and mend what it makes of the universal ones under ZeRO-3 (0.19.8).

    There every group of weights gets the first one's settings (so that vectors would decay like matrices), and all
    weights share one counter of steps, which then counts several times a step.
    """
    optimiser = engine.optimizer.optimizer
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups]
    engine.load_checkpoint(str(directory), tag=ZERO_TAG)
    for group, own in zip(optimiser.param_groups, settings, strict=True):
        group.update(own)
    for moments in optimiser.state.values():
        if isinstance(moments.get("step"), Tensor):
            moments["step"] = moments["step"].clone()


def restore_optimiser(trainer: Trainer, module: DiffusionModule, tensors: Mapping[str, Tensor]) -> None:
    """Put the optimiser's tensors back, cut as the weights are."""
    optimiser = trainer.optimizers[0]
    state: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        weight, moment = name.rsplit("/", 1)
        state.setdefault(weight, {})[moment] = value
    own: Any = get_optimizer_state_dict(module.denoiser, optimiser)
    groups = own["param_groups"]
    for weight, moments in own["state"].items():  # of a network that had no turn yet there are none
        state.setdefault(weight, {name: torch.zeros_like(moment) for name, moment in moments.items()})
    whole: Any = {"state": state, "param_groups": groups}
    set_optimizer_state_dict(module.denoiser, optimiser, whole, options=StateDictOptions(full_state_dict=True))


@torch.no_grad()
def restore_average(module: DiffusionModule, whole: Mapping[str, Tensor], num_updates: int) -> None:
    """Put the average back; it is cut by writing it where the weights are, for a moment."""
    before = {name: part.clone() for name, part in masters(module.denoiser).items()}
    write_full(module.denoiser, whole)
    module.average.weights = {name: part.clone() for name, part in masters(module.denoiser).items()}
    module.average.num_updates = num_updates
    write_masters(module.denoiser, before)


def convert(saved: Path, universal: Path) -> None:
    """DeepSpeed's shards in its universal format, which any number of processes reads; ValueError if that fails.

    In a process of its own: the converter parses arguments and prints.
    """
    unfinished = universal.with_name(universal.name + ".unfinished")
    for leftover in (unfinished, universal):
        shutil.rmtree(leftover, ignore_errors=True)
    command = ["-m", "deepspeed.checkpoint.ds_to_universal", "--input_folder", str(saved / ZERO_TAG)]
    command += [
        "--output_folder",
        str(unfinished / ZERO_TAG),
        "--num_extract_workers",
        "1",
        "--num_merge_workers",
        "1",
        "--inject_missing_state",
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ValueError(f"{saved}: cannot be converted for another number of processes: {' '.join(last)}")
    for name in (AVERAGE, RANDOM):
        (unfinished / name).write_bytes((saved / name).read_bytes())
    unfinished.replace(universal)
