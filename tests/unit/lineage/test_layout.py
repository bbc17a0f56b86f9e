"""Drawings of random graphs: nothing overlaps, every edge leads down, and the reduction is networkx's."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import sample_records

from components.lineage.graph import Graph
from components.lineage.layout import GAP_Y, NODE_HEIGHT, NODE_WIDTH, Drawing, crossings, draw, layers, reduced


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Parents by node, each node after its parents."""
    seeds = draw(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=14))
    return {str(n): [str(one) for one in range(n) if seed >> one & 1] for n, seed in enumerate(seeds)}


def as_networkx(parents: Mapping[str, Sequence[str]]) -> "networkx.DiGraph[str]":
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(parents)
    graph.add_edges_from((one, node) for node, direct in parents.items() for one in direct)
    return graph


def planted_parents() -> dict[str, Sequence[str]]:
    graph = Graph(sample_records(versions=2).records)
    return {one: graph.parents(one) for one in graph.ids}


def check(parents: Mapping[str, Sequence[str]], drawing: Drawing) -> None:
    """No node on another or outside, every edge drawn downwards, and none through a node that is not its end."""
    assert drawing.nodes.keys() == parents.keys()
    for (ax, ay), (bx, by) in combinations(drawing.nodes.values(), 2):
        assert abs(ax - bx) >= NODE_WIDTH or abs(ay - by) >= NODE_HEIGHT + GAP_Y - 1e-6
    for x, y in drawing.nodes.values():
        assert NODE_WIDTH / 2 - 1e-6 <= x <= drawing.width - NODE_WIDTH / 2 + 1e-6
        assert NODE_HEIGHT / 2 - 1e-6 <= y <= drawing.height - NODE_HEIGHT / 2 + 1e-6
    assert drawing.edges.keys() == {(one, node) for node, direct in parents.items() for one in direct}
    for (parent, child), points in drawing.edges.items():
        assert points[0] == drawing.nodes[parent]
        assert points[-1] == drawing.nodes[child]
        assert all(lower[1] > upper[1] for upper, lower in pairwise(points))
        for x, y in points[1:-1]:
            beside = [at for at, other in drawing.nodes.values() if abs(other - y) < NODE_HEIGHT]
            assert all(abs(at - x) > NODE_WIDTH / 2 for at in beside)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_nothing_overlaps_and_edges_lead_down(parents: dict[str, list[str]]) -> None:
    check(parents, draw(parents))
    small = reduced(parents)
    check(small, draw(small))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_reduction_is_that_of_networkx(parents: dict[str, list[str]]) -> None:
    truth = networkx.transitive_reduction(as_networkx(parents))
    assert {(one, node) for node, direct in reduced(parents).items() for one in direct} == set(truth.edges)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_layers_are_no_more_than_the_longest_path(parents: dict[str, list[str]]) -> None:
    found = layers(parents)
    assert max(found.values()) - min(found.values()) <= networkx.dag_longest_path_length(as_networkx(parents))
    assert all(found[one] < found[node] for node, direct in parents.items() for one in direct)


def test_a_source_stands_just_above_what_reads_it() -> None:
    chain = {"a": [], "b": ["a"], "c": ["b"], "late": [], "d": ["c", "late"]}
    assert layers(chain) == {"a": 0, "b": 1, "c": 2, "late": 2, "d": 3}


def test_two_pairs_are_drawn_without_a_crossing() -> None:
    crossed = {"a": [], "b": [], "x": ["b"], "y": ["a"]}
    drawing = draw(crossed)
    (ax, _), (bx, _), (xx, _), (yx, _) = drawing.nodes.values()
    assert (ax < bx) == (yx < xx)
    assert crossings([["a", "b"], ["x", "y"]], {"a": ["y"], "b": ["x"]}) == 1  # pyright: ignore[reportArgumentType]


def test_a_chain_is_straight_and_a_parent_stands_over_the_middle_of_its_children() -> None:
    chain = draw({"a": [], "b": ["a"], "c": ["b"]})
    assert len({x for x, _ in chain.nodes.values()}) == 1
    fan = draw({"a": [], "b": ["a"], "c": ["a"], "d": ["a"]}).nodes
    assert fan["a"][0] == pytest.approx((fan["b"][0] + fan["c"][0] + fan["d"][0]) / 3)


def test_the_planted_chain_and_three_hundred_nodes() -> None:
    parents = planted_parents()
    check(parents, draw(parents))
    many = {str(n): [str(one) for one in (n - 7, n - 5, n - 2) if one >= 0] for n in range(300)}
    drawing = draw(reduced(many))
    assert len(drawing.nodes) == 300


def test_nothing_and_one() -> None:
    assert draw({}) == Drawing({}, {}, 0.0, 0.0)
    assert draw({"a": []}) == Drawing({"a": (NODE_WIDTH / 2, NODE_HEIGHT / 2)}, {}, NODE_WIDTH, NODE_HEIGHT)
