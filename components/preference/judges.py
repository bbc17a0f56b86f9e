"""Judges of images: a score for each, higher is better, NaN where a judge has nothing to go by.

None of them is a person. `alignment` asks classifiers of this project whether style and category are what was asked
for; `aesthetic_proxy` is a proxy for looks that was fitted on damage of known order, not on anybody's taste;
`lettering` reads the picture and compares words.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from components.data.errors import DataError
from components.models.linear_probe import LinearProbe

Images = UInt8[np.ndarray, "n h w 3"]
Scores = Float[np.ndarray, " n"]
Features = Float[np.ndarray, "n d"]


@dataclass(frozen=True)
class Asked:
    """What an image was drawn for; "" where it is not known or nothing of the kind was asked."""

    prompt: str
    category: str = ""
    style: str = ""
    lettering: str = ""


@runtime_checkable  # the tests check types at run time
class Judge(Protocol):
    """Scores images by what they were asked to be."""

    @property
    def name(self) -> str:
        """What stands beside its scores."""
        ...

    def can_judge(self, asked: Asked) -> bool:
        """Whether it has anything to go by; where not, its score is NaN."""
        ...

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        """A score for each image."""
        ...


class SharedFeatures:
    """Features of the images seen last, so that judges asked in turn about one array compute them once."""

    def __init__(self, extract: Callable[[Images], Features]) -> None:
        self._extract = extract
        self._last: tuple[Images, Features] | None = None

    def __call__(self, images_u8: Images) -> Features:
        """Features of `images_u8`, which must not be changed in place between two calls."""
        if self._last is None or self._last[0] is not images_u8:
            self._last = images_u8, self._extract(images_u8)
        return self._last[1]


class AlignmentJudge:
    """Mean log probability of the asked style and category under calibrated classifiers; at most 0."""

    name = "alignment"

    def __init__(self, style: LinearProbe, category: LinearProbe, features: Callable[[Images], Features]) -> None:
        self._probes = {"style": style, "category": category}
        self._features = features

    def can_judge(self, asked: Asked) -> bool:
        """True where a class that the classifiers know was asked for."""
        return any(getattr(asked, label) in probe.classes for label, probe in self._probes.items())

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        """The mean over those of the two labels that were asked for and are known."""
        features = self._features(images_u8)
        columns = [
            _log_probabilities(probe, features, [getattr(one, label) for one in asked])
            for label, probe in self._probes.items()
        ]
        return _mean_of_known(np.stack(columns), np.ones(len(columns)))


class AestheticProxyJudge:
    """Log odds that an image is an undamaged one, by the two-class probe of stage `score`: a proxy, not taste."""

    name = "aesthetic_proxy"

    def __init__(self, probe: LinearProbe, features: Callable[[Images], Features]) -> None:
        self._probe, self._features = probe, features

    def can_judge(self, asked: Asked) -> bool:
        """Always."""
        return True

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        """The probe's margin of each image, whatever was asked."""
        return self._probe.margin(self._features(images_u8)).astype(np.float64)


@runtime_checkable
class Line(Protocol):
    """One line as a reader gives it."""

    @property
    def text(self) -> str:
        """What was read."""
        ...


class LetteringJudge:
    """How many of the words that were asked for can be read in the picture; see `word_accuracy`."""

    name = "lettering"

    def __init__(self, read: Callable[[UInt8[np.ndarray, "h w 3"]], Sequence[Line]]) -> None:
        self._read = read

    def can_judge(self, asked: Asked) -> bool:
        """True where words were asked for."""
        return bool(words(asked.lettering))

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        """In [0, 1]; pictures that no words were asked for are not read."""
        return np.array([self._one(image, one) for image, one in zip(images_u8, asked, strict=True)], np.float64)

    def _one(self, image_u8: UInt8[np.ndarray, "h w 3"], asked: Asked) -> float:
        if not self.can_judge(asked):
            return float("nan")
        return word_accuracy(asked.lettering, " ".join(line.text for line in self._read(image_u8)))


