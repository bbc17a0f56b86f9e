"""A demand list met from pools of images: what fits each domain, what is taken, and what is missing and why.

The conditions of a domain are asked one after the other, and how many images each leaves is kept: the gap report names
the one that left fewer than were wanted. Domains choose in the order of the list; an image serves one domain.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from components.data.errors import DataError
from components.data.records import SFT_GAPS, SFT_SELECTION, unit_hash
from components.data.top_down.config import Domain
from components.data.top_down.retrieval import WordIndex, likeness, tokens

_SHARE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Candidates:
    """A pool to choose from, column by column.

    Args:
        pool: its name.
        sample_ids: who is in it.
        texts: all captions of each, as one text.
        styles: the style's name of each.
        categories: the category of each.
        concepts: what counts as one thing: the concept, else the title, else the image.
        probabilities: how sure the category is.
        quality: the place of its aesthetic score in the pool, in [0, 1); 1 where there is no score.
        is_described: whether it has words to write prompts from.
        is_free: whether it may be trained on (nothing held out).
        features: image features, or none.
    """

    pool: str
    sample_ids: Sequence[str]
    texts: Sequence[str]
    styles: np.ndarray
    categories: np.ndarray
    concepts: np.ndarray
    probabilities: Float[np.ndarray, " n"]
    quality: Float[np.ndarray, " n"]
    is_described: Bool[np.ndarray, " n"]
    is_free: Bool[np.ndarray, " n"]
    features: Float[np.ndarray, "n d"] | None


@dataclass(frozen=True)
class Found:
    """What one domain got: rows of its pool, how each was found, how well it fits; and what each condition left."""

    domain: Domain
    wanted: int
    rows: tuple[int, ...]
    found_by: tuple[str, ...]
    relevance: tuple[float, ...]
    steps: tuple[tuple[str, int], ...]
    remark: str


def check_demand(domains: Sequence[Domain]) -> None:
    """ValueError for a list that cannot be meant: no domain, one name twice, shares that do not add up to 1, ranges."""
    names = [domain.name for domain in domains]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"curate_sft.domains are {names}; allowed: at least one, each name once")
    total = sum(domain.share for domain in domains)
    if min(domain.share for domain in domains) <= 0 or abs(total - 1) > _SHARE_TOLERANCE:
        raise ValueError(f"the shares in curate_sft.domains add up to {total:g}; allowed: each above 0, together 1")
    for domain in domains:
        if not (
            0 <= domain.min_quality < 1 and 0 <= domain.min_category_probability <= 1 and domain.max_per_concept > 0
        ):
            raise ValueError(
                f"domain {domain.name}: allowed are min_quality in [0, 1), min_category_probability in [0, 1] and "
                "max_per_concept of 1 or more"
            )


def wanted_numbers(domains: Sequence[Domain], num_images: int) -> list[int]:
    """How many images each domain gets of `num_images`, by largest remainder: the numbers add up exactly."""
    exact = np.array([domain.share * num_images for domain in domains])
    floors = np.floor(exact + 1e-9).astype(int)
    largest = np.argsort(-(exact - floors), kind="stable")[: num_images - int(floors.sum())]
    floors[largest] += 1
    return floors.tolist()


def meet(domains: Sequence[Domain], pools: Sequence[Candidates], num_images: int) -> list[Found]:
    """What every domain finds in its pool; DataError for a pool that is not there."""
    check_demand(domains)
    by_name = {pool.pool: pool for pool in pools}
    indexes = {pool.pool: WordIndex(pool.texts) for pool in pools}
    taken: dict[str, set[int]] = {pool.pool: set() for pool in pools}
    found: list[Found] = []
    for domain, wanted in zip(domains, wanted_numbers(domains, num_images), strict=True):
        if domain.pool not in by_name:
            raise DataError(f"domain {domain.name}: no pool {domain.pool!r}; there are: {', '.join(by_name)}")
        one = _find(domain, wanted, by_name[domain.pool], indexes[domain.pool], taken[domain.pool])
        taken[domain.pool].update(one.rows)
        found.append(one)
    return found


def selection_table(found: Sequence[Found], pools: Sequence[Candidates]) -> pa.Table:
    """`SFT_SELECTION`: within a domain all weigh the same, a domain weighs its share; all weights add up to 1."""
    by_name = {pool.pool: pool for pool in pools}
    met = sum(one.domain.share for one in found if one.rows)
    rows = [
        {
            "sample_id": pool.sample_ids[row],
            "pool": pool.pool,
            "domain": one.domain.name,
            "found_by": by,
            "relevance": relevance,
            "weight": one.domain.share / met / len(one.rows),
            "category": pool.categories[row],
            "style": pool.styles[row],
            "concept": pool.concepts[row],
        }
        for one in found
        for pool in (by_name[one.domain.pool],)
        for row, by, relevance in zip(one.rows, one.found_by, one.relevance, strict=True)
    ]
    if not rows:
        raise DataError("no image fits any domain of curate_sft.domains; the gap report says what each condition left")
    return pa.Table.from_pylist(rows, schema=SFT_SELECTION)


def gaps_table(found: Sequence[Found]) -> pa.Table:
    """`SFT_GAPS`: what every domain wanted, found and lacks, and why."""
    rows = [
        {
            "domain": one.domain.name,
            "pool": one.domain.pool,
            "wanted": one.wanted,
            "found": len(one.rows),
            "missing": one.wanted - len(one.rows),
            "steps": [{"condition": name, "left": left} for name, left in one.steps],
            "why": _why(one),
        }
        for one in found
    ]
    return pa.Table.from_pylist(rows, schema=SFT_GAPS)


def gaps_text(gaps: pa.Table) -> str:
    """The gap report for a person: one line a domain, and below it what each condition left."""
    lines: list[str] = []
    for row in gaps.to_pylist():
        lines.append(f"{row['domain']}: wanted {row['wanted']}, found {row['found']}, missing {row['missing']}")
        lines.append("  " + " > ".join(f"{step['condition']} {step['left']:,}" for step in row["steps"]))
        lines += [f"  {row['why']}"] if row["why"] else []
    return "\n".join(lines) + "\n"


def free_of_held_out(
    sample_ids: Sequence[str],
    concepts: np.ndarray,
    texts: Sequence[str],
    splits: dict[str, str],
    held_out_titles: Set[str],
) -> Bool[np.ndarray, " n"]:
    """Who may be trained on, given `splits` (sample to split) of a selection.

    Held out is what the selection holds out; what shares a concept with it, unless it is itself a training image of the
    selection; and what has no concept but all words of a held-out title.
    """
    held_concepts = {
        concept
        for sample_id, concept in zip(sample_ids, concepts, strict=True)
        if concept and splits.get(sample_id, "train") != "train"
    }
    titles = [set(tokens(title)) for title in held_out_titles]
    free = np.ones(len(sample_ids), bool)
    for row, (sample_id, concept, text) in enumerate(zip(sample_ids, concepts, texts, strict=True)):
        if sample_id in splits:
            free[row] = splits[sample_id] == "train"
        elif concept:
            free[row] = concept not in held_concepts
        else:
            words = set(tokens(text))
            free[row] = not any(title <= words for title in titles if title)
    return free


def _find(domain: Domain, wanted: int, pool: Candidates, index: WordIndex, taken: Set[int]) -> Found:
    left = np.ones(len(pool.sample_ids), bool)
    steps = [("in the pool", len(left))]
    for name, fits in _conditions(domain, pool, taken):
        left &= fits
        steps.append((name, int(left.sum())))
    by_words = index.best(domain.queries) if domain.queries else np.ones(len(left))
    by_features = _likeness(domain, pool, left, by_words > 0)
    is_near = (by_features >= domain.min_similarity) if domain.min_similarity is not None else np.zeros(len(left), bool)
    fits = left & ((by_words > 0) | is_near)
    steps.append(("words or likeness", int(fits.sum())) if domain.queries else ("no queries", int(fits.sum())))
    relevance = np.where(by_words > 0, by_words, by_features)
    ranked = _ranked(np.flatnonzero(fits), by_words > 0, relevance, pool)
    few = _at_most_per_concept(ranked, pool.concepts, domain.max_per_concept)
    steps.append((f"at most {domain.max_per_concept} of a concept", len(few)))
    rows = tuple(few[:wanted])
    how = "words" if domain.queries else "category" if domain.categories else "style" if domain.styles else "pool"
    return Found(
        domain,
        wanted,
        rows,
        tuple(how if by_words[row] > 0 else "features" for row in rows),
        tuple(float(relevance[row]) for row in rows),
        tuple(steps),
        _unknown_names(domain, pool),
    )


def _conditions(domain: Domain, pool: Candidates, taken: Set[int]) -> list[tuple[str, Bool[np.ndarray, " n"]]]:
    everything = np.ones(len(pool.sample_ids), bool)
    is_taken = np.zeros(len(everything), bool)
    is_taken[sorted(taken)] = True
    of_category = np.isin(pool.categories, list(domain.categories)) & (
        pool.probabilities >= domain.min_category_probability
    )
    return [
        ("not held out", pool.is_free),
        ("described", pool.is_described),
        ("style", np.isin(pool.styles, list(domain.styles)) if domain.styles else everything),
        ("category", of_category if domain.categories else everything),
        ("quality", pool.quality >= domain.min_quality),
        ("not taken before", ~is_taken),
    ]


def _likeness(
    domain: Domain, pool: Candidates, left: Bool[np.ndarray, " n"], has_words: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Likeness to the word matches among those left; 0 elsewhere, and where the pool has no features."""
    like = np.zeros(len(left))
    if domain.queries and domain.min_similarity is not None and pool.features is not None and left.any():
        like[left] = likeness(pool.features[left], has_words[left])
    return like


