"""Stage `pretrain`: one phase of pre-training at one resolution; declared once per resolution."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.models.config import DiTConfig
from components.training.config import PretrainConfig


class Params(BaseModel, frozen=True, extra="forbid"):
    """The resolution, the network and how it is trained."""

    px: int = Field(gt=0, multiple_of=16)
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

    from components.data.latents import read_latents
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.tracking import current_run
    from components.training import pretrain as training
    from flows.settings import current_profile

    store = read_latents(latents, p.px, autoencoder_sha256(autoencoder))
    denoiser = training.start_network(
        p.model, store.latents.shape[1], store.texts.states.shape[1], init, p.training.seed
    )
    grids.mkdir(parents=True)
    trained = training.pretrain(
        store,
        denoiser,
        load_autoencoder(autoencoder),
        p.training,
        current_run(),
        lambda grid_u8, seen: Image.fromarray(grid_u8).save(grids / f"{seen:09d}.png"),
        current_profile().execution.accelerator,
    )
    grid = p.training.grid
    facts = {
        "px": p.px,
        "manifest_hash": store.manifest_hash,
        "sampling": {"num_sampling_steps": grid.num_sampling_steps, "guidance_scale": grid.guidance_scale},
        "shift": grid.shift,
        "model": asdict(p.model),
        "training": asdict(p.training),
    }
    training.save_pretrained(model, trained, facts)
    # The speed is no metric of the stage: those are kept by DVC, and two equal runs must leave equal files.
    current_run().log_metrics({"images_per_s": trained.images_seen / trained.seconds}, step=trained.images_seen)
    return Metrics(
        images_seen=trained.images_seen,
        parameters=sum(weight.numel() for weight in trained.raw.parameters()),
        final_loss=trained.final_loss,
        held_out_cell_loss=trained.held_out.get("heldout_cell", float("nan")),
        held_out_concept_loss=trained.held_out.get("heldout_concept", float("nan")),
    )
