"""Pairs that came in files: images checked and written as they are read, tables of what they are.

An image that cannot be decoded (published sets have a few) costs its pair and is counted; images in = 2 x pairs +
dropped, by reason.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from components.data.config import DecodeLimits
from components.data.decode import ImageRejectedError, decode_image
from components.data.records import CANDIDATES, IMAGES
from components.preference.config import PairRules
from components.preference.pairs import Pairs, best_against_worst, in_order, pair_row
from components.preference.prompts import split_of
from components.preference.readers import Comparison

_VIEW_PX = 64
_WRITE_IMAGES = 64


@dataclass(frozen=True)
class Brought:
    """The images of all pairs (`records.CANDIDATES`), and the pairs; `num_images` were listed, with repetitions."""

    candidates: pa.Table
    pairs: Pairs
    num_images: int


def bring(
    comparisons: Iterable[Comparison], rules: PairRules, limits: DecodeLimits, write: Callable[[pa.Table], None]
) -> Brought:
    """Pairs of each comparison: best against worst, `pairs_per_prompt` of each; ties and margins as `rules` say.

    Images that are in a pair are given to `write` (`records.IMAGES`), each once, some at a time. Reasons beside those
    of `pairs`: what `Comparison.unused` says, `undecodable`, and `other_prompt` for a pair with an image that stood
    under another prompt before.
    """
    shelf = _Shelf(rules, limits, write)
    for comparison in comparisons:
        shelf.add(comparison)
    shelf.flush()
    candidates = pa.Table.from_pylist(list(shelf.candidates.values()), schema=CANDIDATES)
    return Brought(candidates, Pairs(in_order(shelf.rows, rules), +shelf.dropped), shelf.num_images)


class _Shelf:
    """What was found so far, and the images that wait to be written."""

    def __init__(self, rules: PairRules, limits: DecodeLimits, write: Callable[[pa.Table], None]) -> None:
        self._rules, self._limits, self._write = rules, limits, write
        self._waiting: list[dict[str, Any]] = []
        self.candidates: dict[str, dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.dropped = Counter[str]()
        self.num_images = 0

    def add(self, comparison: Comparison) -> None:
        """Its pairs, or why there are none."""
        self.num_images += len(comparison.images)
        if comparison.unused:
            self.dropped[comparison.unused] += len(comparison.images)
            return
        matches, why = best_against_worst(np.array(comparison.scores, np.float64), self._rules)
        self.dropped.update(why)
        for match in matches:
            numbers = match.winner, match.loser
            try:
                found = [self._candidate(comparison, number) for number in numbers]
            except ImageRejectedError:
                self.dropped["undecodable"] += 2
                continue
            if any(one["prompt"] != comparison.prompt for one in found):
                self.dropped["other_prompt"] += 2
                continue
            for one, number in zip(found, numbers, strict=True):
                self._keep(one, comparison, number)
            winner, loser = found
            row = pair_row(winner, loser, match.margin, comparison.judge, comparison.is_human, self._rules)
            self.rows.append(row)

    def flush(self) -> None:
        """Write the images that wait."""
        if self._waiting:
            self._write(pa.Table.from_pylist(self._waiting, schema=IMAGES))
            self._waiting.clear()

    def _candidate(self, comparison: Comparison, number: int) -> dict[str, Any]:
        """The row of an image; ImageRejectedError if it is damaged."""
        sample_id = hashlib.sha256(comparison.images[number]).hexdigest()
        if sample_id in self.candidates:
            return self.candidates[sample_id]
        image = decode_image(comparison.images[number], self._limits, at_least_px=_VIEW_PX)
        of_file = {"category": "", "style": "", "model": "", "seed": 0, "guidance_scale": 0.0, "num_sampling_steps": 0}
        return of_file | {
            "sample_id": sample_id,
            "prompt": comparison.prompt,
            "split": split_of(comparison.prompt, self._rules),
            "width": image.width,
            "height": image.height,
            "scores": [],
        }

    def _keep(self, candidate: dict[str, Any], comparison: Comparison, number: int) -> None:
        if candidate["sample_id"] not in self.candidates:
            self.candidates[candidate["sample_id"]] = candidate
            self._waiting.append({"sample_id": candidate["sample_id"], "bytes": comparison.images[number]})
            if len(self._waiting) >= _WRITE_IMAGES:
                self.flush()
        candidate["scores"].append({"judge": comparison.judge, "score": comparison.scores[number]})
