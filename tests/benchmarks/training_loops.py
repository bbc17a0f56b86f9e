"""One training three ways, a few steps each in turn in one process: our `fit`, a bare loop, and as diffusers does it.

Of the same shape, on the same planted latents and texts. Turns of a few steps each, so that what else the machine does
meets all of them; ours is timed from the end of the others' turn to the next, with all that stands around a step.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback
from torch import Tensor, nn

from components.data.buckets import Bucket
from components.data.latents import LatentStore, manifest_hash, pack_texts
from components.data.records import SELECTION
from components.models.config import DiTConfig
from components.models.denoiser import Denoiser, TextCondition
from components.models.transformer import build_transformer
from components.objectives.flow_matching import flow_matching_terms
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.training.batches import BatchSource
from components.training.checkpoint_store import CheckpointStore
from components.training.config import BatchConfig, Execution, OptimiserConfig
from components.training.fit import Fitted, Surroundings, fit, prepare
from components.training.module import DiffusionModule
from components.training.strategies import spread

DENSITY = TimestepDensity("logit_normal", 0.0, 1.0, 1.5)
OPTIMISER = OptimiserConfig(1e-4, (0.9, 0.95), 0.01, 1.0, 50, 0.4, "linear")
EMA_DECAY = 0.995
SCRIPT_TEXT_TOKENS = 77
"""What diffusers' scripts pad texts to: CLIP's length, and the default of `max_sequence_length` for SD3."""


@dataclass(frozen=True)
class Shape:
    """What is trained on what: the network, its latents, the tokens of a text (from, to), images of an update."""

    model: DiTConfig
    channels: int
    text_dim: int
    side: int
    text_tokens: tuple[int, int]
    batch_size: int
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


TINY = Shape(DiTConfig(160, 6, 5, 480, (8, 12, 12), 256), 32, 384, 4, (7, 12), 32)
"""The default recipe at 64 px, with texts about as long as its captions."""


def planted_store(shape: Shape, num_rows: int) -> LatentStore:
    """Random latents with a text each; text 0 is the empty one, of two tokens (or of full length, if all have one)."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    facts = {"category": "food", "style": "photo", "concept": "a thing", "split": "train"}
    ids = [rng.bytes(32).hex() for _ in range(num_rows)]
    columns = [ids, *([value] * num_rows for value in facts.values()), np.full(num_rows, 1 / num_rows)]
    rows = pa.table(columns, schema=SELECTION)
    low, high = shape.text_tokens
    lengths = [low if low == high else 2, *rng.integers(low, high + 1, num_rows)]
    return LatentStore(
        latents=rng.standard_normal((num_rows, shape.channels, shape.side, shape.side)).astype(np.float16),
        rows=rows,
        captions={"short": np.arange(num_rows) + 1},
        texts=pack_texts([rng.standard_normal((n, shape.text_dim)).astype(np.float16) for n in lengths]),
        prompts=["", *ids],
        manifest_hash=manifest_hash(rows),
    )


def new_denoiser(shape: Shape, execution: Execution) -> Denoiser:
    """The same weights every time, on the device, prepared as the execution says."""
    with torch.random.fork_rng(), torch.device(execution.accelerator):
        torch.manual_seed(0)
        denoiser = Denoiser(build_transformer(shape.model, shape.channels, shape.text_dim)).train()
    prepare(denoiser, execution)
    return denoiser


