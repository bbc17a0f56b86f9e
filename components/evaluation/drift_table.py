"""What parts of a distillation are worth, side by side: the shares of the teacher's abilities that students keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from components.evaluation.ablation import NOT_MEASURED
from components.evaluation.drift import ALL, drift_chart

Looks = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class DriftResult:
    """One distillation of a comparison at its last look; shares of the teacher's numbers, 1 is equal, less is worse.

    `alignment` is by domain, with "all"; `ended_early` says why, if it did.
    """

    arm: str
    title: str
    student_updates: int
    alignment: dict[str, float]
    diversity: float | None
    frechet: float | None
    saturation: float | None
    ended_early: str

    @property
    def worst(self) -> float | None:
        """The share of the domain that lost most."""
        return min((share for domain, share in self.alignment.items() if domain != ALL), default=None)


def drift_result(arm: str, title: str, looks: Looks, ended_early: str) -> DriftResult:
    """The last of a distillation's looks; numbers that broke before the first leave nothing measured."""
    last = looks[-1] if looks else {}
    names = [name.split("/") for name in last]
    domains = [parts[1] for parts in names if parts[0] == "drift" and parts[2:] == ["alignment"]]
    return DriftResult(
        arm=arm,
        title=title,
        student_updates=last.get("student_updates", 0),
        alignment={domain: last[f"drift/{domain}/alignment"] for domain in domains},
        diversity=last.get(f"drift/{ALL}/diversity"),
        frechet=last.get(f"drift/{ALL}/frechet"),
        saturation=last.get("saturation"),
        ended_early=ended_early,
    )


def drift_markdown(results: Sequence[DriftResult]) -> str:
    """The table for a report, one row per training, with what ended early below it."""
    domains = sorted({domain for result in results for domain in result.alignment} - {ALL})
    head = ["training", *(f"alignment, {domain}" for domain in domains), "worst", "diversity", "Fréchet", "colours"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for one in results:
        shares = [*(one.alignment.get(domain) for domain in domains), one.worst, one.diversity, one.frechet]
        lines.append(_line([one.title, *map(_share, [*shares, one.saturation])]))
    lines += [
        f"\n{r.title}: ended after {r.student_updates} updates, {r.ended_early}" for r in results if r.ended_early
    ]
    return "\n".join(lines) + "\n"


def ablation_drift_chart(titles: Mapping[str, str], looks: Mapping[str, Looks]) -> UInt8[np.ndarray, "height width 3"]:
    """Each domain's alignment, and diversity, over updates of the student: a panel per domain, a curve per training."""
    turned: list[dict[str, Any]] = []
    for arm, title in titles.items():
        for look in looks[arm]:
            shown: dict[str, Any] = {"student_updates": look["student_updates"]}
            for name, share in look.items():
                parts = name.split("/")
                if parts[0] == "drift" and parts[2] == "alignment" and parts[1] != ALL:
                    shown[f"drift/{title}/{parts[1]}: alignment"] = share
            if f"drift/{ALL}/diversity" in look:
                shown[f"drift/{title}/diversity"] = look[f"drift/{ALL}/diversity"]
            turned.append(shown)
    return drift_chart(turned)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _share(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1%}"