def _ranked(rows: np.ndarray, has_words: np.ndarray, relevance: Float[np.ndarray, " n"], pool: Candidates) -> list[int]:
    """Word matches first; then by relevance and quality, half each; what ties is ordered by a hash of the id."""

    def key(row: int) -> tuple[bool, float, float]:
        merit = float(relevance[row]) / 2 + float(pool.quality[row]) / 2
        return not has_words[row], -round(merit, 6), unit_hash(pool.sample_ids[row], "sft-order")

    return sorted(rows.tolist(), key=key)


def _at_most_per_concept(rows: Sequence[int], concepts: np.ndarray, most: int) -> list[int]:
    seen: Counter[str] = Counter()
    kept: list[int] = []
    for row in rows:
        seen[concepts[row]] += 1
        if seen[concepts[row]] <= most:
            kept.append(row)
    return kept


def _unknown_names(domain: Domain, pool: Candidates) -> str:
    for what, asked, there in (("style", domain.styles, pool.styles), ("category", domain.categories, pool.categories)):
        unknown = [name for name in asked if name not in set(there)]
        if unknown:
            return f"no image of the pool has {what} {unknown[0]!r}; there are: {', '.join(sorted(set(there)))}"
    return ""


def _why(one: Found) -> str:
    """The first condition that left fewer than were wanted, in words; "" where nothing is missing."""
    if len(one.rows) >= one.wanted:
        return ""
    before = one.steps[0][1]
    for name, left in one.steps:
        if left < one.wanted:
            fell = f"{name}: {left:,}" if name == one.steps[0][0] else f"{name}: {left:,} left of {before:,}"
            return f"{fell}, {one.wanted:,} wanted" + (f" ({one.remark})" if one.remark else "")
        before = left
    return ""
