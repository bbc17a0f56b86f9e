"""GenEval: objects, counts, colours and positions; 553 prompts, four drawings of each.

Prompts come as `evaluation_metadata.jsonl`. Drawings go to `00000/samples/00000.png` with their row beside them in
`00000/metadata.jsonl`, as `evaluate_images.py` of the benchmark reads them.
Source: Ghosh et al. 2023, arXiv:2310.11513; github.com/djghosh13/geneval.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from components.data.errors import DataError
from components.evaluation.benchmarks.rows import Row, check_different, read_rows, shown_as
from components.evaluation.benchmarks.suite import Case, Picture, Suite, Unscored

NUM_PROMPTS, NUM_IMAGES = 553, 4
TASKS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
DETECTOR = "an object detector (Mask2Former, Swin-S, COCO) and CLIP ViT-L/14 for colours"

SCORER = "Mask2Former and CLIP, as the benchmark has it"


def read(file: Path) -> Suite:
    """The benchmark; DataError, one line with file and row, for a file that is not as published."""
    rows = read_rows(file)
    cases = [_case(number, row) for number, row in enumerate(rows)]
    check_different(rows, lambda row: f"{row.values['tag']}: {row.values['prompt']}", "the prompt")
    unscored = [Unscored(name, DETECTOR) for name in (*TASKS, "overall")]
    return Suite("geneval", "GenEval", "en", cases, NUM_IMAGES, "geneval", NUM_PROMPTS, place, unscored)


def place(case: Case, model: str, seed: int) -> list[Picture]:
    """A file for each drawing; the seeds are the same for every prompt, as in the benchmark's own script."""
    return [
        Picture(f"{case.key}/samples/{number:05}.png", case, [seed + number], f"{case.key}/metadata.jsonl")
        for number in range(NUM_IMAGES)
    ]


def _case(number: int, row: Row) -> Case:
    tag, prompt = row.one_of("tag", TASKS), row.text("prompt")
    for name in ("include", "exclude"):
        _check_objects(row.values.get(name, [] if name == "exclude" else None), name, row.place)
    return Case(f"{number:05}", prompt, tag, note=json.dumps(row.values))


def _check_objects(value: object, name: str, place: str) -> None:
    """DataError unless the value is a list of objects with a class and a count, which the benchmark's scorer needs."""
    wanted = cast(Sequence[Any], value) if isinstance(value, list) else None
    if wanted is None or not all(_is_object(one) for one in wanted) or (name == "include" and not wanted):
        shown = "missing" if value is None else shown_as(value)
        raise DataError(f'{place}: {name!r} is {shown}; needed: a list of {{"class": "bench", "count": 1}}')


def _is_object(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    named = cast(Mapping[str, Any], value)
    return isinstance(named.get("class"), str) and isinstance(named.get("count"), int)
