"""What the catalogue gives to wish for, and which of it is never trained on.

Held out is what the selection holds out, and beyond it every concept of the same hash, so that what the selection left
aside counts too. A subject that is held out under one name is not trained on under another image's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.data.arrow import pc
from components.data.captioners.metadata import MAKER
from components.data.captions import Language, WordsRefusedError, clean_tags, clean_words
from components.data.splits import CONCEPT, IMAGE, SPLITS, TRAIN, concept_hash
from components.data.top_down import known as from_metadata
from components.enhancer.wish_grammar import Idea

SplitOf = Callable[[Mapping[str, Any]], str]


def split_by(selection: Iterable[Mapping[str, Any]], heldout_frac: float) -> SplitOf:
    """Where a catalogue row belongs: its split in `selection`, else by the hash of its concept, or of its id."""
    split_of = {row["sample_id"]: (row["split"], row["concept"]) for row in selection}
    concepts = {concept for split, concept in split_of.values() if split == SPLITS[CONCEPT]} - {""}

    def split(row: Mapping[str, Any]) -> str:
        concept = row["concept"] or ""
        if concept in concepts or (concept and concept_hash(concept) < heldout_frac):
            return SPLITS[CONCEPT]
        chosen = split_of.get(row["sample_id"])
        if chosen is not None:
            return chosen[0]
        is_alone = not concept and concept_hash(row["sample_id"]) < heldout_frac
        return SPLITS[IMAGE] if is_alone else SPLITS[TRAIN]

    return split


def is_held_out(writing: str, heldout_frac: float) -> bool:
    """Whether these words to be legible are held out: a concept of their own."""
    return concept_hash(writing) < heldout_frac


def long_captions(captions: pa.Table) -> dict[tuple[str, str], str]:
    """The long captions (`CAPTIONS`) by those who looked at the picture, by sample and language."""
    is_theirs = pc.and_(pc.equal(captions["kind"], "long"), pc.not_equal(captions["maker"], MAKER))
    return {(row["sample_id"], row["language"]): row["text"] for row in captions.filter(is_theirs).to_pylist()}


def of_catalogue(
    rows: Sequence[Mapping[str, Any]],
    categories: Mapping[str, str],
    captions: Mapping[tuple[str, str], str],
    languages: Sequence[Language],
    max_themes: int,
    split: SplitOf,
) -> list[Idea]:
    """An idea for every row and language that has words; `categories` and `captions` by sample."""
    ideas: list[Idea] = []
    for row in rows:
        for language in languages:
            known = from_metadata.of_catalogue(row, language, max_themes)
            if known is None:
                continue
            tags = tuple(clean_tags(row[f"tags_{language}"]))
            told = _description(row) if language == "en" else ""
            category = categories.get(row["sample_id"]) or ""
            caption = captions.get((row["sample_id"], language), "")
            ideas.append(Idea(row["sample_id"], known, tags, told, category, caption, split(row)))
    return without_held_out_subjects(ideas)


def of_rendered(rows: Sequence[Mapping[str, Any]], languages: Sequence[Language], heldout_frac: float) -> list[Idea]:
    """An idea for every image of letters and language; held out with any of its lines."""
    return [
        Idea(row["sample_id"], from_metadata.of_rendered(row, language), (), "", "", "", split)
        for row in rows
        for split in (SPLITS[CONCEPT if any(is_held_out(line, heldout_frac) for line in row["lines"]) else TRAIN],)
        for language in languages
    ]


def without_held_out_subjects(ideas: Sequence[Idea]) -> list[Idea]:
    """The ideas without those to train on whose subject is a held-out concept's, whatever image shows it."""
    held_out = {idea.known.subject.lower() for idea in ideas if idea.split == SPLITS[CONCEPT]}
    return [idea for idea in ideas if idea.split != SPLITS[TRAIN] or idea.known.subject.lower() not in held_out]


def _description(row: Mapping[str, Any]) -> str:
    try:
        return clean_words(row["description_en"])
    except WordsRefusedError:
        return ""
