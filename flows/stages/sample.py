"""Stage `sample`: which images are trained on and how often, and which are held out."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from components.data.config import SplitShares, TwoLevelSampling


class Params(BaseModel, frozen=True, extra="forbid"):
    """What may be taken, what is held out, and how the rest is weighted."""

    categories: tuple[str, ...]
    styles: tuple[str, ...]
    min_category_probability: float
    max_concepts: int | None
    split: SplitShares
    weights: TwoLevelSampling


@dataclass(frozen=True)
class Metrics:
    """offered = selected + not_selected; selected = train + heldout_cell + heldout_concept."""

    offered_images: int
    selected_images: int
    not_selected_images: int
    train_images: int
    heldout_cell_images: int
    heldout_concept_images: int
    natural_entropy_bits: float
    sampled_entropy_bits: float
    largest_category_frac: float
    mean_aesthetic_natural: float
    mean_aesthetic_sampled: float
    expected_repeats_max: float
    expected_repeats_p99: float


def sample(
    p: Params,
    *,
    checked: Path,
    catalogue: Path,
    verdicts: Path,
    categories: Path,
    captions: Path,
    scores: Path,
    selection: Path,
) -> Metrics:
    """Hold out concepts and cells; weight the rest between and within categories.

    `checked` is the receipt of tables that passed: it is not read, but nothing is sampled without it.
    """
    from components.data import records
    from components.data import selection as chosen
    from components.data.records import strings

    kept = records.kept_ids(records.read_table(verdicts, records.VERDICTS))
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    tree = records.take_ids(records.read_table(categories, records.CATEGORIES), kept, categories)
    scored = records.take_ids(records.read_table(scores, records.SCORES), kept, scores)
    captioned = set(records.read_table(captions, records.CAPTIONS).column("sample_id").to_pylist())
    wanted = chosen.Wanted(p.categories, p.styles, p.min_category_probability, p.max_concepts)
    is_wanted = chosen.select(samples, tree, captioned, wanted)
    scored = scored.filter(is_wanted)
    table = chosen.selection_table(samples.filter(is_wanted), tree.filter(is_wanted), scored, p.split, p.weights)
    records.write_table(table, selection)
    splits = Counter(strings(table, "split"))
    return Metrics(
        offered_images=len(kept),
        selected_images=table.num_rows,
        not_selected_images=len(kept) - table.num_rows,
        train_images=splits["train"],
        heldout_cell_images=splits["heldout_cell"],
        heldout_concept_images=splits["heldout_concept"],
        **chosen.selection_report(table, scored.column("aesthetic").to_numpy()),
    )
