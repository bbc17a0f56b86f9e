"""Stage `pretrain`: one phase of pre-training at one resolution; declared once per resolution."""

from dataclasses import dataclass
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
    from components.data.latents import check_autoencoder, read_buckets
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.training import pretrain as training
    from flows import trainings
    from flows.settings import current_profile

    first = trainings.first_weights(init, p.init)
    execution = current_profile().execution
    execution.accumulate(p.training.batch.batch_size)
    check_autoencoder(latents, autoencoder_sha256(autoencoder))
    buckets = read_buckets(latents, p.px)
    store = next(iter(buckets.values()))
    denoiser = training.start_network(
        p.model, store.latents.shape[1], store.texts.states.shape[1], first, p.training.lora, p.training.seed
    )
    trained = trainings.train_and_save(
        lambda surroundings, save_grid: training.pretrain(
            buckets, denoiser, load_autoencoder(autoencoder), p.training, execution, surroundings, save_grid
        ),
        denoiser,
        p.px,
        p.model,
        p.training,
        {},
        model=model,
        grids=grids,
    )
    return Metrics(
        images_seen=trained.images_seen,
        parameters=sum(weight.numel() for weight in trained.raw.values()),
        final_loss=trained.final_loss,
        held_out_cell_loss=trained.held_out.get("heldout_cell", float("nan")),
        held_out_concept_loss=trained.held_out.get("heldout_concept", float("nan")),
    )