class Silent:
    """A report that keeps nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None: ...

    def log_image(self, key: str, image_u8: Any, step: int = 0) -> None: ...

    def progress(self, done: int, total: int, **fields: Any) -> None: ...


def ours(
    denoiser: Denoiser,
    shape: Shape,
    store: LatentStore,
    execution: Execution,
    num_steps: int,
    folder: Path,
    looks: Sequence[Callback],
    *,
    with_checkpoints: bool = False,
) -> Fitted:
    """A training by `fit`, as a stage runs it."""
    px = 16 * shape.side
    module = DiffusionModule(
        denoiser,
        lambda model, batch: Outcome(flow_matching_terms(model, batch.condition, batch.x_0, DENSITY, batch.generators)),
        BatchSource({Bucket(px, px): store}, BatchConfig(shape.batch_size, {"short": 1.0}, 0.1), seed=0),
        OPTIMISER,
        execution,
        precision=shape.precision,
        batch_size=shape.batch_size,
        num_steps=num_steps,
        ema_decay=EMA_DECAY,
    )
    how = spread(execution, shape.precision, shape.batch_size, OPTIMISER.gradient_clip)
    checkpoints = CheckpointStore(folder / "checkpoints", {"run": "benchmark"}) if with_checkpoints else None
    around = Surroundings(Silent(), folder / "incidents", checkpoints)
    return fit(module, how, execution, around, lambda clock: looks)


class InTurn(Callback):
    """After every `steps` steps of ours the others do as many; `seconds` has each one's turns, the first left out."""

    def __init__(self, others: Mapping[str, Callable[[], None]], steps: int, wait: Callable[[], None]) -> None:
        self._others, self._steps, self._wait = dict(others), steps, wait
        self._since = 0.0
        self.seconds: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
        self._is_warm = False

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if not pl_module.has_stepped or pl_module.step % self._steps:
            return
        self._wait()
        if self._is_warm:
            self.seconds["ours"].append(time.perf_counter() - self._since)
        for name, step in self._others.items():
            started = time.perf_counter()
            for _ in range(self._steps):
                step()
            self._wait()
            if self._is_warm:
                self.seconds[name].append(time.perf_counter() - started)
        self._is_warm = True
        self._since = time.perf_counter()


def median_step_s(turn: InTurn, name: str, steps: int) -> float:
    """The median over the turns, of one step."""
    return float(np.median(turn.seconds[name])) / steps


def median_ratio(turn: InTurn, name: str, other: str, every: slice = slice(None)) -> float:
    """The median over the turns of one's time over the other's, which had its turn next to it."""
    pairs = zip(turn.seconds[name][every], turn.seconds[other][every], strict=True)
    return float(np.median([one / two for one, two in pairs]))


