"""The selection table: what is trained on and how often, what is held out, and what is left aside."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from components.data.config import SplitShares, TwoLevelSampling
from components.data.errors import DataError
from components.data.records import SELECTION, strings, unit_hash
from components.data.sampling import category_entropy_bits, sampling_probabilities
from components.data.splits import split_samples


@dataclass(frozen=True)
class Wanted:
    """What may be selected: these categories and styles; a predicted category needs this probability.

    Of each category at most `max_concepts` concepts are taken (None: all): those drawn in most styles, and of these the
    ones with the shortest names, which are the commonest things.
    """

    categories: Sequence[str]
    styles: Sequence[str]
    min_category_probability: float
    max_concepts: int | None = None


def select(samples: pa.Table, tree: pa.Table, captioned: Set[str], wanted: Wanted) -> Bool[np.ndarray, " n"]:
    """Which rows may be used. DataError if none may; ValueError for a category or style that no sample has."""
    for name, asked, there in (
        ("categories", wanted.categories, strings(tree, "category")),
        ("styles", wanted.styles, strings(samples, "style")),
    ):
        unknown = sorted(set(asked) - set(there))
        if unknown:
            raise ValueError(f"sample.{name} has {unknown}; allowed: {sorted(set(there))}")
    is_wanted = (
        np.isin(strings(tree, "category"), list(wanted.categories))
        & np.isin(strings(samples, "style"), list(wanted.styles))
        & (tree.column("probability").to_numpy() >= wanted.min_category_probability)
        & np.array([sample_id in captioned for sample_id in samples.column("sample_id").to_pylist()], bool)
    )
    if wanted.max_concepts is not None:
        rows = np.flatnonzero(is_wanted)
        concepts, styles, titles = (strings(samples, name)[rows] for name in ("concept", "style", "title_en"))
        few = fewer_concepts(strings(tree, "category")[rows], concepts, styles, titles, wanted.max_concepts)
        is_wanted[rows[~few]] = False
    if not is_wanted.any():
        raise DataError(f"no image is left of {samples.num_rows}; widen sample.categories or sample.styles")
    return is_wanted


def fewer_concepts(
    categories: np.ndarray, concepts: np.ndarray, styles: np.ndarray, titles: np.ndarray, max_concepts: int
) -> Bool[np.ndarray, " n"]:
    """Which rows belong to the `max_concepts` commonest concepts of their category.

    Those drawn in most styles come first, then those with the shortest title: frequent words are short. What still ties
    is ordered by a hash of the concept. Rows without a concept are kept. ValueError if `max_concepts` is not positive.
    Source: Zipf 1949, Human Behavior and the Principle of Least Effort (the law of abbreviation).
    """
    if max_concepts < 1:
        raise ValueError(f"max_concepts is {max_concepts}; allowed: 1 or more, or null for all")
    drawn_in: dict[tuple[str, str], set[str]] = {}
    name_of = dict(zip(concepts, titles, strict=True))
    for category, concept, style in zip(categories, concepts, styles, strict=True):
        drawn_in.setdefault((category, concept), set()).add(style)

    def rank(key: tuple[str, str]) -> tuple[int, int, float]:
        return -len(drawn_in[key]), len(name_of[key[1]]), unit_hash(key[1], "selected-concept")

    ranked = sorted(drawn_in, key=rank)
    taken: dict[str, set[str]] = {}
    for category, concept in ranked:
        of_category = taken.setdefault(category, set())
        if len(of_category) < max_concepts and concept:
            of_category.add(concept)
    pairs = zip(categories, concepts, strict=True)
    return np.array([not concept or concept in taken[category] for category, concept in pairs], bool)


def selection_table(
    samples: pa.Table, tree: pa.Table, scores: pa.Table, split: SplitShares, weights: TwoLevelSampling
) -> pa.Table:
    """The table `SELECTION` of the rows given; DataError if a held-out image was shown to the classifiers."""
    styles, concepts = strings(samples, "style"), strings(samples, "concept")
    splits = split_samples(styles.tolist(), concepts.tolist(), split)
    is_train = splits == "train"
    if not is_train.any():
        raise DataError(f"all {len(splits)} images are held out; lower sample.split or take more images")
    seen = ~is_train & ~tree.column("is_probe_heldout").to_numpy(zero_copy_only=False)
    if seen.any():
        raise DataError(
            f"{int(seen.sum())} held-out images were used to fit the classifiers that judge them; "
            "categorize.heldout_concept_frac must be at least the sum of the shares in sample.split"
        )
    categories = strings(tree, "category")
    probability = np.zeros(len(splits))
    aesthetic = scores.column("aesthetic").to_numpy()
    probability[is_train] = sampling_probabilities(categories[is_train].tolist(), aesthetic[is_train], weights)
    texts = [pa.array(values.tolist(), pa.string()) for values in (categories, styles, concepts, splits)]
    return pa.table([samples.column("sample_id"), *texts, pa.array(probability)], schema=SELECTION)


def selection_report(table: pa.Table, aesthetic: Float[np.ndarray, " n"]) -> dict[str, float]:
    """What sampling changed: entropy and share of the categories, mean score, expected repeats per epoch."""
    is_train = strings(table, "split") == "train"
    categories = strings(table, "category")[is_train].tolist()
    probability, aesthetic = table.column("probability").to_numpy()[is_train], aesthetic[is_train]
    natural = np.full(len(probability), 1 / len(probability))
    repeats = probability * len(probability)
    masses = [probability[np.array(categories) == name].sum() for name in set(categories)]
    return {
        "natural_entropy_bits": category_entropy_bits(categories, natural),
        "sampled_entropy_bits": category_entropy_bits(categories, probability),
        "largest_category_frac": float(max(masses)),
        "mean_aesthetic_natural": float(aesthetic.mean()),
        "mean_aesthetic_sampled": float((probability * aesthetic).sum()),
        "expected_repeats_max": float(repeats.max()),
        "expected_repeats_p99": float(np.percentile(repeats, 99)),
    }
