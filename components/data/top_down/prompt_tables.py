"""The prompts of a whole selection: written, checked against the facts, and by the grammar where the check fails."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.data.captions import Language
from components.data.errors import DataError
from components.data.records import SFT_PROMPTS
from components.data.top_down.config import PromptStyle
from components.data.top_down.facts import Lexicon, differences
from components.data.top_down.known import of_catalogue, of_rendered
from components.data.top_down.prompt_grammar import GrammarWriter, PromptWriter, Subject


def subjects_of(rows: Sequence[Mapping[str, Any]], languages: Sequence[Language], max_themes: int) -> list[Subject]:
    """Every row of the catalogue, or of the table of rendered texts, in each language that it has words in."""
    found = (
        (row, of_rendered(row, language) if "lines" in row else of_catalogue(row, language, max_themes))
        for row in rows
        for language in languages
    )
    return [Subject(row["sample_id"], known) for row, known in found if known is not None]


def prompts_table(
    subjects: Sequence[Subject], lexicon: Lexicon, writer: PromptWriter, grammar: GrammarWriter
) -> tuple[pa.Table, Counter[str]]:
    """`SFT_PROMPTS`: four styles of prompt for every subject, and what was refused of `writer`, by its fault.

    A prompt that adds or loses a fact is replaced by one of `grammar`. DataError if that one fails too: the grammar and
    the check then contradict each other.
    """
    refused: Counter[str] = Counter()
    table: list[dict[str, str]] = []
    for subject, made, certain in zip(subjects, writer.write(subjects), grammar.write(subjects), strict=True):
        for style, plain in certain.items():
            fault = _fault(made, style, subject, lexicon)
            text, maker = (plain, grammar.maker) if fault else (made[style], writer.maker)
            refused.update([fault] if fault else [])
            if fault and (wrong := differences(plain, subject.known, lexicon)):
                raise DataError(
                    f"sample {subject.sample_id}: the grammar's prompt {plain[:80]!r} is wrong ({wrong[0]}); report it"
                )
            place = {"sample_id": subject.sample_id, "style": style, "language": subject.known.language}
            table.append({**place, "text": text, "maker": maker})
    return pa.Table.from_pylist(table, schema=SFT_PROMPTS), refused


def _fault(made: Mapping[PromptStyle, str], style: PromptStyle, subject: Subject, lexicon: Lexicon) -> str:
    """Why the prompt of one style cannot be used, in a word or two; "" if it can."""
    if style not in made:
        return "not written"
    found = differences(made[style], subject.known, lexicon)
    return found[0].split(":")[0].split(" the ")[0].split(" [")[0] if found else ""