class BareLoop:
    """The loop one would write by hand for speed: arrays in memory, fused AdamW, one clip, one average, no reading."""

    def __init__(self, denoiser: Denoiser, shape: Shape, store: LatentStore, execution: Execution) -> None:
        self.denoiser, self._shape, self._store = denoiser, shape, store
        self._device = torch.device(execution.accelerator)
        self._accumulate = execution.accumulate(shape.batch_size)
        self._weights = list(denoiser.parameters())
        self._optimiser = torch.optim.AdamW(self._weights, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
        self._average = [weight.detach().clone() for weight in self._weights]
        self._rng = np.random.default_rng(0)

    def step(self) -> None:
        """One update."""
        for _ in range(self._accumulate):
            (self._loss() / self._accumulate).backward()
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
        torch._foreach_lerp_(self._average, self._weights, 1 - EMA_DECAY)

    def _loss(self) -> Tensor:
        count = self._shape.batch_size // self._accumulate
        rows = self._rng.integers(0, self._store.latents.shape[0], count)
        x_0 = torch.from_numpy(self._store.latents[rows]).to(self._device).float()
        condition = self._condition(rows + 1)
        t = torch.sigmoid(torch.randn(count, device=self._device))
        noise = torch.randn_like(x_0)
        weight = t.view(-1, 1, 1, 1)
        with self._precision():
            predicted = self.denoiser((1 - weight) * x_0 + weight * noise, t, condition)
        return (predicted.float() - (noise - x_0)).square().mean()

    def _precision(self) -> AbstractContextManager[Any]:
        if self._shape.precision == "32-true":
            return nullcontext()
        return torch.autocast(self._device.type, torch.bfloat16)

    def _condition(self, texts: np.ndarray) -> TextCondition:
        states = [torch.from_numpy(self._store.texts.of(text)) for text in texts]
        padded = nn.utils.rnn.pad_sequence(states, batch_first=True).to(self._device).float()
        return TextCondition(padded, torch.tensor([len(one) for one in states], device=self._device))


class ScriptLoop:
    """A training loop as diffusers' example scripts write it, with cached latents and encoded texts.

    `train_dreambooth_sd3.py` and its kin: Accelerate around model, optimiser, loader and schedule; a map-style data set
    of single samples with a collate function, loaded in the process (their default); texts padded to a fixed length;
    AdamW and EMAModel with their defaults; sigmas looked up among 1,000 time by time; the loss read at every step for
    the bar and the log.
    """

    def __init__(self, denoiser: Denoiser, shape: Shape, store: LatentStore, text_tokens: int) -> None:
        from accelerate import Accelerator
        from diffusers import FlowMatchEulerDiscreteScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel
        from torch.utils.data import DataLoader
        from tqdm.auto import tqdm

        self._accelerator = Accelerator(cpu=True)
        network = denoiser.transformer
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.01, eps=1e-8)
        loader = DataLoader(
            Samples(store, text_tokens),
            batch_size=shape.batch_size,
            shuffle=True,
            drop_last=True,
            collate_fn=collate,  # type: ignore[arg-type]
        )
        schedule = get_scheduler("constant_with_warmup", optimizer=optimiser, num_warmup_steps=50)
        prepared: Any = self._accelerator.prepare(network, optimiser, loader, schedule)
        self._network, self._optimiser, self._loader, self._schedule = prepared
        self._average = EMAModel(network.parameters(), decay=EMA_DECAY)
        self._noising: Any = FlowMatchEulerDiscreteScheduler(shift=1.5)
        self._bar = tqdm(disable=True)
        self._batches = self._endless()

    def step(self) -> None:
        """One update."""
        from diffusers.training_utils import compute_density_for_timestep_sampling, compute_loss_weighting_for_sd3

        accelerator, batch = self._accelerator, next(self._batches)
        with accelerator.accumulate(self._network):
            latents = batch["latents"].to(dtype=torch.float32)
            noise = torch.randn_like(latents)
            u = compute_density_for_timestep_sampling("logit_normal", len(latents), logit_mean=0.0, logit_std=1.0)
            steps = (u * self._noising.config.num_train_timesteps).long()
            timesteps = self._noising.timesteps[steps].to(latents.device)
            sigmas = self._sigmas(timesteps).view(-1, 1, 1, 1)
            (predicted,) = self._network(
                hidden_states=(1.0 - sigmas) * latents + sigmas * noise,
                timestep=timesteps,
                text_bth=batch["states"],
                text_lens=batch["lengths"],
                return_dict=False,
            )
            weighting = compute_loss_weighting_for_sd3("logit_normal", sigmas)
            error = (weighting.float() * (predicted.float() - (noise - latents).float()) ** 2).reshape(len(latents), -1)
            loss = error.mean(1).mean()
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(self._network.parameters(), 1.0)
            self._optimiser.step()
            self._schedule.step()
            self._optimiser.zero_grad()
        if accelerator.sync_gradients:
            self._average.step(self._network.parameters())
            self._bar.update(1)
        logs = {"loss": loss.detach().item(), "lr": self._schedule.get_last_lr()[0]}
        self._bar.set_postfix(**logs)
        accelerator.log(logs)

    def _sigmas(self, timesteps: Tensor) -> Tensor:
        places = [(self._noising.timesteps == one).nonzero().item() for one in timesteps]
        return self._noising.sigmas[places].flatten()

    def _endless(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self._loader


class Samples(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Single samples, each with its text padded to a fixed length."""

    def __init__(self, store: LatentStore, text_tokens: int) -> None:
        self._latents = torch.from_numpy(store.latents[np.arange(store.latents.shape[0])])
        self._texts, self._text_tokens = store.texts, text_tokens

    def __len__(self) -> int:
        return len(self._latents)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        text = torch.from_numpy(self._texts.of(row + 1)).float()
        states = nn.functional.pad(text, (0, 0, 0, self._text_tokens - len(text)))
        return {"latents": self._latents[row].float(), "states": states, "lengths": torch.tensor(len(text))}


def collate(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch."""
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
