"""The selection table: what is trained on and how often, what is held out, and what is left aside."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int8, Int64

from components.data.arrow import pc
from components.data.config import SplitShares, TwoLevelSampling
from components.data.errors import DataError
from components.data.records import BALANCE, SELECTION, open_table, unit_hash, write_table
from components.data.sampling import Sampling, entropy_bits, fit_sampling
from components.data.splits import SPLITS, TRAIN, Splitter

CANDIDATES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("category", pa.string()),
        ("style", pa.string()),
        ("concept", pa.string()),
        ("aesthetic", pa.float32()),
        ("was_fitted", pa.bool_()),
    ]
)
"""One row per image that may be selected; `was_fitted`: a classifier that judges generated images was shown it."""
Candidates = Callable[[list[str]], Iterable[pa.RecordBatch]]
"""These columns of the rows of `CANDIDATES`, batch by batch; every call begins anew."""


@dataclass(frozen=True)
class Wanted:
    """What may be selected: these categories and styles (None: all).

    Of each category at most `max_concepts` concepts are taken (None: all): those drawn in most styles, and of these the
    ones with the shortest names, which are the commonest things.
    """

    categories: Sequence[str] | None
    styles: Sequence[str] | None
    max_concepts: int | None = None


def select(samples: pa.Table, tree: pa.Table, captioned: pa.Array, wanted: Wanted) -> Bool[np.ndarray, " n"]:
    """Which rows may be used. DataError if none may; ValueError for a category or style that no sample has.

    Images without a category are used only where all categories are wanted.
    """
    categories, styles = _text(tree, "category"), _text(samples, "style")
    is_wanted = pc.is_in(samples.column("sample_id"), value_set=captioned)
    for name, asked, there in (("categories", wanted.categories, categories), ("styles", wanted.styles, styles)):
        if asked is None:
            continue
        known = pc.unique(there).to_pylist()
        if unknown := sorted(set(asked) - set(known)):
            raise ValueError(f"sample.{name} has {unknown}; allowed: {sorted(known)}, or null for all")
        is_wanted = pc.and_(is_wanted, pc.is_in(there, value_set=pa.array(list(asked), pa.string())))
    chosen: Bool[np.ndarray, " n"] = is_wanted.to_numpy()
    if wanted.max_concepts is not None:
        rows = np.flatnonzero(chosen)
        table = pa.table([categories, _text(samples, "concept"), styles, _text(samples, "title_en")], list(_NAMED))
        chosen[rows[~fewer_concepts(table.take(rows), wanted.max_concepts)]] = False
    if not chosen.any():
        raise DataError(f"no image is left of {samples.num_rows}; widen sample.categories or sample.styles")
    return chosen


_NAMED = ("category", "concept", "style", "title")


def fewer_concepts(table: pa.Table, max_concepts: int) -> Bool[np.ndarray, " n"]:
    """Which rows of (category, concept, style, title) are of the `max_concepts` commonest concepts of their category.

    Those drawn in most styles come first, then those with the shortest title: frequent words are short. What still ties
    is ordered by a hash of the concept. Rows without a concept are kept. ValueError if `max_concepts` is not positive.
    Source: Zipf 1949, Human Behavior and the Principle of Least Effort (the law of abbreviation).
    """
    if max_concepts < 1:
        raise ValueError(f"max_concepts is {max_concepts}; allowed: 1 or more, or null for all")
    category, concept, style = (_codes(table, name) for name in _NAMED[:3])
    names: list[str] = pc.unique(table.column("concept")).to_pylist()
    title_length = np.zeros(len(names), np.int64)
    title_length[concept] = pc.utf8_length(table.column("title")).to_numpy()
    place = np.array([unit_hash(name, "selected-concept") for name in names])
    cells = np.unique(np.stack([category, concept, style], axis=1), axis=0)
    pairs, num_styles = np.unique(cells[:, :2], axis=0, return_counts=True)
    is_named = np.array([name != "" for name in names], bool)
    pairs, num_styles = pairs[is_named[pairs[:, 1]]], num_styles[is_named[pairs[:, 1]]]
    best_first = np.lexsort((place[pairs[:, 1]], title_length[pairs[:, 1]], -num_styles, pairs[:, 0]))
    pairs = pairs[best_first]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    taken = pairs[rank < max_concepts] @ np.array([len(names), 1])
    return np.isin(category * len(names) + concept, taken) | ~is_named[concept]


def candidates_of(samples: pa.Table, tree: pa.Table, scores: pa.Table) -> pa.Table:
    """The rows of tables that name the same samples, as `CANDIDATES`."""
    was_fitted = pc.and_(pc.equal(tree.column("label_source"), "tree"), pc.invert(tree.column("is_probe_heldout")))
    texts = [_text(tree, "category"), _text(samples, "style"), _text(samples, "concept")]
    columns = [samples.column("sample_id"), *texts, scores.column("aesthetic"), was_fitted]
    return pa.table(columns, schema=CANDIDATES)


@dataclass(frozen=True)
class Balance:
    """What sampling changed, all of the training images: expectations over the probabilities."""

    split_images: dict[str, int]
    natural_entropy_bits: float
    sampled_entropy_bits: float
    largest_category_frac: float
    mean_aesthetic_natural: float
    mean_aesthetic_sampled: float
    expected_repeats_max: float
    effective_images_frac: float


def write_selection(
    candidates: Candidates, split: SplitShares, weights: TwoLevelSampling, selection: Path, balance: Path
) -> Balance:
    """Write `SELECTION` and, for each category, `BALANCE`; the candidates are read a few times, batch by batch.

    Memory grows with the numbers of categories and concepts, and by one byte an image. DataError if nothing is left to
    train on, or if a held-out image was shown to the classifiers.
    """
    names = _names(candidates, ["category", "style", "concept"])
    splits = _splits(candidates, names, split)

    def training() -> Iterator[tuple[Int64[np.ndarray, " m"], Float[np.ndarray, " m"]]]:
        for batch, is_train in _with(candidates(["category", "aesthetic"]), splits == TRAIN):
            yield _numbered(batch, names, "category")[is_train], _scores(batch)[is_train]

    fitted = fit_sampling(training, len(names["category"]), weights)
    natural = fitted.counts / fitted.counts.sum()
    sums = _write_rows(candidates, splits, names["category"], fitted, selection)
    write_table(_balance_table(names["category"], fitted), balance)
    return Balance(
        split_images=dict(zip(SPLITS, np.bincount(splits, minlength=len(SPLITS)).tolist(), strict=True)),
        natural_entropy_bits=entropy_bits(natural),
        sampled_entropy_bits=entropy_bits(fitted.category_probability),
        largest_category_frac=float(fitted.category_probability.max()),
        mean_aesthetic_natural=fitted.score_mean,
        mean_aesthetic_sampled=sums.aesthetic,
        expected_repeats_max=sums.highest * int(fitted.counts.sum()),
        effective_images_frac=1 / (sums.squares * int(fitted.counts.sum())),
    )


@dataclass
class _Sums:
    """Sums over images of p aes and of p squared, and the highest p."""

    aesthetic: float = 0.0
    squares: float = 0.0
    highest: float = 0.0

    def add(self, probability: Float[np.ndarray, " m"], aesthetic: Float[np.ndarray, " m"]) -> None:
        self.aesthetic += float(probability @ aesthetic)
        self.squares += float(probability @ probability)
        self.highest = max(self.highest, float(probability.max(initial=0.0)))


def _splits(candidates: Candidates, names: dict[str, pa.Array], shares: SplitShares) -> Int8[np.ndarray, " n"]:
    def shown() -> Iterator[tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]]:
        for batch in candidates(["style", "concept"]):
            yield _numbered(batch, names, "style"), _numbered(batch, names, "concept")

    splitter = Splitter(names["style"].to_pylist(), names["concept"].to_pylist(), shares, shown)
    parts = [np.empty(0, np.int8)]
    num_seen = 0
    for batch in candidates(["sample_id", "style", "concept", "was_fitted"]):
        style, concept = (_numbered(batch, names, name) for name in ("style", "concept"))
        part = splitter.split(style, concept, batch.column("sample_id"))
        num_seen += int((batch.column("was_fitted").to_numpy(zero_copy_only=False) & (part != TRAIN)).sum())
        parts.append(part)
    splits = np.concatenate(parts)
    if num_seen:
        raise DataError(
            f"{num_seen} held-out images were used to fit the classifiers that judge them; "
            "categorize.heldout_concept_frac must be at least the sum of the shares in sample.split"
        )
    if not (splits == TRAIN).any():
        raise DataError(f"all {len(splits)} images are held out; lower sample.split or take more images")
    return splits


def _write_rows(
    candidates: Candidates, splits: Int8[np.ndarray, " n"], categories: pa.Array, fitted: Sampling, file: Path
) -> _Sums:
    sums = _Sums()
    with open_table(file, SELECTION) as write:
        for batch, split in _with(candidates([*CANDIDATES.names]), splits):
            place, aesthetic = _numbered(batch, {"category": categories}, "category"), _scores(batch)
            probability = np.where(split == TRAIN, fitted.probabilities(place, aesthetic), 0.0)
            sums.add(probability, aesthetic)
            texts = [batch.column(name) for name in ("sample_id", "category", "style", "concept")]
            named = pa.array(SPLITS, pa.string()).take(pa.array(split))
            write(pa.table([*texts, named, pa.array(probability)], schema=SELECTION))
    return sums


def _balance_table(categories: pa.Array, fitted: Sampling) -> pa.Table:
    """Per category with training images: its natural and its sampled share, and images expected per epoch."""
    num_images = int(fitted.counts.sum())
    columns = [
        categories,
        pa.array(fitted.counts),
        pa.array(fitted.counts / num_images),
        pa.array(fitted.category_probability),
        pa.array(fitted.category_probability * num_images),
        pa.array(fitted.mean_scores),
    ]
    return pa.table(columns, schema=BALANCE).filter(pa.array(fitted.counts > 0))


def _with(batches: Iterable[pa.RecordBatch], values: np.ndarray) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Every batch beside its rows' share of `values`."""
    start = 0
    for batch in batches:
        yield batch, values[start : start + batch.num_rows]
        start += batch.num_rows


