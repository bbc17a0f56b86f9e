"""Stage `preferences`: pairs of images of one prompt, of which one is preferred: by models, or by people in files.

In the default run the judges are small models of this project and nobody chose anything. The table of pairs says so in
its metadata, each row says it in `is_human`, and so does the run's tag `easel.judges`.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, model_validator

from components.data.config import Buckets, DecodeLimits
from components.preference.config import JudgeWeights, Layout, PairRules
from components.samplers.config import SamplingConfig

NUM_SHOWN = 18


def _below_data(path: str) -> str:
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} is no path below data/; allowed: for example preferences/pairs.jsonl")
    return path


BelowData = Annotated[str, AfterValidator(_below_data)]


class OwnCandidates(BaseModel, frozen=True, extra="forbid"):
    """Images that the model draws for prompts of training rows, and how much each judge of them counts."""

    num_prompts: int = Field(gt=1)
    caption_shares: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    candidates_per_prompt: int = Field(gt=1)
    sampling: SamplingConfig
    judges: JudgeWeights

    @model_validator(mode="after")
    def _is_judged(self) -> "OwnCandidates":
        if min(self.judges.values(), default=0) < 0 or not sum(self.judges.values()) > 0:
            raise ValueError(f"judges are {self.judges}; allowed: weights of 0 or more, one of them above 0")
        return self


class PairFile(BaseModel, frozen=True, extra="forbid"):
    """A file of pairs that others published, below data/."""

    path: BelowData
    layout: Layout


class Params(BaseModel, frozen=True, extra="forbid"):
    """Where pairs come from, which are kept, and the least number to train on.

    `buckets`, `batch_size` and `limits` are for images that come in files; drawn ones are squares of `px`.
    """

    px: int = Field(gt=0, multiple_of=16)
    own: OwnCandidates | None
    files: tuple[PairFile, ...]
    votes: BelowData | None
    rules: PairRules
    min_pairs: int = Field(gt=0)
    buckets: Buckets
    batch_size: int = Field(gt=0)
    limits: DecodeLimits
    seed: int

    @model_validator(mode="after")
    def _has_images(self) -> "Params":
        if self.own is None and not self.files:
            raise ValueError("`own` is null and `files` is empty; allowed: either or both (votes are on their images)")
        return self


@dataclass(frozen=True)
class Metrics:
    """`dropped_images` are those in no pair, for whatever reason, `tied_images` those of them without a clear margin.

    `refused_prompts` of training rows stand in an evaluation set. `mean_margin` is, for pairs that models judged, in
    deviations of the weighted score. `judge_agreement`: on which share of them alignment and aesthetic proxy agree.
    """

    prompts: int
    refused_prompts: int
    candidates: int
    pairs: int
    heldout_pairs: int
    human_pairs: int
    dropped_images: int
    tied_images: int
    unjudged_images: int
    mean_margin: float
    judge_agreement: float


def preferences(
    p: Params,
    *,
    model: Path,
    autoencoder: Path,
    latents: Path,
    sft_latents: Path,
    classifier: Path,
    scorer: Path,
    raw: Path,
    pairs: Path,
    candidates: Path,
    candidate_images: Path,
    pair_latents: Path,
) -> Metrics:
    """Draw candidates for training prompts, let models judge them, add pairs of files and votes, encode all pairs."""
    from components.data import latents as store
    from components.data import records
    from components.data.album import Album
    from components.models.autoencoder import autoencoder_sha256
    from components.preference.questions import evaluation_texts
    from components.tracking import current_run
    from flows import preference_sources as sources
    from flows.pair_latents import PairEncoding, write_pair_latents

    run = current_run()
    for folder in (latents, sft_latents):
        store.check_autoencoder(folder, autoencoder_sha256(autoencoder))
    selections = [store.read_selection(folder) for folder in (latents, sft_latents)]
    asked_by_others = evaluation_texts(selections)
    album, parts = Album(candidate_images), list[sources.Found]()
    if p.own is not None:
        networks = sources.Networks(model, autoencoder, classifier, scorer)
        parts.append(sources.draw(p.own, p.px, p.rules, p.seed, networks, selections, album, run.progress))
    if p.files:
        parts.append(sources.bring_files(p.files, raw, p.px, p.buckets, p.rules, p.limits, album, asked_by_others))
    found = sources.joined(parts, raw / p.votes if p.votes else None, p.rules, asked_by_others)
    sources.check(found, p.px, p.buckets, p.min_pairs)
    images = album.close()
    judged_by = sources.who_judged(found.pairs)
    records.write_table(found.pairs, pairs, {"judges": judged_by})
    records.write_table(found.candidates, candidates, {"judges": judged_by})
    write_pair_latents(
        *(pair_latents, found.pairs, found.candidates, found.latents, found.states, images.take, autoencoder),
        *(PairEncoding(p.px, p.buckets, p.batch_size, p.limits), run.progress),
    )
    run.set_tags({"easel.judges": judged_by})
    run.log_metrics({f"dropped/{reason}": number for reason, number in found.dropped.items()})
    run.log_image("pairs", sources.sheet(found.pairs, images.take, p.px, NUM_SHOWN, p.limits))
    return Metrics(**found.measures())
