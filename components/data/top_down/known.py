"""What is known of an image, from its row in the catalogue, or from the specification that it was drawn by."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.data.captions import Language, WordsRefusedError, clean_tags, clean_title
from components.data.records import unit_hash
from components.data.top_down.facts import Known
from components.data.top_down.lettering_tables import LAYOUTS_ZH

LANGUAGES: tuple[Language, ...] = ("en", "zh")
_QUOTES = '“”"「」'


def of_catalogue(row: Mapping[str, Any], language: Language, max_themes: int) -> Known | None:
    """What a catalogue row says in `language`; None where it has no usable words.

    Of its tags, up to `max_themes` that say more than the title are told: how many follows from a hash of the id.
    """
    tags = [_without_quotes(tag) for tag in clean_tags(row[f"tags_{language}"])]
    try:
        subject = clean_title(row[f"title_{language}"])
    except WordsRefusedError:
        if not tags:
            return None
        subject = tags[0]
    subject = subject if _is_balanced(subject) else _without_quotes(subject)
    told = subject.lower()
    more = [tag for tag in dict.fromkeys(tags) if tag and tag not in told and told not in tag]
    number = int(unit_hash(row["sample_id"], "number-of-themes") * (max_themes + 1))
    return Known(subject, row["style"] or "", tuple(more[:number]), (), "", "", language) if subject else None


def has_words(row: Mapping[str, Any], language: Language) -> bool:
    """Whether a catalogue row has a usable title, or a usable tag, in `language`."""
    try:
        return bool(clean_title(row[f"title_{language}"]))
    except WordsRefusedError:
        return bool(clean_tags(row[f"tags_{language}"]))


def of_rendered(row: Mapping[str, Any], language: Language) -> Known:
    """What an image with rendered text shows, told in `language`; the words on it stay as they are."""
    layout = row["layout"] if language == "en" else LAYOUTS_ZH[row["layout"]]
    return Known(layout, "", (), tuple(row["lines"]), row["ink"], row["paper"], language)


def with_made_titles(rows: Sequence[Mapping[str, Any]], captions: pa.Table) -> list[dict[str, Any]]:
    """Catalogue rows; one without words of people's gets the short caption that a model made for its title."""
    made = {
        (row["sample_id"], row["language"]): row["text"]
        for row in captions.to_pylist()
        if row["kind"] == "short" and not row["maker"].startswith("metadata/")
    }
    filled: list[dict[str, Any]] = []
    for row in rows:
        titles = {
            f"title_{language}": made.get((row["sample_id"], language))
            for language in LANGUAGES
            if not row[f"title_{language}"] and not row[f"tags_{language}"]
        }
        filled.append({**row, **titles})
    return filled


def phrases(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """All titles and tags of catalogue rows, for a lexicon."""
    return [
        phrase
        for row in rows
        for language in LANGUAGES
        for phrase in (row[f"title_{language}"], *(row[f"tags_{language}"] or ()))
        if phrase
    ]


def _without_quotes(text: str) -> str:
    return "".join(char for char in text if char not in _QUOTES).strip()


def _is_balanced(text: str) -> bool:
    """Whether the quotes in `text` come in pairs, curly ones the right way round."""
    closing = {"”": "“", "」": "「"}
    opened: list[str] = []
    for char in text:
        if char in "“「":
            opened.append(char)
        elif char in closing and (not opened or opened.pop() != closing[char]):
            return False
    return not opened and text.count('"') % 2 == 0
