"""What OneIG-Bench's own scripts wrote: a CSV file for each of its five scores, with a row for each prompt."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from components.data.errors import DataError
from components.evaluation.benchmarks.letters import text_score, units
from components.evaluation.benchmarks.rows import Row, read_rows
from components.evaluation.benchmarks.scores import Score, score
from components.evaluation.benchmarks.suite import Language, Suite

Statistic = Callable[[Float[np.ndarray, "n d"]], float]
FOLDERS: Mapping[str, str] = {"text": "text", "reasoning": "reasoning", "style": "anime"}
"""Where the prompts of a score lie whose rows are named by their id alone."""
SCORERS: Mapping[str, str] = {
    "alignment": "Qwen2.5-VL-7B",
    "text": "Qwen2.5-VL-7B",
    "reasoning": "LLM2CLIP",
    "style": "CSD and the OneIG style encoder",
    "diversity": "DreamSim",
}


def oneig_scores(folder: Path, suite: Suite, model: str) -> list[Score]:
    """The scores in `results/` of the benchmark that there are of `model`, and their mean where all five are there.

    Raises:
        DataError: there is none, or a row is not of a prompt of the suite.
    """
    language = suite.language
    files = {metric: _newest(folder, f"{metric}_prompt_score_{language.upper()}_*.csv") for metric in SCORERS}
    found = {metric: _rows(metric, file, suite, model) for metric, file in files.items() if file}
    if not found:
        raise DataError(f"{folder}: no alignment_prompt_score_{language.upper()}_*.csv or the like; run its scripts")
    scores = [one for metric, rows in found.items() for one in _score(metric, SCORERS[metric], rows, language)]
    if len(found) < len(SCORERS):
        return scores
    parts, rows = _together(found)
    return [*scores, *score("overall", "all five", _overall(parts, language), rows, [""] * len(rows), is_official=True)]


def _score(metric: str, scorer: str, rows: Mapping[str, Sequence[float]], language: Language) -> list[Score]:
    groups = [""] * len(rows)
    return score(metric, scorer, _statistic(metric, language), np.array(list(rows.values())), groups, is_official=True)


def _statistic(metric: str, language: Language) -> Statistic:
    return (lambda rows: text_score(rows, language)) if metric == "text" else (lambda rows: float(rows[:, 0].mean()))


def _together(found: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[dict[str, slice], Float[np.ndarray, "n d"]]:
    """One row for each prompt with the columns of each score where they lie, NaN where a score is not of the prompt."""
    widths = {metric: len(next(iter(rows.values()))) for metric, rows in found.items()}
    ends = np.cumsum(list(widths.values())).tolist()
    parts = {metric: slice(end - width, end) for (metric, width), end in zip(widths.items(), ends, strict=True)}
    keys = list(dict.fromkeys(key for rows in found.values() for key in rows))
    table = np.full((len(keys), ends[-1]), np.nan)
    for metric, rows in found.items():
        for key, values in rows.items():
            table[keys.index(key), parts[metric]] = values
    return parts, table


def _overall(parts: Mapping[str, slice], language: Language) -> Statistic:
    """The mean of the scores, each over the prompts that it is of; a resample without any leaves it out."""

    def mean(rows: Float[np.ndarray, "n d"]) -> float:
        known = {metric: rows[~np.isnan(rows[:, part.start])][:, part] for metric, part in parts.items()}
        return float(np.mean([_statistic(metric, language)(some) for metric, some in known.items() if len(some)]))

    return mean


def _rows(metric: str, file: Path, suite: Suite, model: str) -> dict[str, list[float]]:
    """What the score needs of each prompt, by its key."""
    texts = {case.key: case.text for case in suite.cases}
    found: dict[str, list[float]] = {}
    for row in read_rows(file):
        name = str(row.values.get("", ""))
        key = f"{FOLDERS[metric]}/{name}" if metric in FOLDERS else name.replace("_", "/", 1)
        if key not in texts:
            raise DataError(f"{row.place}: {name!r} is no prompt of this benchmark; score the drawn images again")
        if row.values.get(model) == "":
            continue  # its scripts leave what they could not score empty
        found[key] = _text_row(row, model, texts[key], suite.language) if metric == "text" else [_share(row, model)]
    if not found:
        raise DataError(f"{file}: no number of {model}; score the images of that name")
    return found


def _share(row: Row, model: str) -> float:
    return row.number(model, low=-1, high=1)


def _text_row(row: Row, model: str, text: str, language: Language) -> list[float]:
    """Words found and asked for, mean edits, unused, and share without edits, from `[edits, share, word accuracy]`."""
    written = row.text(model)
    parts = written.removeprefix("[").removesuffix("]").split(",")
    try:
        edits, unchanged, accuracy = (float(part) for part in parts)
    except ValueError:
        raise DataError(f"{row.place}: {written[:80]!r} of {model}; needed: [edits, share, accuracy]") from None
    num_words = len(units(text, language))
    return [accuracy * num_words, num_words, edits, 0.0, unchanged]


def _newest(folder: Path, pattern: str) -> Path | None:
    files = sorted(folder.glob(pattern))  # their names end in the time
    return files[-1] if files else None
