"""Which prompts are asked: a seeded choice, spread evenly over styles and categories."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Prompt:
    """An image and the words that ask for it; `text_number` finds the words' token states."""

    sample_id: str
    split: str
    style: str
    category: str
    concept: str
    text: str
    text_number: int


def choose_prompts(candidates: Sequence[Prompt], num_prompts: int, seed: int) -> list[Prompt]:
    """At most `num_prompts` of one split, each text once, taking turns over (style, category) so that none dominates.

    Seeded, and independent of the order of `candidates`; the result is in the order of choice.
    """
    unique = {prompt.text: prompt for prompt in sorted(candidates, key=lambda p: (p.text, p.sample_id))}
    groups: dict[tuple[str, str], list[Prompt]] = defaultdict(list)
    for text in sorted(unique):
        groups[unique[text].style, unique[text].category].append(unique[text])
    draw = np.random.default_rng(seed)
    queues = [[groups[key][i] for i in draw.permutation(len(groups[key]))] for key in sorted(groups)]
    order = [queues[i] for i in draw.permutation(len(queues))]
    chosen: list[Prompt] = []
    for turn in range(max(map(len, order), default=0)):
        chosen += [queue[turn] for queue in order if turn < len(queue)]
    return chosen[:num_prompts]
