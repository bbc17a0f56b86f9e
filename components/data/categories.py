"""Places in the category tree: those that people gave, and those that a classifier, or likeness, gives to the rest."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64

from components.data.clusters import cluster_names, fit_clusters, nearest_centres, unit_rows
from components.data.records import CATEGORIES, CATEGORY_CONFUSION, CATEGORY_REPORT, strings, unit_hash, write_table
from components.data.splits import concept_hash

ABSTAINED = ""


@dataclass(frozen=True)
class Labelled:
    """The rows that people placed, with their labels, and which of them a classifier must not see.

    `is_first` halves the rows held out. Images of one concept always go together.
    """

    rows: Int64[np.ndarray, " m"]
    categories: np.ndarray
    styles: np.ndarray
    is_heldout: Bool[np.ndarray, " m"]
    is_first: Bool[np.ndarray, " m"]

    def every(self, samples: pa.Table, number: int) -> Int64[np.ndarray, " s"]:
        """About one in `number` of these rows, counted among them, by a hash of the sample: more images move none."""
        ids = strings(samples, "sample_id")[self.rows]
        return np.flatnonzero(np.array([unit_hash(one, "autoencoded") * number < 1 for one in ids], bool))

    def others(self, num_rows: int) -> Int64[np.ndarray, " o"]:
        """The rows of all `num_rows` that nobody placed."""
        return np.setdiff1d(np.arange(num_rows), self.rows)


def labelled(samples: pa.Table, heldout_concept_frac: float) -> Labelled:
    """The rows of `samples` with a category; an image without a concept is held out, or not, on its own."""
    categories, concepts, styles = (strings(samples, name) for name in ("category", "concept", "style"))
    rows = np.flatnonzero(categories != "")
    ids = strings(samples, "sample_id")
    place = np.array([concept_hash(concepts[row] or ids[row]) for row in rows], np.float64)
    is_heldout = place < heldout_concept_frac
    return Labelled(rows, categories[rows], styles[rows], is_heldout, place < heldout_concept_frac / 2)


def place(
    samples: pa.Table,
    known: Labelled,
    names: np.ndarray,
    probability: Float[np.ndarray, " o"],
    min_probability: float,
    source: str,
) -> pa.Table:
    """The table `CATEGORIES`: people's labels with probability 1, and for the other rows `names` by `source`.

    Where `probability` is below `min_probability` the category is "", by "abstained".
    """
    others = known.others(samples.num_rows)
    is_sure = probability >= min_probability
    category, label_source = (np.full(samples.num_rows, "", dtype=object) for _ in range(2))
    certainty, is_heldout = np.ones(samples.num_rows, np.float32), np.full(samples.num_rows, source == "cluster")
    category[others] = np.where(is_sure, names, ABSTAINED)
    label_source[others] = np.where(is_sure, source, "abstained")
    certainty[others] = probability
    category[known.rows] = known.categories
    label_source[known.rows] = "tree"
    is_heldout[known.rows] |= known.is_heldout
    texts = [category, strings(samples, "subcategory"), label_source]
    columns = [pa.array(text.tolist(), pa.string()) for text in texts]
    return pa.table(
        [samples.column("sample_id"), *columns, pa.array(certainty), pa.array(is_heldout)], schema=CATEGORIES
    )


def likeness(
    features: Float[np.ndarray, "n d"], num_clusters: int, seed: int
) -> tuple[np.ndarray, Float[np.ndarray, " n"]]:
    """The cluster of each image as its category, and probability 1: there is nothing to be right or wrong about."""
    if not len(features):
        return np.array([], dtype=object), np.zeros(0)
    rows = unit_rows(features)
    centres = fit_clusters(rows, num_clusters, np.random.default_rng(seed))
    names = cluster_names(nearest_centres(rows, centres)[0])
    return np.array(names, dtype=object), np.ones(len(features))


def write_reports(table: pa.Table, known: Labelled, heldout_seen_as: np.ndarray, folder: Path) -> None:
    """Write category_report.parquet and category_confusion.parquet."""
    write_table(category_report(table, known, heldout_seen_as), folder / "category_report.parquet")
    write_table(confusion(known, heldout_seen_as), folder / "category_confusion.parquet")


def source_counts(table: pa.Table) -> Counter[str]:
    """How many images of `CATEGORIES` each source placed."""
    return Counter(table.column("label_source").to_pylist())


def category_report(table: pa.Table, known: Labelled, heldout_seen_as: np.ndarray) -> pa.Table:
    """The table `CATEGORY_REPORT`: of each category, how many images came from where, and how often it is told."""
    category, source = strings(table, "category"), strings(table, "label_source")
    probability = table.column("probability").to_numpy()
    truth = known.categories[known.is_heldout]
    right, heldout = Counter(truth[truth == heldout_seen_as]), Counter(truth)
    seen_as, labels, assigned = Counter(heldout_seen_as), Counter(known.categories), Counter(category[source != "tree"])
    sums = dict.fromkeys(assigned, 0.0)
    for name, value in zip(category[source != "tree"], probability[source != "tree"], strict=True):
        sums[name] += float(value)
    rows = [
        {
            "category": name,
            "labelled_images": labels[name],
            "heldout_images": heldout[name],
            "heldout_right": right[name],
            "heldout_recall": right[name] / heldout[name] if heldout[name] else None,
            "heldout_precision": right[name] / seen_as[name] if seen_as[name] else None,
            "assigned_images": assigned[name],
            "mean_probability": sums[name] / assigned[name] if assigned[name] else None,
        }
        for name in sorted({*labels, *assigned, *seen_as})
    ]
    return pa.Table.from_pylist(rows, schema=CATEGORY_REPORT)


def confusion(known: Labelled, heldout_seen_as: np.ndarray) -> pa.Table:
    """The table `CATEGORY_CONFUSION`: how many held-out images of each category were seen as which; no zeros."""
    pairs = Counter(zip(known.categories[known.is_heldout], heldout_seen_as, strict=True))
    rows = [{"category": truth, "seen_as": seen, "images": count} for (truth, seen), count in sorted(pairs.items())]
    return pa.Table.from_pylist(rows, schema=CATEGORY_CONFUSION)
