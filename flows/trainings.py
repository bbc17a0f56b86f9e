"""What the stages that train the transformer have in common: where they begin, in what they run, what they leave."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from components.models.config import DiTConfig, InitialWeights, LoraShape
from components.training.config import GridConfig

if TYPE_CHECKING:
    from components.models.denoiser import Denoiser
    from components.training.fit import Surroundings
    from components.training.pretrain import Pretrained, SaveGrid


class TrainingSettings(Protocol):
    """What every objective's settings, a dataclass, have; a stage reaches its own only."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def grid(self) -> GridConfig:
        """How sample grids are drawn."""
        ...

    @property
    def lora(self) -> LoraShape | None:
        """The adapters that are merged when the weights are saved."""
        ...


def first_weights(init: Path | None, given: InitialWeights | None) -> Path | None:
    """Where the first weights lie: the earlier phase's average, or those given, or None for random ones.

    ValueError if there are both.
    """
    from components.models.initial import initial_directory
    from components.training.pretrain import AVERAGED

    if init is not None and given is not None:
        raise ValueError("init: this stage continues an earlier phase, so its parameter `init` must be null")
    return init / AVERAGED if init else initial_directory(given) if given else None


def train_and_save(
    train: "Callable[[Surroundings, SaveGrid], Pretrained]",
    denoiser: "Denoiser",
    px: int,
    shape: DiTConfig,
    config: TrainingSettings,
    facts: Mapping[str, object],
    *,
    model: Path,
    grids: Path,
) -> "Pretrained":
    """Train within this process's surroundings; the first process leaves weights, `training.json` and sample grids."""
    from PIL import Image

    from components.tracking import current_run
    from components.training.checkpoint_store import current_checkpoints
    from components.training.fit import Surroundings
    from components.training.pretrain import save_pretrained
    from flows.reports import last_words
    from flows.settings import current_rank, incidents_dir

    run, checkpoints = current_run(), current_checkpoints()
    # Kept beside the checkpoints until the end: one that is killed and goes on does not draw the earlier ones again.
    drawn = checkpoints.directory / "grids" if checkpoints else grids
    drawn.mkdir(parents=True, exist_ok=True)
    trained = train(
        Surroundings(run, incidents_dir(), checkpoints, last_words),
        lambda grid_u8, seen: Image.fromarray(grid_u8).save(drawn / f"{seen:09d}.png"),
    )
    if current_rank() == 0:
        if drawn != grids:
            shutil.copytree(drawn, grids)
        grid = config.grid
        told = {
            "px": px,
            "sampling": {"num_sampling_steps": grid.num_sampling_steps, "guidance_scale": grid.guidance_scale},
            "shift": grid.shift,
            "model": asdict(shape),
            "training": asdict(config),
            **facts,
        }
        save_pretrained(model, trained, denoiser.transformer.config, config.lora, told)
    # The speed is no metric of the stage: those are kept by DVC, and two equal runs must leave equal files.
    run.log_metrics({"images_per_s": trained.images_per_s}, step=trained.images_seen)
    return trained
