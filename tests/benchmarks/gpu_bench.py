"""`make gpu-bench`: training on one GPU, unattended, within 8 minutes; figures go to `results/gpu_<device>.json`.

Blocks of ERNIE-Image's geometry (hidden 4096, 32 heads, FFN 12288, 128 channels, text 3072), as many layers as the
planner says fit; 1024 px: 4096 tokens of image and 256 of text; float32 weights under bf16 autocast (what strategy
`single` does), fused AdamW, clip, average, each block compiled, 8 images per update. Utilisation counts the model's own
operations, not those that checkpointing repeats, over the data sheet's dense bf16 peak. The network always hands its
attention a mask; texts have full length here, so cases without the mask compute the same (cuDNN's or flash attention).
Then our `fit` beside the bare loop (the best case, with the mask and fewer layers), and the tiny recipe. `--dry` goes
the same way on a CPU, with a tiny network and without compiling, and keeps nothing.
"""

import argparse
import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import Figure, at_least, at_most, in_child, table, write_results

PEAK_TFLOPS = {"H100 80GB": 989.0, "H100 SXM": 989.0, "H200": 989.0, "A100": 312.0, "H100 PCIe": 756.0}
"""Dense bf16 by the data sheets, by a part of the device's name."""
BUDGET_S = 400.0
"""No new case begins later: starting and compiling one takes about a minute."""
USED_OF_MEMORY = 0.92
WARM_UPDATES, UPDATES = 2, 4


@dataclass(frozen=True)
class Case:
    """One way to train; `layers` 0 is as many as fit."""

    micro_batch: int
    activation_checkpointing: bool
    has_mask: bool
    layers: int = 0

    @property
    def name(self) -> str:
        kept = "checkpointed" if self.activation_checkpointing else "all kept"
        return f"micro-batch {self.micro_batch}, {kept}, {'mask' if self.has_mask else 'no mask'}"


CASES = (Case(1, False, False), Case(2, False, False), Case(2, True, False), Case(1, False, True))


@dataclass(frozen=True)
class Setting:
    """Where it runs, and how large; a dry run is small and on a CPU."""

    accelerator: Any
    device: str
    memory_bytes: float

    @property
    def is_dry(self) -> bool:
        return self.accelerator == "cpu"

    @property
    def peak_tflops(self) -> float | None:
        return next((peak for name, peak in PEAK_TFLOPS.items() if name in self.device), None)

    def shape(self, layers: int) -> Any:
        from training_loops import Shape

        from components.models.config import DiTConfig

        if self.is_dry:
            return Shape(DiTConfig(48, layers, 2, 96, (8, 8, 8), 256), 8, 16, 4, (6, 6), 8, "bf16-mixed")
        return Shape(DiTConfig(4096, layers, 32, 12288, (32, 48, 48), 256), 128, 3072, 64, (256, 256), 8, "bf16-mixed")

    def execution(self, case: Case) -> Any:
        from components.training.config import Execution

        return Execution(
            self.accelerator,
            micro_batch=case.micro_batch,
            activation_checkpointing=case.activation_checkpointing,
            compile=not self.is_dry,
        )

    def planned_bytes(self, case: Case) -> float:
        from components.training.plan_memory import Workload, device_memory

        shape = self.shape(case.layers)
        tokens, texts = shape.side**2, shape.text_tokens[1]
        work = Workload(shape.model, shape.channels, shape.text_dim, tokens, texts, shape.batch_size, shape.precision)
        return device_memory(work, self.execution(case), case.micro_batch).total

    def filled(self, case: Case) -> Case:
        """With as many layers as the planner says fit, at most the real model's 36."""
        sizes = (replace(case, layers=layers) for layers in range(2 if self.is_dry else 36, 0, -1))
        return next((one for one in sizes if self.planned_bytes(one) <= USED_OF_MEMORY * self.memory_bytes), case)

    def tflop_per_image(self, layers: int) -> float:
        from components.models.cost import forward_flops, training_flops

        s = self.shape(layers)
        forward = forward_flops(s.model, s.channels, s.text_dim, s.side**2, s.text_tokens[1])
        return training_flops(forward, recompute=False) / 1e12


@dataclass(frozen=True)
class Timed:
    """Seconds of an update, the most memory the allocator held, the layers that fitted in the end."""

    update_s: float
    peak_bytes: float
    layers: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help=argparse.SUPPRESS)
    setting = found_setting(is_dry=parser.parse_args().dry)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="easel-gpu-bench-") as folder:
        figures = list(measure(setting, Path(folder), started))
    if setting.is_dry:
        sys.stdout.write(table(figures) + "\n")
        return
    import torch

    slug = re.sub(r"[^a-z0-9]+", "_", setting.device.lower()).strip("_")
    peak = f"peak {setting.peak_tflops:g} TFLOP/s" if setting.peak_tflops else "peak unknown: no utilisation"
    note = f"{setting.device}, torch {torch.__version__}, {peak}; {time.perf_counter() - started:.0f} s in all"
    write_results(f"gpu_{slug}", figures, note)


def found_setting(*, is_dry: bool) -> Setting:
    """The first GPU; ends with one line and exit code 1 where there is none, or torch is too old for it."""
    import torch

    if is_dry:
        return Setting("cpu", "cpu", math.inf)
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 11):
        sys.exit(f"gpu-bench: needs torch 2.11 or newer, found {torch.__version__}")
    if not torch.cuda.is_available():
        sys.exit(f"gpu-bench: torch {torch.__version__} finds no CUDA device; run it where there is one")
    properties = torch.cuda.get_device_properties(0)
    return Setting("cuda", properties.name, properties.total_memory)


