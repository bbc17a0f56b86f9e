"""What safeguards of a training are worth, side by side: one training with each left out, as a table and as curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from components.evaluation.comparison import WinRate
from components.evaluation.health import Chart, History, health_panel

NOT_MEASURED = "–"


@dataclass(frozen=True)
class ArmResult:
    """One training of a comparison, judged on pairs that none of them trained on; None was not measured.

    `win_ratio` and `lose_ratio` are errors on preferred and rejected images over the reference's, `worst_lose_ratio`
    the largest along the way, `drift` that of the last update that was reported, `ended_early` says why, if it did.
    """

    arm: str
    title: str
    pairs_seen: int
    win_ratio: float | None
    lose_ratio: float | None
    worst_lose_ratio: float | None
    accuracy: float | None
    margin: float | None
    drift: float | None
    judged: WinRate | None
    ended_early: str


def arm_result(arm: str, title: str, history: History, judged: WinRate | None, ended_early: str) -> ArmResult:
    """The last look of a training that reported `history`, under the names that `preference_training` uses."""
    looks = {name: history.get(f"health/{name}", ()) for name in ("win_ratio", "lose_ratio", "accuracy", "margin")}
    last = {name: points[-1][1] if points else None for name, points in looks.items()}
    drift = history.get("train/drift", ())
    return ArmResult(
        arm=arm,
        title=title,
        pairs_seen=max((seen for points in history.values() for seen, _ in points), default=0),
        worst_lose_ratio=max((value for _, value in looks["lose_ratio"]), default=None),
        drift=drift[-1][1] if drift else None,
        judged=judged,
        ended_early=ended_early,
        **last,
    )


def markdown_table(results: Sequence[ArmResult]) -> str:
    """The table for a report, one row per training, with what ended early below it."""
    head = (
        "training",
        "error on preferred, relative to the reference",
        "error on rejected",
        "worst on rejected",
        "held-out accuracy",
        "margin per element",
        "drift",
        "judge prefers it to the reference (95 %)",
    )
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [
        _line(
            [
                result.title,
                _number(result.win_ratio, ".4f"),
                _number(result.lose_ratio, ".4f"),
                _number(result.worst_lose_ratio, ".4f"),
                _number(result.accuracy, ".1%"),
                _number(result.margin, ".2e"),
                _number(result.drift, ".2e"),
                NOT_MEASURED if result.judged is None else _win_rate(result.judged),
            ]
        )
        for result in results
    ]
    lines += [f"\n{r.title}: ended after {r.pairs_seen} pairs, {r.ended_early}" for r in results if r.ended_early]
    return "\n".join(lines) + "\n"


def ablation_chart(titles: Mapping[str, str], histories: Mapping[str, History]) -> UInt8[np.ndarray, "height width 3"]:
    """Errors on rejected and preferred held-out images and the accuracy over pairs seen, one line per training."""
    charts = (
        ("rejected: error relative to the reference", "lose_ratio", 1.0, False),
        ("preferred: error relative to the reference", "win_ratio", 1.0, False),
        ("held-out accuracy", "accuracy", 0.5, True),
    )
    history = {f"{arm}/{name}": histories[arm].get(f"health/{name}", ()) for arm in titles for _, name, _, _ in charts}
    return health_panel(
        history,
        [
            Chart(title, {f"{arm}/{name}": shown for arm, shown in titles.items()}, neutral, is_share)
            for title, name, neutral, is_share in charts
        ],
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return NOT_MEASURED if value is None else format(value, form)


def _win_rate(rate: WinRate) -> str:
    return f"{rate.share:.1%} ({rate.low:.1%} to {rate.high:.1%}, {rate.num_prompts} prompts)"
