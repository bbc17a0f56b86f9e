"""The two pools that a demand is met from, put together from the tables of other stages."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from components.data.records import strings
from components.data.top_down.demand import Candidates, free_of_held_out
from components.data.top_down.known import has_words, with_made_titles


def from_catalogue(
    samples: pa.Table,
    tree: pa.Table,
    captions: pa.Table,
    scores: pa.Table,
    features: Float[np.ndarray, "n d"],
    selection: pa.Table,
) -> Candidates:
    """The kept images; `samples`, `tree`, `scores` and `features` in one order. Held out is what `selection` says."""
    ids = samples.column("sample_id").to_pylist()
    concepts, titles = strings(samples, "concept"), strings(samples, "title_en")
    splits = dict(zip(selection.column("sample_id").to_pylist(), strings(selection, "split"), strict=True))
    texts = caption_texts(captions)
    held_titles = {
        title for sample_id, title in zip(ids, titles, strict=True) if splits.get(sample_id) == "heldout_concept"
    }
    words = [texts.get(sample_id, "") for sample_id in ids]
    rows = with_made_titles(samples.to_pylist(), captions)
    return Candidates(
        pool="catalogue",
        sample_ids=ids,
        texts=words,
        styles=strings(samples, "style"),
        categories=strings(tree, "category"),
        concepts=np.array([c or t.lower() or i for c, t, i in zip(concepts, titles, ids, strict=True)], dtype=object),
        probabilities=tree.column("probability").to_numpy().astype(np.float64),
        quality=quantiles(scores.column("aesthetic").to_numpy()),
        is_described=np.array([has_words(row, "en") for row in rows], bool),
        is_free=free_of_held_out(ids, concepts, words, splits, held_titles),
        features=features.astype(np.float64),
    )


def from_rendered(samples: pa.Table, captions: pa.Table, rendered: pa.Table) -> Candidates:
    """The images with rendered text: all described by their specification, none scored; one concept a wording."""
    texts = caption_texts(captions)
    ids = samples.column("sample_id").to_pylist()
    everything = np.ones(len(ids), bool)
    return Candidates(
        pool="rendered",
        sample_ids=ids,
        texts=[texts.get(sample_id, "") for sample_id in ids],
        styles=strings(samples, "style"),
        categories=strings(samples, "category"),
        concepts=np.array(["\n".join(lines) for lines in rendered.column("lines").to_pylist()], dtype=object),
        probabilities=np.ones(len(ids)),
        quality=np.ones(len(ids)),
        is_described=everything,
        is_free=everything,
        features=None,
    )


def caption_texts(captions: pa.Table) -> Mapping[str, str]:
    """All captions of every sample as one text; structured ones only repeat the others between names of fields."""
    joined = defaultdict[str, list[str]](list)
    columns = (captions.column("sample_id").to_pylist(), strings(captions, "kind"), strings(captions, "text"))
    for sample_id, kind, text in zip(*columns, strict=True):
        if kind != "structured":
            joined[sample_id].append(text)
    return {sample_id: "\n".join(texts) for sample_id, texts in joined.items()}


def quantiles(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The share of values that are smaller, ties counted half: in [0, 1)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return ((np.cumsum(counts) - counts / 2) / max(len(values), 1))[place]
