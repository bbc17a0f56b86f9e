"""A wrong declaration is refused when it is made, and what is derived from a right one follows from it alone."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from flows.declaration import Artifact, DeclarationError, Pipeline, Stage


class Params(BaseModel, frozen=True, extra="forbid"):
    size: int


@dataclass(frozen=True)
class Metrics:
    rows: int


def make(p: Params, *, raw: Path, table: Path) -> Metrics:
    """Make a table."""
    return Metrics(rows=p.size)


def join(p: Params, *, left: Path, right: Path, both: Path, seed: Path | None = None) -> Metrics:
    """Join two tables."""
    return Metrics(rows=p.size)


def no_params(*, raw: Path, table: Path) -> Metrics:
    return Metrics(0)


def no_metrics(p: Params, *, raw: Path, table: Path) -> int:
    return 0


RAW = Artifact("data")
A = Stage(make, name="a", inputs={"raw": RAW}, outputs={"table": "artifacts/a"})
B = Stage(make, name="b", inputs={"raw": RAW}, outputs={"table": "artifacts/b"})
C = Stage(join, name="c", inputs={"left": A.out("table"), "right": B.out("table")}, outputs={"both": "artifacts/c"})
D = Stage(make, name="d", inputs={"raw": C.out("both")}, outputs={"table": "artifacts/d"})
PIPELINE = Pipeline(A, B, C, D)


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: Stage(make, {"rawe": RAW}, {"table": "artifacts/x"}), "rawe"),
        (lambda: Stage(make, {}, {"table": "artifacts/x"}), "does not bind: raw"),
        (lambda: Stage(make, {"raw": RAW}, {}), "does not bind: table"),
        (lambda: Stage(make, {"raw": RAW, "table": RAW}, {"table": "artifacts/x"}), "as input and as output"),
        (lambda: Stage(make, {"raw": RAW}, {"table": "data/x"}), "below artifacts"),
        (lambda: Stage(make, {"raw": RAW}, {"table": "artifacts/../x"}), "plain"),
        (lambda: Artifact("/etc/passwd"), "plain"),
        (lambda: Stage(no_params, {"raw": RAW}, {"table": "artifacts/x"}), "first argument"),
        (lambda: Stage(no_metrics, {"raw": RAW}, {"table": "artifacts/x"}), "dataclass of metrics"),
        (lambda: A.out("tabel"), "it makes: table"),
        (lambda: Pipeline(A, A), "two stages"),
        (lambda: Pipeline(C, A, B), "before stage a makes it"),
        (lambda: Pipeline(A, Stage(make, {"raw": RAW}, {"table": "artifacts/a/x"}, name="e")), "both write"),
        (lambda: Pipeline(A, Stage(make, {"raw": RAW}, {"table": "artifacts/metrics/a.json"}, name="e")), "both write"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_reason(declare, said):
    with pytest.raises(DeclarationError, match=said):
        declare()


def test_edges_come_from_references():
    assert [s.upstream for s in PIPELINE] == [(), (), ("a", "b"), ("c",)]
    assert PIPELINE.ancestors("d") == {"a", "b", "c"}
    assert PIPELINE.descendants("a") == {"c", "d"}


@pytest.mark.parametrize("stage", PIPELINE.names)
def test_descendants_are_those_that_have_it_as_ancestor(stage):
    assert PIPELINE.descendants(stage) == {other for other in PIPELINE.names if stage in PIPELINE.ancestors(other)}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({}, "abcd"),
        ({"since": "c"}, "cd"),
        ({"until": "c"}, "abc"),
        ({"since": "a", "until": "c"}, "ac"),
        ({"only": "b"}, "b"),
    ],
)
def test_selections(choice, names):
    assert PIPELINE.select(**choice) == tuple(names)


@pytest.mark.parametrize("choice", [{"only": "a", "until": "b"}, {"since": "d", "until": "a"}])
def test_an_impossible_selection_is_refused(choice):
    with pytest.raises(ValueError, match=r"--only|no stage lies"):
        PIPELINE.select(**choice)


def test_an_unknown_stage_names_the_known_ones():
    with pytest.raises(KeyError, match="a, b, c, d"):
        PIPELINE.select(until="z")
