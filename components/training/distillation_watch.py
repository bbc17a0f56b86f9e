"""The watch over distillation: every ability of the student beside its teacher's, and guards against collapse.

A student can lose one domain, or its diversity, or paint in ever louder colours, while its losses say nothing: the
loss of the fake score measures how well that score follows the student, not how good the student is. So at each look
the student draws the same prompts from the same noise, and what judges say of it is divided by what they said of the
teacher once, before training.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from components.models.denoiser import Denoiser
from components.training.drift_config import DriftWatchConfig
from components.training.reporting import Report
from components.training.watch import Seen, Watch, numbers_of

ALL = "all"
DISTANCES = frozenset({"frechet"})
"""Measures of which less is better."""
ABILITIES = ("alignment", "diversity")
"""The measures by which weights are chosen, each of every domain."""
SATURATION = "saturation"
"""The measure of which neither more nor less than the teacher's is better."""

SCORE = f"student/{ALL}/alignment"

Examine = Callable[[Denoiser], Mapping[str, float]]
"""Draws with a network and measures what it drew, as `<domain>/<measure>`; every process calls it, all get the same."""


def drift_of(student: Mapping[str, float], teacher: Mapping[str, float]) -> dict[str, float]:
    """The student's share of what the teacher reaches, by the same names: 1 is equal, less is worse.

    For a distance it is the teacher's over the student's. Where a number is missing, not finite, or a divisor is 0
    (no asked word can be read, say) there is no share, and the name is left out.
    """
    shares: dict[str, float] = {}
    for name in teacher.keys() & student.keys():
        over, under = student[name], teacher[name]
        if name.rpartition("/")[2] in DISTANCES:
            over, under = under, over
        if under > 0 and math.isfinite(over) and math.isfinite(under):
            shares[name] = over / under
    return {name: shares[name] for name in teacher if name in shares}


def why_to_end(looks: Sequence[Seen], config: DriftWatchConfig) -> str:
    """Why training should end after the last of `looks`, for a person; "" if it should go on.

    Collapse: diversity of a domain or of all below `min_diversity` of the teacher's; colours `max_saturation` times as
    strong as the teacher's or as weak; alignment of all fallen by more than `max_quality_fall` from its best look;
    the fake loss risen `patience` times in a row; or a number that is none. Of the first look, before which nothing was
    trained, only the last can be said.
    """
    last = looks[-1]
    if broken := [name for name, value in numbers_of(last).items() if not math.isfinite(value)]:
        return f"{broken[0]} is {last[broken[0]]}: the student draws no pictures any more; lower the learning rate"
    if len(looks) == 1:
        return ""
    diversities = _drift(last, "diversity")
    least = min(diversities, key=lambda domain: diversities[domain], default=ALL)
    if diversities.get(least, 1.0) < config.min_diversity:
        return (
            f"diversity of {least} is {100 * diversities[least]:.0f} % of the teacher's, below "
            f"{100 * config.min_diversity:.0f} %: pictures of one prompt grow alike; lower the guidance or the rate"
        )
    if SATURATION in last and not 1 / config.max_saturation <= last[SATURATION] <= config.max_saturation:
        return (
            f"colours are {last[SATURATION]:.2f} times as strong as the teacher's, allowed are "
            f"{1 / config.max_saturation:.2f} to {config.max_saturation:.2f}; lower the guidance"
        )
    alignments = [look[SCORE] for look in looks if SCORE in look]
    if alignments and (fall := 1 - alignments[-1] / max(alignments)) > config.max_quality_fall:
        return (
            f"alignment of all fell by {100 * fall:.1f} % from its best look "
            f"({max(alignments):.4g}, now {alignments[-1]:.4g})"
        )
    losses = [look["fake_loss"] for look in looks if "fake_loss" in look][-config.patience - 1 :]
    if config.patience and len(losses) > config.patience and all(a < b for a, b in pairwise(losses)):
        return (
            f"the fake loss rose {config.patience} looks in a row ({losses[0]:.4g}, now {losses[-1]:.4g}): the fake "
            "score no longer follows the student; give it more updates or a higher rate"
        )
    return ""


