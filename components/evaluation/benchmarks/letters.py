"""How much of a text can be read in a picture, by the formulas of LongText-Bench and OneIG-Bench.

Both put texts in plain form first and count words in any order, Chinese by its characters. LongText-Bench does so
without regard to case, OneIG-Bench with it.
Source: github.com/X-Omni-Team/X-Omni, textbench/summary_scores.py; github.com/OneIG-Bench/OneIG-Benchmark,
scripts/text/text_utils.py and text_score.py.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from components.evaluation.benchmarks.suite import Language

_ACCENTED = "àâäéèêëîïôöùûüçÀÂÄÉÈÊËÎÏÔÖÙÛÜÇ"
_OTHER = re.compile(rf"[^一-龥a-zA-Z0-9\s{_ACCENTED}]")
_CHINESE = re.compile("[一-鿿]")
_SPACES = re.compile(r"\s+")
LONGEST_DISTANCE: dict[Language, int] = {"en": 100, "zh": 50}
"""Edits from which on OneIG-Bench calls a text wholly wrong."""


@dataclass(frozen=True)
class Found:
    """Of one drawing: words (Chinese: characters) found and asked for, edits from the text, and the longer's length."""

    num_found: int
    num_asked: int
    num_edits: int
    num_letters: int


def compare(asked: str, read: str, language: Language, *, keep_case: bool) -> Found:
    """What of the text that was asked for is in the text that was read, both in plain form."""
    wanted, seen = (plain(text, language, keep_case=keep_case) for text in (asked, read))
    num_found = sum((Counter(units(wanted, language)) & Counter(units(seen, language))).values())
    longer = max(len(wanted), len(seen))
    return Found(num_found, len(units(wanted, language)), edit_distance(wanted, seen), longer)


def plain(text: str, language: Language, *, keep_case: bool) -> str:
    """Letters, digits and Chinese characters; between words of English one space, within Chinese none."""
    kept = _SPACES.sub(" " if language == "en" else "", _OTHER.sub("", text)).strip()
    return kept if keep_case or language == "zh" else kept.lower()


def units(text: str, language: Language) -> Sequence[str]:
    """The words of a plain text, or its characters where it is Chinese."""
    return text.split() if language == "en" else text


def edit_distance(one: str, other: str) -> int:
    """The fewest insertions, deletions and replacements that turn one text into the other, in O(len * len).

    Source: Levenshtein 1966, Binary codes capable of correcting deletions, insertions, and reversals.
    """
    letters = np.array([ord(char) for char in other], np.int64)
    steps = np.arange(len(other) + 1)
    row = steps.copy()
    for number, char in enumerate(one, start=1):
        kept = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(char)))
        # An insertion comes from the left: the running minimum of what is left of here, each step costing one.
        row = np.minimum.accumulate(np.concatenate([[number], kept]) - steps) + steps
    return int(row[-1])


def language_of(texts: Sequence[str]) -> Language:
    """Chinese if most of the texts hold a Chinese character, else English."""
    return "zh" if 2 * sum(bool(_CHINESE.search(text)) for text in texts) > len(texts) else "en"


def readings(found: Sequence[Sequence[Found]]) -> Float[np.ndarray, "n 5"]:
    """A row for each prompt: words found and asked for, and the means of edits, of edits by length, and of no edits."""
    return np.array(
        [
            [
                sum(one.num_found for one in of_prompt),
                sum(one.num_asked for one in of_prompt),
                np.mean([one.num_edits for one in of_prompt]),
                np.mean([one.num_edits / max(1, one.num_letters) for one in of_prompt]),
                np.mean([one.num_edits == 0 for one in of_prompt]),
            ]
            for of_prompt in found
        ]
    )


def word_accuracy(rows: Float[np.ndarray, "n 5"]) -> float:
    """The share of all words that were asked for that were found: the score of LongText-Bench."""
    return float(rows[:, 0].sum() / max(1.0, rows[:, 1].sum()))


def edit_share(rows: Float[np.ndarray, "n 5"]) -> float:
    """The mean of edits over the longer text's length: 0 as asked, 1 nothing alike."""
    return float(rows[:, 3].mean())


def text_score(rows: Float[np.ndarray, "n 5"], language: Language) -> float:
    """1 - min(ED, longest) (1 - CR) (1 - WAC) / longest: the text score of OneIG-Bench.

    ED are the mean edits, CR the share of drawings without any, WAC the word accuracy. A short text scores high even
    where nothing of it can be read, because few edits make it.
    """
    longest = LONGEST_DISTANCE[language]
    return float(1 - min(longest, rows[:, 2].mean()) * (1 - rows[:, 4].mean()) * (1 - word_accuracy(rows)) / longest)
