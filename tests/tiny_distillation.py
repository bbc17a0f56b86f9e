"""A small committee and a small distillation, made in code; for tests in one process and in several."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from tiny_training import CHANNELS, TEXT_DIM, TINY, tiny_denoiser

from components.models.committee import Distilled, build_distilled
from components.models.config import LoraShape
from components.models.lora import add_lora, merge_lora
from components.objectives.adversarial_config import AdversarialConfig
from components.objectives.committee import CommitteeConfig
from components.training.config import BatchConfig, GridConfig, OptimiserConfig, PriorConfig
from components.training.distill_config import ColdStart, DistillConfig, FewSteps
from components.training.drift_config import DriftWatchConfig

LORA = LoraShape(2, 4, ("to_q", "to_v"))
EXPERTS = ("general", "lettering")
DOMAINS = {f"sample{row}": "poster" for row in range(0, 12, 2)}

EVEN = {"high": (0.5, 0.5), "middle": (0.5, 0.5), "low": (0.5, 0.5)}
ALONE = {"high": (1.0, 0.0), "middle": (1.0, 0.0), "low": (1.0, 0.0)}
OTHER = {"high": (0.0, 1.0), "middle": (0.0, 1.0), "low": (0.0, 1.0)}

DISTILL = DistillConfig(
    num_student_updates=4,
    fake_updates=2,
    cold_start=ColdStart(num_updates=3, substeps=2, learning_rate=2e-3),
    batch=BatchConfig(4, {"short": 1.0}, 0.0),
    prior=PriorConfig(0.25, {"short": 1.0}),
    sampler=FewSteps(4, 1.5, "euler"),
    guidance_scale=2.0,
    levels=(0.02, 0.98),
    fake_scale=0.75,
    fake_scale_updates=10,
    committee=CommitteeConfig(
        EXPERTS,
        (0.5, 0.8),
        "general",
        {"dm": {"general": ALONE, "poster": EVEN}, "ca": {"general": ALONE, "poster": OTHER}},
    ),
    router=None,
    adversarial=None,
    student=None,
    fake=LORA,
    student_optimiser=OptimiserConfig(1e-3, (0.0, 0.99), 0.0, 1.0, 0, 0.0, "linear"),
    fake_optimiser=OptimiserConfig(2e-3, (0.0, 0.99), 0.0, 1.0, 0, 0.0, "linear"),
    ema_decay=0.8,
    precision="32-true",
    watch=DriftWatchConfig(every_updates=2, min_diversity=0.1, max_saturation=5.0, max_quality_fall=0.9, patience=0),
    grid=GridConfig(10_000, ("text",), 4, 1.0, 1.5, 0),
    seed=0,
)

ADVERSARIAL = replace(
    DISTILL,
    adversarial=AdversarialConfig(generator_weight=0.5, head_weight=1.0, r1_weight=10.0, r1_sigma=0.1, block=1),
)


def save_committee(folder: Path) -> Mapping[str, Path | None]:
    """The backbone in `folder`/backbone and an expert's adapter beside it; the experts as `build_distilled` wants."""
    backbone = tiny_denoiser().transformer
    with torch.random.fork_rng():
        torch.manual_seed(2)
        for weight in backbone.parameters():  # a new network's last layer is 0, and so would everything be here
            weight.data += 0.05 * torch.randn(weight.shape)
    backbone.save_pretrained(folder / "backbone" / "transformer")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        add_lora(backbone, LORA)
        for name, weight in backbone.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
    merge_lora(backbone, folder / "lettering" / "lora")
    backbone.save_pretrained(folder / "lettering" / "transformer")
    return {"general": None, "lettering": folder / "lettering"}


def tiny_distilled(
    folder: Path,
    experts: Mapping[str, Path | None],
    *,
    student: LoraShape | None = None,
    fake: LoraShape | None = LORA,
    has_head: bool = False,
) -> Distilled:
    """A new student with its committee, the same in every process."""
    backbone = folder / "backbone" / "transformer"
    shape = (TINY, CHANNELS, TEXT_DIM)
    return build_distilled(backbone, experts, *shape, student=student, fake=fake, seed=0, has_head=has_head)
