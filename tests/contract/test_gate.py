"""The gate of every parameter file judges the models that it registers, by metrics that `evaluate` makes."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from flows.parameters import ParameterError, read_blocks, read_gate
from flows.pipeline import PIPELINE
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
        assert read_gate(file, name).rules


def test_a_gate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no gate for 'other'; the block 'gate' declares: easel, easel-turbo"):
        read_gate(ROOT / "params.yaml", "other")
    file = tmp_path / "params.yaml"
    with pytest.raises(ParameterError, match="no such file"):
        read_gate(file, "easel")
    file.write_text("sample: {}\n")
    with pytest.raises(ParameterError, match="declares: nothing; a recipe in infra/recipes/ shows how"):
        read_gate(file, "easel")


def test_no_stage_stands_on_the_gate() -> None:
    assert "gate" not in PIPELINE.names
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert not [name for name, stage in stages.items() if "gate" in stage["params"]]


@pytest.mark.parametrize("name", [name for name, _ in FAMILIES.values()])
@pytest.mark.parametrize("file", PARAMETER_FILES, ids=lambda f: f.name)
def test_the_gate_asks_for_metrics_that_there_are(file: Path, name: str) -> None:
    made = {field.name for field in fields(Metrics)}
    for rule in read_gate(file, name).rules:
        split, key = rule.metric.split("/")
        assert split == "heldout"  # all held-out prompts: the most there are
        assert {f"cell_{key}", f"concept_{key}"} <= made, rule.metric
        assert rule.better == ("lower" if key.endswith(("frechet", "kernel")) else "higher")
        assert rule.worse_by_at_most is not None
