"""Stage `sft`: fine-tuning on the curated images; on one domain, and by adapters, it makes a domain expert."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.models.config import DiTConfig, InitialWeights
from components.training.config import PretrainConfig, PriorConfig


class Params(BaseModel, frozen=True, extra="forbid"):
    """As of `pretrain`; the domains that are trained on (null: all), and how much pre-training goes on beside them."""

    px: int = Field(gt=0, multiple_of=16)
    init: InitialWeights | None
    model: DiTConfig
    domains: tuple[str, ...] | None = Field(min_length=1)
    prior: PriorConfig
    training: PretrainConfig


@dataclass(frozen=True)
class Metrics:
    """Held-out losses before the first step and after the last: of domains the mean over those that are trained on.

    `worst_domain_ratio` is the largest after / before of a domain: below 1, every domain became better. `prior` is the
    mean over the held-out splits of pre-training, whose ratio says what was forgotten.
    """

    images_seen: int
    final_loss: float
    domain_loss_before: float
    domain_loss_after: float
    worst_domain_ratio: float
    prior_loss_before: float
    prior_loss_after: float


def sft(
    p: Params,
    *,
    curated: Path,
    sft_selection: Path,
    latents: Path,
    autoencoder: Path,
    init: Path | None = None,
    model: Path,
    grids: Path,
) -> Metrics:
    """Fine-tune the transformer on curated images, with a share of steps on the images of pre-training (`latents`)."""
    from components.data import records
    from components.data.latents import check_autoencoder, read_buckets
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder
    from components.training import pretrain as training
    from components.training.sft import changes, check_texts, only_domains
    from flows import trainings
    from flows.settings import current_profile

    first = trainings.first_weights(init, p.init)
    execution = current_profile().execution
    execution.accumulate(p.training.batch.batch_size)
    for directory in (curated, latents):
        check_autoencoder(directory, autoencoder_sha256(autoencoder))
    chosen, earlier = read_buckets(curated, p.px), read_buckets(latents, p.px)
    selection = records.read_table(sft_selection, records.SFT_SELECTION)
    names, domains = selection.column("sample_id").to_pylist(), selection.column("domain").to_pylist()
    if p.domains is not None:
        chosen = only_domains(chosen, dict(zip(names, domains, strict=True)), p.domains)
    store = next(iter(chosen.values()))
    check_texts(store, next(iter(earlier.values())))
    denoiser = training.start_network(
        p.model, store.latents.shape[1], store.texts.states.shape[1], first, p.training.lora, p.training.seed
    )
    trained = trainings.train_and_save(
        lambda surroundings, save_grid: training.fine_tune(
            *(chosen, earlier, denoiser, load_autoencoder(autoencoder)),
            *(p.training, p.prior, execution, surroundings, save_grid),
        ),
        denoiser,
        p.px,
        p.model,
        p.training,
        {"domains": p.domains, "prior": asdict(p.prior)},
        model=model,
        grids=grids,
    )
    change = changes(trained.held_out_before, trained.held_out, sorted(p.domains or set(domains)))
    return Metrics(
        images_seen=trained.images_seen,
        final_loss=trained.final_loss,
        domain_loss_before=change.domain_before,
        domain_loss_after=change.domain_after,
        worst_domain_ratio=change.worst_ratio,
        prior_loss_before=change.prior_before,
        prior_loss_after=change.prior_after,
    )
