"""The planner's memory of one process beside what real updates took: the real network, its gradients, AdamW, average.

Two measures: what torch's allocator held at the fullest moment, counted by its profiler and the same on every machine,
and how far the process itself grew, which the kernel counts and which has workspaces and fragmentation in it.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.models.config import DiTConfig
from components.training.config import Execution
from components.training.plan_memory import Workload, computing_in, device_memory

if TYPE_CHECKING:
    from harness import Figure

CHANNELS, TEXT_DIM, MICRO_BATCH = 32, 384, 2
SIZES = {
    "20 M": DiTConfig(384, 8, 6, 1152, (16, 24, 24), 256),
    "55 M": DiTConfig(512, 15, 8, 1536, (16, 24, 24), 256),
    "117 M": DiTConfig(768, 14, 12, 2304, (16, 24, 24), 256),
}
LARGEST_ERROR = 0.15


@dataclass(frozen=True)
class Case:
    """One training: its network, the side of its latents, tokens of a text, images at a time."""

    model: DiTConfig
    side: int
    text_tokens: int
    micro_batch: int
    accumulate: int
    precision: str
    activation_checkpointing: bool

    @property
    def work(self) -> Workload:
        """As the planner takes it."""
        batch = self.micro_batch * self.accumulate
        tokens = self.side * self.side
        return Workload(self.model, CHANNELS, TEXT_DIM, tokens, self.text_tokens, batch, self.precision)  # type: ignore[arg-type]

    @property
    def execution(self) -> Execution:
        """One process on a CPU."""
        checkpointing = self.activation_checkpointing
        return Execution("cpu", micro_batch=self.micro_batch, activation_checkpointing=checkpointing)

    @property
    def planned_bytes(self) -> float:
        """What the planner says."""
        return device_memory(self.work, self.execution, self.micro_batch).total


def measure(folder: Path) -> list["Figure"]:
    from harness import Figure, at_most, in_child

    figures: list[Figure] = []
    for name, case in cases():
        planned = case.planned_bytes
        grown, held = in_child(both, case).value
        figures += [
            Figure(f"{name}: planned", planned / 2**20, "MiB"),
            Figure(f"{name}: allocated", held / 2**20, "MiB"),
            Figure(f"{name}: the process grew by", grown / 2**20, "MiB"),
            at_most(f"{name}: planned over allocated, off by", abs(planned / held - 1), "", LARGEST_ERROR),
        ]
    return figures


def cases() -> Iterator[tuple[str, Case]]:
    """Mostly weights, and mostly activations with and without checkpointing."""
    for size, precision, side, text_tokens, is_checkpointing in (
        ("20 M", "32-true", 4, 12, False),
        ("20 M", "32-true", 16, 64, False),
        ("20 M", "32-true", 16, 64, True),
        ("55 M", "bf16-mixed", 4, 12, False),
        ("55 M", "bf16-mixed", 16, 64, True),
        ("117 M", "32-true", 4, 12, False),
    ):
        tokens = MICRO_BATCH * (side * side + text_tokens)
        kept = "with" if is_checkpointing else "without"
        name = f"{size}, {precision}, {tokens:,} tokens, {kept} checkpointing"
        yield name, Case(SIZES[size], side, text_tokens, MICRO_BATCH, 1, precision, is_checkpointing)


def train(case: Case) -> None:
    """Two updates as a training does them, and a held-out loss with the average in place of the weights.

    The gradients of the first update are freed when the second goes back; those of the second are there to the end.
    """
    import torch

    from components.models.denoiser import Denoiser, TextCondition
    from components.models.transformer import build_transformer

    torch.manual_seed(0)
    network = build_transformer(case.model, CHANNELS, TEXT_DIM)
    if case.activation_checkpointing:
        network.enable_gradient_checkpointing()
    denoiser = Denoiser(network).train()
    optimiser = torch.optim.AdamW(denoiser.parameters(), fused=True)
    average = {name: weight.detach().clone() for name, weight in denoiser.named_parameters()}
    numbers = computing_in(case.execution, case.work.precision)
    images = (case.micro_batch, CHANNELS, case.side, case.side)
    lengths = torch.full((case.micro_batch,), case.text_tokens)
    for _ in range(2):
        for micro in range(case.accumulate):
            x_t, target, t = torch.randn(images), torch.randn(images), torch.rand(case.micro_batch)
            condition = TextCondition(torch.randn(case.micro_batch, case.text_tokens, TEXT_DIM), lengths)
            with torch.autocast("cpu", torch.bfloat16) if numbers == "autocast" else nullcontext():
                loss = (denoiser(x_t, t, condition).float() - target).square().mean()
            if micro == 0:
                optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        torch._foreach_lerp_(list(average.values()), list(denoiser.parameters()), 0.1)
    with torch.no_grad():
        aside = {name: weight.detach().clone() for name, weight in denoiser.named_parameters()}
        denoiser.load_state_dict(average)
        denoiser(torch.randn(1, *images[1:]), torch.rand(1), TextCondition(condition.states[:1], lengths[:1]))
        denoiser.load_state_dict(aside)


def both(case: Case) -> tuple[float, int]:
    """How far the process grew, then what was allocated: the profiler takes memory itself."""
    return grown_bytes(case), allocated_bytes(case)


def allocated_bytes(case: Case) -> int:
    """The most that torch's allocator held at once."""
    import warnings

    from torch.profiler import ProfilerActivity, profile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the norms' kernels, which autocast cannot fuse
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
            train(case)
    events = measured.profiler.kineto_results.events()  # type: ignore[union-attr]
    moves = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = peak = 0
    for _, size in moves:
        held += size
        peak = max(peak, held)
    return peak


def grown_bytes(case: Case) -> float:
    """How far this process grew from before the training to its fullest moment."""
    from harness import peak_mb

    small = Case(DiTConfig(24, 1, 2, 48, (4, 4, 4), 256), 2, 4, 1, 1, case.precision, False)
    train(small)  # what the libraries take once
    before = peak_mb()
    train(case)
    return (peak_mb() - before) * 2**20
