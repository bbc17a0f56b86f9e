"""What can be scored here of a benchmark's drawings: letters by PP-OCRv4, variety by Lite0 features."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from components.evaluation.benchmarks import letters
from components.evaluation.benchmarks.scores import Score, score
from components.evaluation.benchmarks.suite import Case, Language
from components.evaluation.drift import diversity
from components.models.image_features import MODEL_NAME as FEATURES_NAME
from components.models.text_recognition import MODEL_NAME as READER_NAME

READER = READER_NAME
VARIETY = f"{FEATURES_NAME} features"
WORD_ACCURACY, EDIT_DISTANCE, TEXT, DIVERSITY = "word_accuracy", "edit_distance", "text", "diversity"


def longtext_scores(
    cases: Sequence[Case], read: Sequence[Sequence[str]], language: Language, metric: str, scorer: str, official: bool
) -> list[Score]:
    """LongText-Bench's score, called `metric`, and the share of edits; `read` is what stood in each case's drawings."""
    rows = letters.readings(_found(cases, read, language, keep_case=False))
    groups = [case.group for case in cases]
    return [
        *score(metric, scorer, letters.word_accuracy, rows, groups, is_official=official),
        *score(EDIT_DISTANCE, scorer, letters.edit_share, rows, groups),
    ]


def oneig_text_scores(cases: Sequence[Case], read: Sequence[Sequence[str]], language: Language) -> list[Score]:
    """OneIG-Bench's text score, and what it is made of; `read` is what stood in each case's drawings."""
    rows = letters.readings(_found(cases, read, language, keep_case=True))
    groups = [case.group for case in cases]
    return [
        *score(TEXT, READER, lambda some: letters.text_score(some, language), rows, groups),
        *score(WORD_ACCURACY, READER, letters.word_accuracy, rows, groups),
        *score(EDIT_DISTANCE, READER, letters.edit_share, rows, groups),
    ]


def variety_scores(cases: Sequence[Case], features: Float[np.ndarray, "p k d"]) -> list[Score]:
    """How far apart the drawings of a prompt are: half the mean distance of their features as unit vectors."""
    unit = torch.nn.functional.normalize(torch.from_numpy(features), dim=2).numpy()
    groups = [case.group for case in cases]
    return score(DIVERSITY, VARIETY, lambda rows: float(rows.mean()), diversity(unit)[:, None] / 2, groups)


def _found(
    cases: Sequence[Case], read: Sequence[Sequence[str]], language: Language, *, keep_case: bool
) -> list[list[letters.Found]]:
    return [
        [letters.compare(case.text, text, language, keep_case=keep_case) for text in texts]
        for case, texts in zip(cases, read, strict=True)
    ]
