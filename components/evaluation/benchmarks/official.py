"""What the benchmarks' own scorers wrote, run elsewhere on the pictures that were drawn here."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from components.data.errors import DataError
from components.evaluation.benchmarks import geneval
from components.evaluation.benchmarks.measures import longtext_scores
from components.evaluation.benchmarks.rows import read_rows, shown_as
from components.evaluation.benchmarks.scores import Score, score
from components.evaluation.benchmarks.suite import Case, Suite

_FOLDER = re.compile(r"(\d{5})/samples/\d+\.png$")


def geneval_scores(file: Path, suite: Suite) -> list[Score]:
    """The tasks' shares of right drawings and their mean, from the lines that `evaluate_images.py` wrote.

    Raises:
        DataError: a line is not of a picture of the suite, or there are more or fewer than were drawn.
    """
    rows = read_rows(file)
    by_key: dict[str, list[float]] = {case.key: [] for case in suite.cases}
    for row in rows:
        found = _FOLDER.search(PurePosixPath(row.text("filename")).as_posix())
        right = row.values.get("correct")
        if not found or found[1] not in by_key or not isinstance(right, bool):
            raise DataError(f"{row.place}: not a result of a picture of this benchmark; score the drawn images again")
        by_key[found[1]].append(float(right))
    _check_all(file, suite.cases, [len(by_key[case.key]) for case in suite.cases], suite.num_images)
    shares = np.array([[np.mean(by_key[case.key]), geneval.TASKS.index(case.group)] for case in suite.cases])
    overall, *tasks = score("overall", geneval.SCORER, mean_of_tasks, shares, _groups(suite), is_official=True)
    return [overall, *(_of_task(task) for task in tasks)]


def longtext_official(file: Path, suite: Suite) -> list[Score]:
    """The benchmark's score from what `evaluate_text_reward.py` read, or `summary_scores.py` made of it."""
    by_key: dict[str, list[str]] = {case.key: [] for case in suite.cases}
    for row in read_rows(file):
        key = PurePosixPath(row.text("image")).stem.split("_")[0]
        read = row.values.get("ocr_results")
        if key not in by_key or not isinstance(read, str):
            raise DataError(f"{row.place}: {shown_as(row.values.get('image'))} is no picture of this benchmark")
        by_key[key].append(read)
    _check_all(file, suite.cases, [len(by_key[case.key]) for case in suite.cases], suite.num_images)
    read = [by_key[case.key] for case in suite.cases]
    return longtext_scores(suite.cases, read, suite.language, suite.language, "Qwen2.5-VL-7B", True)


def mean_of_tasks(rows: Float[np.ndarray, "n 2"]) -> float:
    """The mean over tasks (second column) of the mean share of right drawings (first): GenEval's overall score."""
    return float(np.mean([rows[rows[:, 1] == task, 0].mean() for task in np.unique(rows[:, 1])]))


def _groups(suite: Suite) -> list[str]:
    return [case.group for case in suite.cases]


def _of_task(found: Score) -> Score:
    """A task's share under the task's own name, as published tables have it."""
    return Score(found.group, found.value, found.low, found.high, found.num, found.scorer, "", True)


def _check_all(file: Path, cases: Sequence[Case], counts: Sequence[int], num_images: int) -> None:
    for case, count in zip(cases, counts, strict=True):
        if count != num_images:
            raise DataError(f"{file}: {count} results of {case.key}; needed: {num_images}, one of each drawing")
