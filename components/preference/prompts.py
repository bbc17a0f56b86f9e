"""Prompts as texts that are equal or not: what is held out, and what an evaluation already asks."""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool

from components.data.records import unit_hash
from components.preference.config import PairRules

TRAIN, HELDOUT = "train", "heldout"


def normalised(prompt: str) -> str:
    """`prompt` without differences of width, case and white space: NFKC, case-folded, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def split_of(prompt: str, rules: PairRules) -> str:
    """`train` or `heldout`, by a seeded hash of the normalised prompt: other prompts change nothing."""
    is_heldout = unit_hash(normalised(prompt), f"preference-{rules.seed}") < rules.heldout_prompt_frac
    return HELDOUT if is_heldout else TRAIN


def refuse_evaluation_prompts(prompts: Sequence[str], evaluation: Iterable[str]) -> Bool[np.ndarray, " n"]:
    """Which of `prompts` must be refused because they stand, normalised, in an evaluation set."""
    asked = {normalised(prompt) for prompt in evaluation}
    return np.array([normalised(prompt) in asked for prompt in prompts], bool)
