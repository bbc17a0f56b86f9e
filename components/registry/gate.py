"""The gate before the alias `champion`: what a version must show, declared in params.yaml and judged number by number.

A rule bounds a metric (`at_least`, or `at_most` where less is better), or how much worse than the champion's it may be
(`worse_by_at_most`, in the metric's own units), or both. A metric that was not measured does not pass. Nothing here
knows MLflow: a version is a mapping from metric to value.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Contrast = Literal["better", "worse", "no difference beyond the margin", "not comparable"]
Verdict = Literal["passes", "not measured", "not at least", "not at most", "falls too far", "rises too far"]


class GateError(ValueError):
    """A gate is declared as it cannot be; one line says what, where and what to do."""


@dataclass(frozen=True)
class Rule:
    """What the gate asks of one metric."""

    metric: str
    better: Literal["higher", "lower"]
    worse_by_at_most: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower"):
            raise ValueError(f"better is {self.better!r}; allowed: higher, lower")
        if (self.at_least, self.at_most, self.worse_by_at_most) == (None, None, None):
            raise ValueError("asks nothing; give worse_by_at_most, at_least or at_most")
        wrong = "at_most" if self.better == "higher" else "at_least"
        if getattr(self, wrong) is not None:
            raise ValueError(f"{wrong} bounds the good side of a metric of which {self.better} is better")
        for name in ("worse_by_at_most", "at_least", "at_most"):
            value: Any = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not is_number:
                raise ValueError(f"{name} is {value!r}, not a number")
        if (self.worse_by_at_most or 0) < 0:
            raise ValueError(f"worse_by_at_most is {self.worse_by_at_most}; it must be 0 or more")

    def worsening(self, value: float, champion: float) -> float:
        """By how much `value` is worse than `champion`; negative where it is better."""
        return champion - value if self.better == "higher" else value - champion


@dataclass(frozen=True)
class Gate:
    """The rules for one registered model, and whether one person may promote alone."""

    rules: tuple[Rule, ...]
    needs_second_person: bool


@dataclass(frozen=True)
class Check:
    """A rule and what it found; `champion` is None where there is none, or none with this metric."""

    rule: Rule
    value: float | None
    champion: float | None
    verdict: Verdict

    @property
    def passes(self) -> bool:
        """Whether the rule is kept."""
        return self.verdict == "passes"


def parse_gates(declared: Any, where: str) -> dict[str, Gate]:
    """The gates that a block of plain values declares, by registered name; `where` stands in messages.

    Raises:
        GateError: a key is unknown or missing, or a rule contradicts itself or asks nothing.
    """
    if not isinstance(declared, dict) or not declared:
        raise GateError(f"{where}: expected a gate for each registered model, got {declared!r}")
    return {str(name): _gate(block, f"{where}.{name}") for name, block in declared.items()}


def _gate(block: Any, where: str) -> Gate:
    _check_keys(block, {"needs_second_person", "metrics"}, set(), where)
    if not isinstance(block["needs_second_person"], bool):
        raise GateError(f"{where}.needs_second_person is {block['needs_second_person']!r}; allowed: true, false")
    if not isinstance(block["metrics"], dict) or not block["metrics"]:
        raise GateError(f"{where}.metrics names no metric; a gate that asks nothing would let everything pass")
    rules = tuple(_rule(str(metric), asked, f"{where}.metrics") for metric, asked in block["metrics"].items())
    return Gate(rules, block["needs_second_person"])


def _check_keys(block: Any, required: set[str], optional: set[str], where: str) -> None:
    if not isinstance(block, dict):
        raise GateError(f"{where}: expected names and values, got {block!r}")
    for key in sorted(map(str, block.keys() - required - optional)):
        raise GateError(f"{where}.{key}: no such key; allowed: {', '.join(sorted(required | optional))}")
    for key in sorted(required - block.keys()):
        raise GateError(f"{where}.{key} is missing")


def _rule(metric: str, asked: Any, where: str) -> Rule:
    _check_keys(asked, {"better"}, {"worse_by_at_most", "at_least", "at_most"}, f"{where}.{metric}")
    try:
        return Rule(metric, **asked)
    except ValueError as error:
        raise GateError(f"{where}.{metric}: {error}") from None


def judge(gate: Gate, measured: Mapping[str, float], champion: Mapping[str, float] | None) -> list[Check]:
    """What each rule finds; without a champion, or where it lacks a metric, only the bounds count."""
    return [_check(rule, _finite(measured, rule.metric), _finite(champion or {}, rule.metric)) for rule in gate.rules]


def passes(checks: list[Check]) -> bool:
    """Whether the gate opens: every rule is kept, and there is one."""
    return bool(checks) and all(check.passes for check in checks)


def _finite(values: Mapping[str, float], metric: str) -> float | None:
    value = values.get(metric, math.nan)
    return value if math.isfinite(value) else None


def _check(rule: Rule, value: float | None, champion: float | None) -> Check:
    verdict: Verdict = "passes"
    if value is None:
        verdict = "not measured"
    elif rule.at_least is not None and value < rule.at_least:
        verdict = "not at least"
    elif rule.at_most is not None and value > rule.at_most:
        verdict = "not at most"
    elif champion is not None and rule.worse_by_at_most is not None:
        worse = rule.worsening(value, champion)
        if worse > rule.worse_by_at_most and not _same(worse, rule.worse_by_at_most):
            verdict = "falls too far" if rule.better == "higher" else "rises too far"
    return Check(rule, value, champion, verdict)


def _same(one: float, other: float) -> bool:
    """Equal but for the last bits, which subtracting decimal numbers leaves."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def contrast(rule: Rule, value: float | None, other: float | None) -> Contrast:
    """How `value` stands to `other`: a difference within the rule's margin decides nothing."""
    if value is None or other is None or not (math.isfinite(value) and math.isfinite(other)):
        return "not comparable"
    worse, margin = rule.worsening(value, other), rule.worse_by_at_most or 0.0
    if abs(worse) <= margin or _same(abs(worse), margin):
        return "no difference beyond the margin"
    return "worse" if worse > 0 else "better"


def pareto_front(gate: Gate, versions: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Those that no other beats."""
    return [name for name, better in beaten_by(gate, versions).items() if not better]


def beaten_by(gate: Gate, versions: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    """For each those that beat it: that are at least as good in every metric of the gate and better in one.

    Differences count to the last digit here, unlike in `contrast`, whose margins do not add up over several versions.
    One that lacks a metric beats none and is beaten by none.
    """
    values = {name: [_finite(metrics, rule.metric) for rule in gate.rules] for name, metrics in versions.items()}
    return {name: [by for by in values if _beats(gate, values[by], values[name])] for name in values}


def _beats(gate: Gate, by: list[float | None], of: list[float | None]) -> bool:
    gains = [
        rule.worsening(theirs, ours)
        for rule, ours, theirs in zip(gate.rules, by, of, strict=True)
        if ours is not None and theirs is not None
    ]
    return len(gains) == len(gate.rules) and min(gains) >= 0 and max(gains) > 0