def _names(candidates: Candidates, columns: list[str]) -> dict[str, pa.Array]:
    """The different values of text columns, sorted."""
    found = {column: pa.array([], pa.string()) for column in columns}
    for batch in candidates(columns):
        for column, known in found.items():
            found[column] = pc.unique(pa.concat_arrays([known, pc.unique(batch.column(column))]))
    return {column: names.take(pc.array_sort_indices(names)) for column, names in found.items()}


def _numbered(batch: pa.RecordBatch, names: dict[str, pa.Array], column: str) -> Int64[np.ndarray, " m"]:
    return pc.index_in(batch.column(column), value_set=names[column]).to_numpy(zero_copy_only=False).astype(np.int64)


def _scores(batch: pa.RecordBatch) -> Float[np.ndarray, " m"]:
    return batch.column("aesthetic").to_numpy(zero_copy_only=False).astype(np.float64)


def _codes(table: pa.Table, column: str) -> Int64[np.ndarray, " n"]:
    """Numbers of a text column's values in the order in which they first occur."""
    values = table.column(column)
    return pc.index_in(values, value_set=pc.unique(values)).to_numpy().astype(np.int64)


def _text(table: pa.Table, column: str) -> pa.ChunkedArray:
    return pc.fill_null(table.column(column), "")
