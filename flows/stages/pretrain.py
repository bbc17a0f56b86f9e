"""Stage `pretrain`: one phase of pre-training at one resolution; declared once per resolution."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.models.config import DiTConfig, InitialWeights
from components.training.config import PretrainConfig


class Params(BaseModel, frozen=True, extra="forbid"):
    """The resolution, the first weights (None: the earlier phase's, or random ones), the network, how it is trained."""

    px: int = Field(gt=0, multiple_of=16)
    init: InitialWeights | None
    model: DiTConfig
    training: PretrainConfig


@dataclass(frozen=True)
class Metrics:
    """Losses are mean squared errors of the velocity; 1 + the data's variance is what an untrained network has."""

    images_seen: int
    parameters: int
    final_loss: float
    held_out_cell_loss: float
    held_out_concept_loss: float


def pretrain(
    p: Params, *, latents: Path, autoencoder: Path, init: Path | None = None, model: Path, grids: Path
) -> Metrics:
    """Train the diffusion transformer by flow matching on the encoded images."""
    from PIL import Image

    from components.data.latents import check_autoencoder, read_buckets
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.models.initial import initial_directory
    from components.tracking import current_run
    from components.training import pretrain as training
    from components.training.checkpoint_store import current_checkpoints
    from components.training.fit import Surroundings
    from flows.reports import last_words
    from flows.settings import current_profile, current_rank, incidents_dir

    if init is not None and p.init is not None:
        raise ValueError("init: this stage continues an earlier phase, so its parameter `init` must be null")
    execution = current_profile().execution
    execution.accumulate(p.training.batch.batch_size)
    check_autoencoder(latents, autoencoder_sha256(autoencoder))
    buckets = read_buckets(latents, p.px)
    store = next(iter(buckets.values()))
    first = init / training.AVERAGED if init else initial_directory(p.init) if p.init else None
    denoiser = training.start_network(
        p.model, store.latents.shape[1], store.texts.states.shape[1], first, p.training.lora, p.training.seed
    )
    run, checkpoints = current_run(), current_checkpoints()
    surroundings = Surroundings(run, incidents_dir(), checkpoints, last_words)
    # Kept beside the checkpoints until the end: one that is killed and goes on does not draw the earlier ones again.
    drawn = checkpoints.directory / "grids" if checkpoints else grids
    drawn.mkdir(parents=True, exist_ok=True)
    trained = training.pretrain(
        buckets,
        denoiser,
        load_autoencoder(autoencoder),
        p.training,
        execution,
        surroundings,
        lambda grid_u8, seen: Image.fromarray(grid_u8).save(drawn / f"{seen:09d}.png"),
    )
    if current_rank() == 0:
        if drawn != grids:
            shutil.copytree(drawn, grids)
        grid = p.training.grid
        facts = {
            "px": p.px,
            "sampling": {"num_sampling_steps": grid.num_sampling_steps, "guidance_scale": grid.guidance_scale},
            "shift": grid.shift,
            "model": asdict(p.model),
            "training": asdict(p.training),
        }
        training.save_pretrained(model, trained, denoiser.transformer.config, p.training.lora, facts)
    # The speed is no metric of the stage: those are kept by DVC, and two equal runs must leave equal files.
    run.log_metrics({"images_per_s": trained.images_per_s}, step=trained.images_seen)
    return Metrics(
        images_seen=trained.images_seen,
        parameters=sum(weight.numel() for weight in trained.raw.values()),
        final_loss=trained.final_loss,
        held_out_cell_loss=trained.held_out.get("heldout_cell", float("nan")),
        held_out_concept_loss=trained.held_out.get("heldout_concept", float("nan")),
    )
