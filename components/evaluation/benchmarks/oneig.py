"""OneIG-Bench: alignment, text, reasoning, style and diversity, English or Chinese; four drawings in a grid of each.

Prompts come as `OneIG-Bench.csv` and `OneIG-Bench-ZH.csv`, or as lists of JSON with the same names. The grids go to
`anime/MODEL/000.webp` and so on, as the benchmark's scripts read them; here they are lossless. The texts to be
written stand in another of its files, `scripts/text/text_content.csv` (`text_content_zh.csv`).
Source: Chang et al. 2025, arXiv:2506.07977; github.com/OneIG-Bench/OneIG-Benchmark.
"""

from collections.abc import Mapping
from pathlib import Path

from components.data.errors import DataError
from components.evaluation.benchmarks.rows import Row, check_different, read_rows
from components.evaluation.benchmarks.suite import Case, Language, Picture, Suite, Unscored

NUM_PROMPTS: Mapping[Language, int] = {"en": 1120, "zh": 1320}
NUM_IMAGES = 4
FOLDERS = {
    "Anime_Stylization": "anime",
    "Portrait": "human",
    "General_Object": "object",
    "Text_Rendering": "text",
    "Knowledge_Reasoning": "reasoning",
    "Multilingualism": "multilingualism",
}
TEXT = "text"
PROMPTS: Mapping[Language, tuple[str, ...]] = {"en": ("prompt_en",), "zh": ("prompt_cn", "prompt_zh")}
TEXT_FILES: Mapping[Language, str] = {"en": "text_content.csv", "zh": "text_content_zh.csv"}
NEEDS = {
    "alignment": "a vision-language model that answers questions (Qwen2.5-VL-7B) and the benchmark's questions",
    "text": "Qwen2.5-VL-7B as the reader",
    "reasoning": "LLM2CLIP and the benchmark's answers",
    "style": "the CSD and OneIG style encoders and the benchmark's reference pictures",
    "diversity": "DreamSim",
    "overall": "all five scores",
}


def read(file: Path) -> Suite:
    """The benchmark, in the language of its prompts; DataError, one line with file and row, if it is not as published.

    Texts are looked for in the published place, from the prompt file on, and beside it; without them none is scored.
    """
    rows = read_rows(file)
    language = _language(file, rows[0])
    check_different(rows, _key, "id")
    texts = _texts(file, language)
    cases = [_case(row, language, texts) for row in rows]
    title = f"OneIG-Bench, {'English' if language == 'en' else 'Chinese'}"
    missing = {} if texts else {TEXT: f"{TEXT_FILES[language]} of the benchmark beside the prompts, and {NEEDS[TEXT]}"}
    unscored = [Unscored(metric, needs) for metric, needs in (NEEDS | missing).items()]
    name = f"oneig_{language}"
    return Suite(name, title, language, cases, NUM_IMAGES, name, NUM_PROMPTS[language], place, unscored)


def place(case: Case, model: str, seed: int) -> list[Picture]:
    """One grid."""
    folder, name = case.key.split("/")
    return [Picture(f"{folder}/{model}/{name}.webp", case, [seed + number for number in range(NUM_IMAGES)])]


def _language(file: Path, row: Row) -> Language:
    """That of the column of prompts; of two columns the file's name says which."""
    has: dict[Language, bool] = {
        language: any(name in row.values for name in names) for language, names in PROMPTS.items()
    }
    return "zh" if has["zh"] and (not has["en"] or "zh" in file.stem.lower()) else "en"


def _case(row: Row, language: Language, texts: Mapping[str, str]) -> Case:
    key = _key(row)
    folder, name = key.split("/")
    return Case(key, row.text(*PROMPTS[language]), folder, texts.get(name, "") if folder == TEXT else "")


def _key(row: Row) -> str:
    """Folder and id: ids begin anew in each category."""
    name = row.text("id")
    if not name.isalnum() or not name.isascii():
        raise DataError(f"{row.place}: 'id' is {name!r}; needed: digits such as 000, for files are named by it")
    return f"{FOLDERS[row.one_of('category', tuple(FOLDERS))]}/{name}"


def _texts(file: Path, language: Language) -> dict[str, str]:
    """The texts to be written by id, empty where the benchmark's file of them is not there."""
    name = TEXT_FILES[language]
    found = next(
        (place for place in (file.parent / "scripts/text" / name, file.parent / name) if place.is_file()), None
    )
    rows = read_rows(found) if found else []
    check_different(rows, lambda row: row.text("id"), "id")
    return {row.text("id"): row.text("text_content") for row in rows}
