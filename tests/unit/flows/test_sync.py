"""The diagram leaves out only what it implies."""

import itertools
import re

from flows.pipeline import PIPELINE
from flows.sync import nearest, render_diagram


def reached(edges: dict[str, set[str]], name: str) -> set[str]:
    return edges.get(name, set()).union(*(reached(edges, parent) for parent in edges.get(name, set())))


def test_the_drawn_edges_imply_every_ancestor_and_none_implies_another():
    edges = {stage.name: set(nearest(PIPELINE, stage)) for stage in PIPELINE}
    for stage in PIPELINE:
        assert reached(edges, stage.name) == PIPELINE.ancestors(stage.name)
        for parent in edges[stage.name]:
            fewer = {**edges, stage.name: edges[stage.name] - {parent}}
            assert parent not in reached(fewer, stage.name)


def test_the_diagram_draws_these_edges():
    drawn = set()
    for line in render_diagram(PIPELINE).splitlines()[2:-1]:
        first, *others = line.strip().split(" --> ")
        for source in re.split(" & ", first):
            drawn.add((source, others[0]))
        drawn |= set(itertools.pairwise(others))
    wanted = {(parent, stage.name) for stage in PIPELINE for parent in nearest(PIPELINE, stage) or ("data",)}
    assert drawn == wanted
