"""Versions, aliases and runs side by side, by the rules of the gate: what `easel compare` shows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.promote import GATE_FILE
from flows.requests import FAMILIES, family_of

if TYPE_CHECKING:
    from components.registry.gate import Contrast, Gate

RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Row:
    """A metric of each, and how each but the first stands to the first; "" where the gate has no rule for it."""

    metric: str
    better: str
    values: Sequence[float | None]
    contrasts: "Sequence[Contrast | str]"


@dataclass(frozen=True)
class Comparison:
    """What was compared, as it is called, with the gate's metrics first; `front` are those that no other beats."""

    names: Sequence[str]
    rows: Sequence[Row]
    front: Sequence[str]


def compare(root: Path, models: Sequence[str]) -> Comparison:
    """The metrics of `models` (versions, aliases, `turbo:3`, ids of runs), the first being what others stand to.

    One alone is compared with the champion of its family. Where differences stay within the gate's margins none is
    called better.

    Raises:
        ValueError: in one line, naming what there is.
    """
    from components.registry.gate import read_gate

    if len(models) == 1:
        models = [_champion_for(models[0]), *models]
    family = next((family_of(model)[0] for model in models if not RUN_ID.fullmatch(model)), FAMILIES[""][0])
    measured = dict(_measured(root, model) for model in models)
    if len(measured) < 2:
        raise ValueError(f"{', '.join(models)}: these are one and the same, {next(iter(measured))}")
    return side_by_side(read_gate(root / GATE_FILE, family), measured)


def _champion_for(model: str) -> str:
    """The champion of the family that `model` is of, in the words of `family_of`."""
    family, _, _ = model.partition(":")
    return f"{family}:champion" if family and family in FAMILIES else "champion"


def _measured(root: Path, model: str) -> tuple[str, dict[str, float]]:
    """Name and number, or the run's id, and what was measured."""
    from components.registry.promotion import candidate, run_metrics

    uri = settings.tracking_uri(root)
    if RUN_ID.fullmatch(model):
        return model, run_metrics(uri, model)
    name, _, wanted = family_of(model)
    found = candidate(uri, name, wanted)
    return f"{name}/{found.number}", found.metrics


def side_by_side(gate: "Gate", measured: Mapping[str, Mapping[str, float]]) -> Comparison:
    """The table of `measured`, by name, whose first is what the others stand to."""
    from components.registry.gate import contrast, pareto_front

    rules = {rule.metric: rule for rule in gate.rules}
    everywhere = sorted(set().union(*measured.values()) - rules.keys())
    rows: list[Row] = []
    for metric in (*rules, *everywhere):
        values = [values.get(metric) for values in measured.values()]
        rule = rules.get(metric)
        contrasts = [contrast(rule, value, values[0]) if rule else "" for value in values[1:]]
        rows.append(Row(metric, rule.better if rule else "", values, contrasts))
    return Comparison(list(measured), rows, pareto_front(gate, measured))