@dataclass(frozen=True)
class WeightedJudge:
    """Several judges as one: `weighted` of their scores, standardised over the images of one call."""

    judges: Sequence[Judge]
    weights: Mapping[str, float]
    name: str = "weighted"

    def can_judge(self, asked: Asked) -> bool:
        """True where one of them can."""
        return any(judge.can_judge(asked) for judge in self.judges)

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        """The weighted mean; DataError if a judge gives no number where it should."""
        names = [f"number {number}" for number in range(len(asked))]
        return weighted(judge_all(self.judges, images_u8, asked, names), self.weights)


def judge_all(
    judges: Sequence[Judge], images_u8: Images, asked: Sequence[Asked], sample_ids: Sequence[str]
) -> dict[str, Scores]:
    """The scores of each judge, by its name; DataError naming judge and image where a number is missing."""
    scores = {judge.name: judge(images_u8, asked) for judge in judges}
    for judge in judges:
        check_scores(judge, scores[judge.name], asked, sample_ids)
    return scores


def check_scores(judge: Judge, scores: Scores, asked: Sequence[Asked], sample_ids: Sequence[str]) -> None:
    """DataError naming judge and image unless every score is finite, or NaN where the judge has nothing to go by."""
    for score, one, sample_id in zip(scores.tolist(), asked, sample_ids, strict=True):
        if not np.isfinite(score) and (judge.can_judge(one) or not np.isnan(score)):
            raise DataError(
                f"judge {judge.name!r} scored image {sample_id} ({one.prompt!r}) as {score}; "
                "its model or its images are damaged: no pair is made from such scores"
            )


def weighted(scores: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """The weighted mean of standardised scores, for each image over the judges that judged it; NaN where none did.

    Each judge's scores are brought to mean 0 and deviation 1 over all images that it judged (0 where they are all
    equal), so that a margin of 1 is one deviation. ValueError for a judge without a weight, or weights below 0.
    """
    unknown = sorted(set(scores) ^ set(weights))
    if unknown or not all(np.isfinite(weight) and weight >= 0 for weight in weights.values()):
        raise ValueError(f"weights are {dict(weights)}, judges {sorted(scores)}; allowed: 0 or more for each judge")
    if not sum(weights.values()) > 0:
        raise ValueError(f"weights are {dict(weights)}; allowed: at least one above 0")
    names = [name for name in scores if weights[name] > 0]
    columns = np.stack([_standardised(scores[name]) for name in names])
    return _mean_of_known(columns, np.array([weights[name] for name in names], np.float64))


def word_accuracy(asked: str, read: str) -> float:
    """Words of `asked` that were read, over the longer of the two texts: in [0, 1], 1 only where all is right.

    In any order, as often as they occur, in any case; where `asked` has no words, 1 if none were read.
    """
    wanted, found = Counter(words(asked)), Counter(words(read))
    longer = max(wanted.total(), found.total())
    return (wanted & found).total() / longer if longer else 1.0


def words(text: str) -> list[str]:
    """The words of `text`, case-folded; every Chinese character is one, for nothing stands between them."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")


def _log_probabilities(probe: LinearProbe, features: Features, labels: Sequence[str]) -> Scores:
    """Log probability of each row's label; NaN where the probe does not know it."""
    logits = probe.logits(features).astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    number_of = {name: number for number, name in enumerate(probe.classes)}
    return np.array(
        [logs[row, number_of[label]] if label in number_of else np.nan for row, label in enumerate(labels)], np.float64
    )


def _standardised(scores: Scores) -> Scores:
    known = scores[~np.isnan(scores)].astype(np.float64)
    if not len(known) or np.ptp(known) == 0:  # a deviation of rounding errors is no scale
        return scores * 0.0
    return (scores - known.mean()) / known.std()


def _mean_of_known(columns: Float[np.ndarray, "k n"], weights: Float[np.ndarray, " k"]) -> Scores:
    """The weighted mean of each column's values that are not NaN; NaN where there are none."""
    known = ~np.isnan(columns)
    total = (known * weights[:, None]).sum(axis=0)
    summed = (np.where(known, columns, 0.0) * weights[:, None]).sum(axis=0)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), np.nan)
