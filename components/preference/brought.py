"""Pairs that came in files: images checked and written as they are read, tables of what they are.

An image that cannot be decoded (published sets have a few) costs its pair and is counted; images in = 2 x pairs +
dropped, by reason.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from components.data.config import DecodeLimits
from components.data.decode import ImageRejectedError, decode_image
from components.data.records import CANDIDATES, IMAGES
from components.preference.config import PairRules
from components.preference.pairs import Pairs, best_against_worst, in_order, pair_row
from components.preference.prompts import normalised, split_of
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
    comparisons: Iterable[Comparison],
    rules: PairRules,
    limits: DecodeLimits,
    write: Callable[[pa.Table], None],
    *,
    shape_of: Callable[[int, int], object] = lambda width, height: None,
    evaluation: Iterable[str] = (),
) -> Brought:
    """Pairs of each comparison: best against worst, `pairs_per_prompt` of each; ties and margins as `rules` say.

    Images that are in a pair are given to `write` (`records.IMAGES`), each once, some at a time. `shape_of` is what an
    image of that width and height is brought to before training. Reasons beside those of `pairs`: what
    `Comparison.unused` says; `evaluation_prompt` where the prompt stands, normalised, in `evaluation`; `undecodable`;
    `other_shape` for images that are brought to two shapes; and `other_prompt` for a pair with an image that stood
    under another prompt before.
    """
    shelf, asked = _Shelf(rules, limits, write, shape_of), {normalised(prompt) for prompt in evaluation}
    for comparison in comparisons:
        is_asked = normalised(comparison.prompt) in asked
        shelf.add(replace(comparison, unused="evaluation_prompt") if is_asked else comparison)
    shelf.flush()
    candidates = pa.Table.from_pylist(list(shelf.candidates.values()), schema=CANDIDATES)
    return Brought(candidates, Pairs(in_order(shelf.rows, rules), +shelf.dropped), shelf.num_images)


class _Shelf:
    """What was found so far, and the images that wait to be written."""

    def __init__(
        self,
        rules: PairRules,
        limits: DecodeLimits,
        write: Callable[[pa.Table], None],
        shape_of: Callable[[int, int], object],
    ) -> None:
        self._rules, self._limits, self._write, self._shape_of = rules, limits, write, shape_of
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
            found = self._pair(comparison, match.winner, match.loser)
            if isinstance(found, str):
                self.dropped[found] += 2
                continue
            winner, loser = found
            row = pair_row(winner, loser, match.margin, comparison.judge, comparison.is_human, self._rules)
            self.rows.append(row)

    def flush(self) -> None:
        """Write the images that wait."""
        if self._waiting:
            self._write(pa.Table.from_pylist(self._waiting, schema=IMAGES))
            self._waiting.clear()

    def _pair(self, comparison: Comparison, *numbers: int) -> list[dict[str, Any]] | str:
        """The rows of two images, which are kept, or why they are no pair."""
        try:
            found = [self._candidate(comparison, number) for number in numbers]
        except ImageRejectedError:
            return "undecodable"
        if any(one["prompt"] != comparison.prompt for one in found):
            return "other_prompt"
        if len({self._shape_of(one["width"], one["height"]) for one in found}) > 1:
            return "other_shape"
        for one, number in zip(found, numbers, strict=True):
            self._keep(one, comparison, number)
        return found

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
