"""Stage `caption`: three kinds of caption per image and language, from the words that came with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel


class Params(BaseModel, frozen=True, extra="forbid"):
    """In which languages captions are made; the first must be usable, or the image has none."""

    languages: tuple[Literal["en", "zh"], ...]


@dataclass(frozen=True)
class Metrics:
    """offered = captioned + uncaptioned; uncaptioned = the sum over the reasons."""

    offered_images: int
    captioned_images: int
    uncaptioned_images: int
    captions: int
    empty_words: int
    not_utf8_words: int
    control_characters_words: int
    no_letters_words: int


def caption(p: Params, *, catalogue: Path, verdicts: Path, categories: Path, captions: Path) -> Metrics:
    """Join title, tags, style and category into tags, a short and a sentence caption."""
    from components.data import records
    from components.data.caption_table import caption_table
    from components.data.captions import WORDS_REASONS

    kept = records.kept_ids(records.read_table(verdicts, records.VERDICTS))
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    tree = records.take_ids(records.read_table(categories, records.CATEGORIES), kept, categories)
    table, refused = caption_table(samples, tree, p.languages)
    records.write_table(table, captions)
    num_refused = sum(refused.values())
    return Metrics(
        offered_images=len(kept),
        captioned_images=len(kept) - num_refused,
        uncaptioned_images=num_refused,
        captions=table.num_rows,
        **{f"{reason}_words": refused[reason] for reason in WORDS_REASONS},
    )