def measure(setting: Setting, folder: Path, started: float) -> Iterator[Figure]:
    best: tuple[float, Case] | None = None
    for case in CASES:
        if time.perf_counter() - started > BUDGET_S:
            yield Figure(f"{case.name}: left out, for time", 0.0, "")
            continue
        full = setting.filled(case)
        timed = in_child(bare_updates, setting, full).value
        full = replace(full, layers=timed.layers)
        yield from figures_of(setting, full, timed)
        rate = setting.tflop_per_image(timed.layers) * setting.shape(1).batch_size / timed.update_s
        if best is None or rate > best[0]:
            best = rate, full
    if best is None:
        return
    yield from best_figures(setting, best[0])
    if time.perf_counter() - started < BUDGET_S:
        # Smaller: two networks stand side by side.
        half = replace(best[1], has_mask=True, layers=max(1, best[1].layers // 2 - 1))
        ratio, _ = in_child(beside, setting, setting.shape(half.layers), half, folder / "large", 2, 5).value
        yield at_most(f"fit over the bare loop ({half.layers} layers, {half.name})", 100 * (ratio - 1), "% more", 3)
    if time.perf_counter() - started < BUDGET_S:
        from training_loops import TINY

        steps, turns = (2, 3) if setting.is_dry else (20, 11)
        ratio, step_s = in_child(beside, setting, TINY, None, folder / "tiny", steps, turns).value
        yield Figure("default tiny recipe by fit", TINY.batch_size / step_s, "images/s")
        yield Figure("default tiny recipe, fit over the bare loop", 100 * (ratio - 1), "% more")


def figures_of(setting: Setting, case: Case, timed: Timed) -> Iterator[Figure]:
    name, images = f"{case.name}, {case.layers} layers", setting.shape(1).batch_size
    rate = setting.tflop_per_image(case.layers) * images / timed.update_s
    yield Figure(f"{name}: update of {images}", 1e3 * timed.update_s, "ms")
    yield Figure(f"{name}: speed", images / timed.update_s, "images/s")
    yield Figure(f"{name}: computing", rate, "TFLOP/s")
    if setting.peak_tflops:
        yield Figure(f"{name}: utilisation", 100 * rate / setting.peak_tflops, "%")
    if timed.peak_bytes:
        yield Figure(f"{name}: memory at most", timed.peak_bytes / 2**30, "GiB")
        yield Figure(f"{name}: memory planned", setting.planned_bytes(case) / 2**30, "GiB")


def best_figures(setting: Setting, rate: float) -> Iterator[Figure]:
    if setting.peak_tflops:
        yield at_least("utilisation at best", 100 * rate / setting.peak_tflops, "%", 50)
    else:
        yield Figure("computing at best (peak of this device unknown)", rate, "TFLOP/s")


def bare_updates(setting: Setting, case: Case) -> Timed:
    """Updates of the bare loop, with fewer layers if the planner promised too much."""
    import torch

    while True:
        try:
            return _bare_updates(setting, case)
        except torch.OutOfMemoryError:
            if case.layers < 2:
                raise
        torch.cuda.empty_cache()
        case = replace(case, layers=case.layers - max(1, case.layers // 10))


def _bare_updates(setting: Setting, case: Case) -> Timed:
    import numpy as np
    import training_loops as training

    shape, execution, wait = setting.shape(case.layers), setting.execution(case), waiting(setting)
    loop = training.BareLoop(
        training.new_denoiser(shape, execution), shape, training.planted_store(shape, 64), execution
    )
    times: list[float] = []
    with attention(loop, case):
        for _ in range(WARM_UPDATES + UPDATES):
            started = time.perf_counter()
            loop.step()
            wait()
            times.append(time.perf_counter() - started)
    return Timed(float(np.median(times[WARM_UPDATES:])), peak_bytes(setting), case.layers)


@contextmanager
def attention(loop: Any, case: Case) -> Iterator[None]:
    """Without the mask, if the case says so, and then by the fastest kernels that there are."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if case.has_mask:
        yield
        return
    without_mask(loop.denoiser)
    fastest = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(fastest, set_priority=True):
        yield


def without_mask(denoiser: Any) -> None:
    """Let each attention ignore its mask; the same numbers only where all texts have the same length."""
    from diffusers.models.transformers.transformer_ernie_image import ErnieImageSingleStreamAttnProcessor

    class WholeTexts(ErnieImageSingleStreamAttnProcessor):
        def __call__(self, attn, hidden_states, attention_mask=None, freqs_cis=None):
            return super().__call__(attn, hidden_states, None, freqs_cis)

    for block in denoiser.transformer.layers:
        block.self_attention.set_processor(WholeTexts())


def beside(
    setting: Setting, shape: Any, case: Case | None, folder: Path, steps: int, turns: int
) -> tuple[float, float]:
    """Our `fit` over the bare loop in turn, and seconds of a step of ours; both with the mask, as `fit` has it."""
    import training_loops as training

    from components.training.config import Execution

    execution = setting.execution(case) if case else Execution(setting.accelerator)
    store = training.planted_store(shape, 64 if case else 2000)
    bare = training.BareLoop(training.new_denoiser(shape, execution), shape, store, execution)
    turn = training.InTurn({"bare": bare.step}, steps, waiting(setting))
    denoiser = training.new_denoiser(shape, execution)
    training.ours(denoiser, shape, store, execution, steps * turns, folder, [turn])
    return training.median_ratio(turn, "ours", "bare"), training.median_step_s(turn, "ours", steps)


def waiting(setting: Setting) -> Any:
    """What waits for the device."""
    import torch

    return (lambda: None) if setting.is_dry else torch.cuda.synchronize


def peak_bytes(setting: Setting) -> float:
    """The most that torch's allocator held; 0 on a CPU, where nobody counts."""
    import torch

    return 0.0 if setting.is_dry else float(torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    main()
