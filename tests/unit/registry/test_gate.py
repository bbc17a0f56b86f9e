import pytest
import yaml

from components.registry.gate import (
    Gate,
    GateError,
    Rule,
    beaten_by,
    contrast,
    judge,
    pareto_front,
    parse_gates,
    passes,
)

ALIGNMENT = Rule("alignment", "higher", worse_by_at_most=0.03, at_least=0.1)
DISTANCE = Rule("distance", "lower", worse_by_at_most=100, at_most=2000)
GATE = Gate((ALIGNMENT, DISTANCE), needs_second_person=False)
CHAMPION = {"alignment": 0.4, "distance": 1300.0}


@pytest.mark.parametrize(
    ("measured", "verdicts"),
    [
        ({"alignment": 0.5, "distance": 1200}, ["passes", "passes"]),
        ({"alignment": 0.37, "distance": 1400}, ["passes", "passes"]),  # 0.4 - 0.37 is 0.030000000000000027
        ({"alignment": 0.3699, "distance": 1400.1}, ["falls too far", "rises too far"]),
        ({"alignment": 0.09, "distance": 2001}, ["not at least", "not at most"]),
        ({"alignment": 0.5}, ["passes", "not measured"]),
        ({"alignment": float("nan"), "distance": float("inf")}, ["not measured", "not measured"]),
    ],
)
def test_each_rule_finds_what_its_numbers_say(measured: dict, verdicts: list[str]) -> None:
    checks = judge(GATE, measured, CHAMPION)
    assert [check.verdict for check in checks] == verdicts
    assert passes(checks) is (set(verdicts) == {"passes"})


def test_without_a_champion_only_the_bounds_count() -> None:
    assert passes(judge(GATE, {"alignment": 0.11, "distance": 1999}, None))
    assert not passes(judge(GATE, {"alignment": 0.09, "distance": 1999}, None))


def test_a_metric_that_the_champion_lacks_cannot_fall() -> None:
    assert passes(judge(GATE, {"alignment": 0.2, "distance": 1300}, {"distance": 1300}))


def test_a_gate_without_rules_opens_for_nothing() -> None:
    assert not passes([])


@pytest.mark.parametrize(
    ("value", "other", "said"),
    [
        (0.44, 0.4, "better"),
        (0.43, 0.4, "no difference beyond the margin"),
        (0.37, 0.4, "no difference beyond the margin"),
        (0.36, 0.4, "worse"),
        (None, 0.4, "not comparable"),
        (0.4, float("nan"), "not comparable"),
    ],
)
def test_a_difference_within_the_margin_decides_nothing(value: float | None, other: float | None, said: str) -> None:
    assert contrast(ALIGNMENT, value, other) == said


def test_the_front_holds_those_that_none_beats() -> None:
    versions = {
        "good": {"alignment": 0.5, "distance": 1300},
        "sharp": {"alignment": 0.4, "distance": 1100},
        "beaten": {"alignment": 0.4, "distance": 1300},
        "twin": {"alignment": 0.5, "distance": 1300},
        "unmeasured": {"alignment": 0.1},
    }
    assert pareto_front(GATE, versions) == ["good", "sharp", "twin", "unmeasured"]
    assert beaten_by(GATE, versions)["beaten"] == ["good", "sharp", "twin"]


WRITTEN = """
easel:
  needs_second_person: true
  metrics:
    heldout/alignment: {better: higher, worse_by_at_most: 0.03, at_least: 0.1}
    heldout/lite0_frechet: {better: lower, at_most: 2000}
"""


def test_a_gate_is_read_as_it_is_written() -> None:
    rules = (
        Rule("heldout/alignment", "higher", worse_by_at_most=0.03, at_least=0.1),
        Rule("heldout/lite0_frechet", "lower", at_most=2000),
    )
    assert parse_gates(yaml.safe_load(WRITTEN), "gate") == {"easel": Gate(rules, needs_second_person=True)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "", "expected a gate for each registered model, got None"),
        (lambda text: "easel", "expected a gate for each registered model, got 'easel'"),
        (lambda text: "easel: 1", "easel: expected names and values, got 1"),
        (lambda text: text.replace("better: lower,", "beter: lower,"), r"lite0_frechet\.beter: no such key"),
        (lambda text: text.replace("better: lower, ", ""), r"lite0_frechet\.better is missing"),
        (lambda text: text.replace("lower", "smaller"), "allowed: higher, lower"),
        (lambda text: text.replace("at_most: 2000", "at_least: 2000"), "at_least bounds the good side"),
        (lambda text: text.replace(", at_most: 2000", ""), "asks nothing"),
        (lambda text: text.replace("2000", "many"), "at_most is 'many', not a number"),
        (lambda text: text.replace("0.03", ".nan"), "worse_by_at_most is nan, not a number"),
        (lambda text: text.replace("0.03", "-0.03"), "must be 0 or more"),
        (lambda text: text.replace("true", "perhaps"), "needs_second_person is 'perhaps'"),
        (lambda text: text.replace("  needs_second_person: true\n", ""), "needs_second_person is missing"),
        (lambda text: text.split("  metrics")[0] + "  metrics: {}", "names no metric"),
    ],
)
def test_a_mistake_in_a_gate_is_one_line_that_names_it(change, said: str) -> None:
    with pytest.raises(GateError, match=said) as caught:
        parse_gates(yaml.safe_load(change(WRITTEN)), "params.yaml: gate")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("params.yaml: gate")
