"""Fine-tuning on curated images, with a share of steps on what the network was pre-trained on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.data.buckets import Bucket
from components.data.latents import LatentStore, manifest_hash
from components.data.top_down.training_rows import heldout_split
from components.training.batches import BatchSource
from components.training.config import BatchConfig, HeldOutConfig, PriorConfig
from components.training.held_out import HeldOutSplit, fix_problems, main_kind
from components.training.mixed_batches import MixedSource

PRIOR = "prior"
OTHER_DOMAINS = "other_domains"
"""The split of images of domains that an expert is not trained on."""


def only_domains(
    curated: Mapping[Bucket, LatentStore], domain_of: Mapping[str, str], domains: Sequence[str]
) -> dict[Bucket, LatentStore]:
    """The same images, of which those of `domains` alone are trained on; `domain_of` tells the domain of a sample.

    ValueError names a domain that has no image to train on, and those that have some; or all of them, if none has an
    image held out: nothing would tell whether the training helped.
    """
    found = {bucket: _train_domains(store, domain_of) for bucket, store in curated.items()}
    there = sorted({domain for of_rows in found.values() for domain in of_rows if domain})
    if missing := [domain for domain in domains if domain not in there]:
        raise ValueError(
            f"domains names {', '.join(map(repr, missing))}, of which no image is trained on (there: "
            f"{', '.join(there)}); see curate_sft.domains and its report of gaps"
        )
    held_out = {split for store in curated.values() for split in store.rows.column("split").to_pylist()}
    if held_out.isdisjoint(map(heldout_split, domains)):
        raise ValueError(
            f"no image of domains {', '.join(domains)} is held out, so nothing would judge this training; raise "
            "encode_sft.heldout_frac, or name a domain with more images"
        )
    return {bucket: _narrowed(store, np.isin(found[bucket], ["", *domains])) for bucket, store in curated.items()}


def _train_domains(store: LatentStore, domain_of: Mapping[str, str]) -> np.ndarray:
    """The domain of every row that is trained on, and "" for the others."""
    ids = store.rows.column("sample_id").to_pylist()
    domains = [domain_of.get(name, "") if p > 0 else "" for name, p in zip(ids, store.probabilities, strict=True)]
    return np.array(domains, dtype=str)


def _narrowed(store: LatentStore, stays: np.ndarray) -> LatentStore:
    split = np.where(stays, np.array(store.rows.column("split").to_pylist(), dtype=object), OTHER_DOMAINS)
    rows = store.rows
    for name, values in (("split", split), ("probability", np.where(stays, store.probabilities, 0.0))):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), [values.tolist()])
    return replace(store, rows=rows, manifest_hash=manifest_hash(rows))


def sft_source(
    curated: Mapping[Bucket, LatentStore],
    earlier: Mapping[Bucket, LatentStore],
    batch: BatchConfig,
    prior: PriorConfig,
    *,
    seed: int,
) -> MixedSource:
    """Batches of curated images, and for `prior.frac` of the steps of `earlier` ones with their own captions."""
    return MixedSource(
        {
            "curated": (BatchSource(curated, batch, seed=seed), 1 - prior.frac),
            PRIOR: (BatchSource(earlier, replace(batch, caption_weights=prior.caption_weights), seed=seed), prior.frac),
        }
    )


def sft_problems(
    curated: Mapping[Bucket, LatentStore],
    earlier: Mapping[Bucket, LatentStore],
    config: HeldOutConfig,
    batch: BatchConfig,
    prior: PriorConfig,
) -> list[HeldOutSplit]:
    """Held-out images of each domain in all their styles of prompt, and the earlier ones under names with `prior/`."""
    before = fix_problems(earlier, config, (main_kind(prior.caption_weights),))
    return [
        *fix_problems(curated, config, tuple(batch.caption_weights)),
        *(replace(problem, name=f"{PRIOR}/{problem.name}") for problem in before),
    ]


@dataclass(frozen=True)
class Changes:
    """Mean held-out losses before and after, of domains and of earlier images, and the largest after / before.

    NaN where nothing is held out.
    """

    domain_before: float
    domain_after: float
    worst_ratio: float
    prior_before: float
    prior_after: float


def changes(before: Mapping[str, float], after: Mapping[str, float], domains: Sequence[str]) -> Changes:
    """What training changed, by held-out losses as `held_out_losses` names them; `domains` are those trained on."""
    own = [split for split in map(heldout_split, domains) if split in before]
    prior = [split for split in before if split.startswith(f"{PRIOR}/heldout_") and split.count("/") == 1]
    return Changes(
        domain_before=_mean(before, own),
        domain_after=_mean(after, own),
        worst_ratio=max((after[split] / before[split] for split in own), default=math.nan),
        prior_before=_mean(before, prior),
        prior_after=_mean(after, prior),
    )


def check_texts(curated: LatentStore, earlier: LatentStore) -> None:
    """ValueError unless one text encoder made the texts of both: a network reads the states of one."""
    widths = [store.texts.states.shape[1] for store in (curated, earlier)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"encode_sft made token states of {widths[0]} numbers and encode of {widths[1]}; give both one text_encoder"
        )


def _mean(losses: Mapping[str, float], splits: Sequence[str]) -> float:
    return sum(losses[split] for split in splits) / len(splits) if splits else math.nan
