"""Finding images for a demand: by the words of their captions, and by looking like those that the words found.

There is no model here that embeds text and images alike. A query reaches images without its words only through
those with them: their mean feature is the query's image (pseudo-relevance feedback), so a query that no caption
answers finds nothing, whatever the images show.

Source: Robertson and Zaragoza 2009, doi:10.1561/1500000019 (BM25); Rocchio 1971, in The SMART Retrieval System.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from components.data.top_down.facts import stem

_K1, _B = 1.2, 0.75
_WORD = re.compile(r"[a-z0-9]+")
_CJK = re.compile(r"[\u3400-\u9fff]+")


def tokens(text: str) -> list[str]:
    """Lower-case words without the plural's s, and pairs of neighbouring Chinese characters (a lone one by itself)."""
    lowered = text.lower()
    pairs = [run[n : n + 2] for run in _CJK.findall(lowered) for n in range(max(len(run) - 1, 1))]
    return [*map(stem, _WORD.findall(lowered)), *pairs]


class WordIndex:
    """The words of `texts`, for scoring them against queries."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(tokens(text)) for text in texts]
        self._num_texts = len(texts)
        self._lengths = np.array([sum(count.values()) for count in counts], np.float64)
        self._postings: dict[str, tuple[list[int], list[int]]] = {}
        for row, count in enumerate(counts):
            for word, number in count.items():
                rows, numbers = self._postings.setdefault(word, ([], []))
                rows.append(row)
                numbers.append(number)

    def scores(self, query: str) -> Float[np.ndarray, " n"]:
        """BM25 of every text (k1 = 1.2, b = 0.75); 0 where a word of the query is missing."""
        words = list(dict.fromkeys(tokens(query)))
        total = np.zeros(self._num_texts)
        matched = np.zeros(self._num_texts, int)
        norm = _K1 * (1 - _B + _B * self._lengths / max(float(self._lengths.mean()), 1.0)) if self._num_texts else total
        for word in words:
            posting = self._postings.get(word, ([], []))
            rows, numbers = np.array(posting[0], int), np.array(posting[1], np.float64)
            idf = np.log(1 + (self._num_texts - len(rows) + 0.5) / (len(rows) + 0.5))
            total[rows] += idf * numbers * (_K1 + 1) / (numbers + norm[rows])
            matched[rows] += 1
        return np.where(matched == len(words), total, 0.0) if words else total

    def best(self, queries: Sequence[str]) -> Float[np.ndarray, " n"]:
        """The best score of every text over `queries`, brought to [0, 1] by the highest; 0 where none matches."""
        best = np.max([self.scores(query) for query in queries], axis=0) if queries else np.zeros(self._num_texts)
        highest = float(best.max()) if len(best) else 0.0
        return best / highest if highest > 0 else best


def likeness(features: Float[np.ndarray, "n d"], is_relevant: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Cosine of every image to the centre of the relevant ones, both seen from the centre of all; 0 without any.

    An image that is relevant itself is left out of its own centre, so that its likeness says something of the others.
    """
    num_relevant = int(is_relevant.sum())
    if num_relevant == 0:
        return np.zeros(len(features))
    seen = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    centre = seen[is_relevant].sum(0)
    others = np.where(is_relevant[:, None], centre - seen, centre)
    norms = np.linalg.norm(others, axis=1)
    return np.where(norms > 1e-9, (seen * others).sum(1) / np.maximum(norms, 1e-9), 0.0)