class DistillationWatch(Watch):
    """Measures the student beside the teacher, and keeps the weights of the look that lost least of any ability.

    Abilities are the alignment and the diversity of each domain. Kept are the weights of the look, among those without
    a fault, whose most lost ability has the largest share of the teacher's; of equal ones the last. A mean would hide
    a domain that is lost while others gain, and alignment alone would be bought with diversity. The last look need not
    be the best, since distillation oscillates; it is taken where nothing of this was measured. It depends on the looks
    alone, so a training that continues chooses the same.

    Args:
        examine: what the student is measured by.
        teacher: the same numbers of the teacher, with its own steps and guidance; or what measures them, which is asked
            at the first look, where the student still is its teacher, on the devices of training and by all its
            processes. A training that continues takes them from its looks.
        config: what ends training.
        report: where numbers go, under their own names.
        folder: where looks and weights are kept; None keeps them in memory.
        student_updates: how often the student was updated after so many images.

    Raises:
        ValueError: a number of the teacher is not finite.
    """

    def __init__(
        self,
        examine: Examine,
        teacher: Mapping[str, float] | Examine,
        config: DriftWatchConfig,
        report: Report,
        folder: Path | None,
        student_updates: Callable[[int], int],
    ) -> None:
        super().__init__(report, folder)
        self._examine, self._config = examine, config
        self._teacher = teacher if callable(teacher) else _finite(teacher)
        self._student_updates = student_updates

    def measure(self, denoiser: Denoiser, images_seen: int) -> dict[str, Any]:
        """The student's numbers, the teacher's, their drift, `saturation` as a ratio, and the fake loss if there is."""
        if callable(self._teacher):
            self._teacher = _teacher_of(self.looks[0]) if self.looks else _finite(self._teacher(denoiser))
        student = self._examine(denoiser)
        drift = drift_of(student, self._teacher)
        saturation = drift.pop(f"{ALL}/{SATURATION}", None)
        return {
            "student_updates": self._student_updates(images_seen),
            **{f"student/{name}": value for name, value in student.items()},
            **{f"teacher/{name}": value for name, value in self._teacher.items()},
            **{f"drift/{name}": value for name, value in drift.items()},
            **({} if saturation is None else {SATURATION: saturation}),
            **({"fake_loss": self.terms["fake"]} if "fake" in self.terms else {}),
        }

    def why(self, looks: Sequence[Seen]) -> str:
        """See `why_to_end`."""
        return why_to_end(looks, self._config)

    def best(self, looks: Sequence[Seen]) -> Seen:
        """The look whose most lost ability lost least; of equal ones the last."""
        return max(reversed(looks), key=least_share)


def least_share(look: Seen) -> float:
    """The share of the teacher's that is left of the most lost ability; 0 where none was measured."""
    shares = [share for ability in ABILITIES for share in _drift(look, ability).values()]
    return min(shares, default=0.0)


def _finite(teacher: Mapping[str, float]) -> Mapping[str, float]:
    if broken := [name for name, value in teacher.items() if not math.isfinite(value)]:
        raise ValueError(f"the teacher's {broken[0]} is {teacher[broken[0]]}; its weights or judges are damaged")
    return teacher


def _teacher_of(look: Seen) -> dict[str, float]:
    prefix = "teacher/"
    return {name.removeprefix(prefix): value for name, value in look.items() if name.startswith(prefix)}


def _drift(look: Seen, measure: str) -> dict[str, float]:
    """The shares of one measure by domain."""
    names = (name.split("/") for name in look)
    return {parts[1]: look["/".join(parts)] for parts in names if parts[0] == "drift" and parts[2:] == [measure]}
