"""Stage `sample`: which images are trained on and how often, and which are held out."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from components.data.config import SplitShares, TwoLevelSampling


class Params(BaseModel, frozen=True, extra="forbid"):
    """What may be taken (null: all), what is held out, and how the rest is weighted."""

    categories: tuple[str, ...] | None
    styles: tuple[str, ...] | None
    max_concepts: int | None
    split: SplitShares
    weights: TwoLevelSampling


@dataclass(frozen=True)
class Metrics:
    """offered = selected + not_selected; selected = train + heldout_cell + heldout_concept + heldout_image."""

    offered_images: int
    selected_images: int
    not_selected_images: int
    train_images: int
    heldout_cell_images: int
    heldout_concept_images: int
    heldout_image_images: int
    natural_entropy_bits: float
    sampled_entropy_bits: float
    largest_category_frac: float
    mean_aesthetic_natural: float
    mean_aesthetic_sampled: float
    expected_repeats_max: float
    effective_images_frac: float


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
    balance: Path,
) -> Metrics:
    """Hold out concepts, cells and images; weight the rest between and within categories.

    `checked` is the receipt of tables that passed: it is not read, but nothing is sampled without it.
    """
    from dataclasses import asdict

    from components.data import records
    from components.data import selection as chosen

    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    tree = records.take_ids(records.read_table(categories, records.CATEGORIES), kept, categories)
    scored = records.take_ids(records.read_table(scores, records.SCORES), kept, scores)
    captioned = records.read_table(captions, records.CAPTIONS).column("sample_id").unique()
    wanted = chosen.Wanted(p.categories, p.styles, p.max_concepts)
    is_wanted = chosen.select(samples, tree, captioned, wanted)
    table = chosen.candidates_of(samples, tree, scored).filter(is_wanted)
    report = asdict(
        chosen.write_selection(lambda names: table.select(names).to_batches(), p.split, p.weights, selection, balance)
    )
    split_images = {f"{split}_images": count for split, count in report.pop("split_images").items()}
    left = len(kept) - table.num_rows
    return Metrics(
        offered_images=len(kept), selected_images=table.num_rows, not_selected_images=left, **split_images, **report
    )
