"""The SFT set as rows to encode: how often each image is drawn, and which of each domain are never trained on.

Decided by a hash of the concept, so that all images of a concept go the same way in every domain, and of images that no
earlier training has seen: what is measured on them is not what was learnt by heart.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.data.errors import DataError
from components.data.records import SELECTION, unit_hash

TRAIN = "train"
Row = Mapping[str, Any]


def heldout_split(domain: str) -> str:
    """The name of the split with the images of `domain` that are not trained on."""
    return f"heldout_{domain}"


def training_rows(chosen: pa.Table, seen: Collection[str], heldout_frac: float, seed: int) -> pa.Table:
    """`SELECTION` of `chosen` (`SFT_SELECTION`), in its order; `seen` are the samples of earlier trainings.

    About `heldout_frac` of each domain is held out, as far as it has concepts that were not seen, but never its last
    concept. A domain keeps its share of the draws, and within it images are drawn by their weights. DataError if
    nothing is left to train on.
    """
    rows: list[Row] = chosen.to_pylist()
    held = _held_concepts(rows, seen, heldout_frac, seed)
    is_held = [_concept(row) in held for row in rows]
    share, trained = defaultdict[str, float](float), defaultdict[str, float](float)
    for row, out in zip(rows, is_held, strict=True):
        share[row["domain"]] += row["weight"]
        trained[row["domain"]] += 0.0 if out else row["weight"]
    total = sum(share[domain] for domain, weight in trained.items() if weight > 0)
    if not total > 0:
        raise DataError("sft_selection: no image is left to train on; demand more, or hold out less (heldout_frac)")
    made = [
        {
            **{name: row[name] for name in ("sample_id", "category", "style", "concept")},
            "split": heldout_split(row["domain"]) if out else TRAIN,
            "probability": 0.0 if out else row["weight"] / trained[row["domain"]] * share[row["domain"]] / total,
        }
        for row, out in zip(rows, is_held, strict=True)
    ]
    return pa.Table.from_pylist(made, schema=SELECTION)


def _held_concepts(rows: Sequence[Row], seen: Collection[str], heldout_frac: float, seed: int) -> set[str]:
    known = {_concept(row) for row in rows if row["sample_id"] in seen}
    images: dict[str, Counter[str]] = {}
    for row in rows:
        images.setdefault(row["domain"], Counter())[_concept(row)] += 1
    held = set[str]()
    for of_domain in images.values():
        wanted = round(heldout_frac * of_domain.total())
        in_order = sorted(of_domain, key=lambda concept: unit_hash(concept, f"heldout-sft {seed}"))
        for concept in [one for one in in_order if one not in known][: len(of_domain) - 1]:
            if wanted <= 0:
                break
            held.add(concept)
            wanted -= of_domain[concept]
    return held


def _concept(row: Row) -> str:
    return row["concept"] or row["sample_id"]
