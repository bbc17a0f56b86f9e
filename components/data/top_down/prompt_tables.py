"""The prompts of a whole selection: written, checked against the facts, and by the grammar where the check fails."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from components.data.captions import Language
from components.data.errors import DataError
from components.data.records import SFT_PROMPTS
from components.data.top_down.config import PromptStyle
from components.data.top_down.facts import Known, Lexicon, differences
from components.data.top_down.known import of_catalogue, of_rendered
from components.data.top_down.prompt_grammar import GrammarWriter, PromptWriter


def known_of(row: Mapping[str, Any], language: Language, max_themes: int) -> Known | None:
    """What is known of a row of the catalogue, or of the table of rendered texts."""
    return of_rendered(row, language) if "lines" in row else of_catalogue(row, language, max_themes)


def prompts_table(
    rows: Sequence[Mapping[str, Any]],
    languages: Sequence[Language],
    max_themes: int,
    lexicon: Lexicon,
    writer: PromptWriter,
    grammar: GrammarWriter,
) -> tuple[pa.Table, Counter[str]]:
    """`SFT_PROMPTS`: every image in four styles and each language that it has words in, and how often what was refused.

    A prompt of `writer` that adds or loses a fact is replaced by one of `grammar`. DataError if that one fails too: the
    grammar and the check then contradict each other.
    """
    table: list[dict[str, str]] = []
    refused: Counter[str] = Counter()
    for row in rows:
        for language in languages:
            known = known_of(row, language, max_themes)
            if known is None:
                continue
            for style, (text, maker) in _checked(row["sample_id"], known, lexicon, writer, grammar, refused).items():
                place = {"sample_id": row["sample_id"], "style": style, "language": language}
                table.append({**place, "text": text, "maker": maker})
    return pa.Table.from_pylist(table, schema=SFT_PROMPTS), refused


def _checked(
    sample_id: str,
    known: Known,
    lexicon: Lexicon,
    writer: PromptWriter,
    grammar: GrammarWriter,
    refused: Counter[str],
) -> dict[PromptStyle, tuple[str, str]]:
    made = {style: (text, writer.maker) for style, text in writer.write(sample_id, known).items()}
    fallback = grammar.write(sample_id, known)
    for style, text in fallback.items():
        if style in made and not differences(made[style][0], known, lexicon):
            continue
        refused["missing" if style not in made else differences(made[style][0], known, lexicon)[0].split(":")[0]] += 1
        faults = differences(text, known, lexicon)
        if faults:
            raise DataError(f"sample {sample_id}: the grammar's prompt {text[:80]!r} is wrong ({faults[0]}); report it")
        made[style] = (text, grammar.maker)
    return {style: made[style] for style in fallback}
