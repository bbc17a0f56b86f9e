"""The captions of a whole table of samples, and what was refused."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from components.data.captions import Caption, Language, Words, WordsReason, WordsRefusedError, captions_en, captions_zh
from components.data.records import CAPTIONS, strings

_WRITERS = {"en": captions_en, "zh": captions_zh}


def caption_table(
    samples: pa.Table, categories: pa.Table, languages: Sequence[Language]
) -> tuple[pa.Table, Counter[WordsReason]]:
    """Captions (`CAPTIONS`) of `samples` (catalogue columns), and how many samples have none, by reason.

    A sample must be captioned in the first language; in the others it is captioned where its words allow.
    """
    if not languages:
        raise ValueError("languages is empty; allowed: one or more of en, zh")
    rows: list[dict[str, str]] = []
    refused: Counter[WordsReason] = Counter()
    style_and_category = zip(strings(samples, "style"), strings(categories, "category"), strict=True)
    names = ["sample_id", "description_en", *(f"{kind}_{lang}" for kind in ("title", "tags") for lang in languages)]
    for sample, (style, category) in zip(samples.select(names).to_pylist(), style_and_category, strict=True):
        for language in languages:
            words = Words(
                title=sample[f"title_{language}"] or "",
                tags=sample[f"tags_{language}"] or [],
                description=(sample["description_en"] or "") if language == "en" else "",
                style=style,
                category=category,
            )
            made = _captions(words, language)
            if isinstance(made, WordsRefusedError) and language == languages[0]:
                refused[made.reason] += 1
                break
            if isinstance(made, list):
                rows += [{"sample_id": sample["sample_id"], **vars(one)} for one in made]
    return pa.Table.from_pylist(rows, schema=CAPTIONS), refused


def _captions(words: Words, language: Language) -> list[Caption] | WordsRefusedError:
    try:
        return _WRITERS[language](words)
    except WordsRefusedError as refused:
        return refused
