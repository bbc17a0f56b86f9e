"""LongText-Bench: long texts to be written in a picture, English or Chinese; 160 prompts each, four drawings of each.

Prompts come as `text_prompts.jsonl` and `text_prompts_zh.jsonl`. Drawings go to `0000_1.png` ... `0000_4.png`, as
`evaluate_text_reward.py` of the benchmark reads them; it reads letters with Qwen2.5-VL-7B.
Source: Geng et al. 2025, X-Omni, arXiv:2507.22058; github.com/X-Omni-Team/X-Omni, folder textbench.
"""

from pathlib import Path
from typing import Any, cast

from components.data.errors import DataError
from components.evaluation.benchmarks.letters import language_of
from components.evaluation.benchmarks.rows import Row, check_different, read_rows, shown_as
from components.evaluation.benchmarks.suite import Case, Picture, Suite, Unscored

NUM_PROMPTS, NUM_IMAGES = 160, 4
READER = "Qwen2.5-VL-7B as the reader"


def read(file: Path) -> Suite:
    """The benchmark, in the language of its texts; DataError, one line with file and row, if it is not as published."""
    rows = read_rows(file)
    cases = [_case(row) for row in rows]
    check_different(rows, lambda row: _key(row), "prompt_id")
    language = language_of([case.text for case in cases])
    title = "LongText-Bench, English" if language == "en" else "LongText-Bench, Chinese"
    unscored = [Unscored(language, READER)]
    name = f"longtext_{language}"
    return Suite(name, title, language, cases, NUM_IMAGES, "longtext", NUM_PROMPTS, place, unscored)


def place(case: Case, model: str, seed: int) -> list[Picture]:
    """A file for each drawing."""
    return [Picture(f"{case.key}_{number + 1}.png", case, [seed + number]) for number in range(NUM_IMAGES)]


def _case(row: Row) -> Case:
    category = row.values.get("category")
    return Case(_key(row), row.text("prompt"), category if isinstance(category, str) else "", _text(row))


def _key(row: Row) -> str:
    number = row.number("prompt_id", low=0, high=9999)
    if number != int(number):
        raise DataError(f"{row.place}: 'prompt_id' is {number:g}; needed: a whole number")
    return f"{int(number):04}"


def _text(row: Row) -> str:
    """What is to be read: the parts of `text` with spaces between them."""
    value = row.values.get("text")
    listed = cast(list[Any], value) if isinstance(value, list) else [value]
    parts = [part for part in listed if isinstance(part, str) and part.strip()]
    if not parts or len(parts) < len(listed):
        shown = "missing" if value is None else shown_as(value)
        raise DataError(f"{row.place}: 'text' is {shown}; needed: a list of the texts to be written")
    return " ".join(parts)
