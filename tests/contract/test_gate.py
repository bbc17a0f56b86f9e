"""The gate that is committed judges every model that any parameter file registers, by metrics that `evaluate` makes."""

from dataclasses import fields
from pathlib import Path

import pytest

from components.registry.gate import read_gate
from flows.parameters import read_blocks
from flows.promote import GATE_FILE
from flows.requests import FAMILIES
from flows.stages.evaluate import Metrics

ROOT = Path(__file__).parents[2]
PARAMETER_FILES = [ROOT / "params.yaml", *sorted((ROOT / "infra" / "recipes").glob("*.yaml"))]
REGISTERING = ("register", "register_turbo")


@pytest.mark.parametrize("file", PARAMETER_FILES, ids=lambda f: f.name)
def test_every_registered_model_has_a_gate_and_a_family(file: Path) -> None:
    blocks = read_blocks(file)
    names = {blocks[stage]["name"] for stage in REGISTERING}
    assert names == {name for name, _ in FAMILIES.values()}
    for name in names:
        assert read_gate(ROOT / GATE_FILE, name).rules


@pytest.mark.parametrize("name", [name for name, _ in FAMILIES.values()])
def test_the_gate_asks_for_metrics_that_there_are(name: str) -> None:
    made = {field.name for field in fields(Metrics)}
    for rule in read_gate(ROOT / GATE_FILE, name).rules:
        split, key = rule.metric.split("/")
        assert split == "heldout"  # all held-out prompts: the most there are
        assert {f"cell_{key}", f"concept_{key}"} <= made, rule.metric
        assert rule.better == ("lower" if key.endswith("frechet") else "higher")
        assert rule.worse_by_at_most is not None
