"""Where the nodes and edges of a history stand in a drawing: layer below layer, sources on top, every edge downwards.

The four steps of Sugiyama, Tagawa and Toda 1981: layers by longest path; long edges cut into one waypoint a layer,
which the edges of one node share; order within layers by medians, swept down and up, the order with the fewest
crossings kept (Eades and Wormald 1994); places by least squares to the neighbours under the least distances, which is
an isotonic regression (pool adjacent violators).
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

NODE_WIDTH, NODE_HEIGHT = 168.0, 46.0
GAP_X, GAP_Y = 20.0, 40.0
_WAY_WIDTH = 4.0
_SWEEPS, _SETTLING = 12, 60
_STRAIGHT = 12.0
"""How much more a line pulls whose ends have no other on that side: chains become straight, branches bend."""

Key = tuple[str, int]
"""A node (its id, -1), or the waypoint of a node's edges in a layer (its id, the layer)."""


@dataclass(frozen=True)
class Drawing:
    """Centres of the nodes, and for each edge (parent, child) the centres that it runs through, both ends included.

    The drawing begins at 0, 0 and is `width` by `height`; the second coordinate grows downwards.
    """

    nodes: Mapping[str, tuple[float, float]]
    edges: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    width: float
    height: float


def reduced(parents: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The edges that no longer way tells (transitive reduction); `parents` lists each node after its parents."""
    above: dict[str, set[str]] = {}
    kept: dict[str, list[str]] = {}
    for node, direct in parents.items():
        by_others = set[str]().union(*(above[one] for one in direct))
        kept[node] = [one for one in dict.fromkeys(direct) if one not in by_others]
        above[node] = by_others | set(direct)
    return kept


def layers(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The layer of each node: below all its parents, and further down where that makes its edges shorter."""
    found: dict[str, int] = {}
    children: dict[str, list[str]] = {node: [] for node in parents}
    for node, direct in parents.items():
        found[node] = 1 + max((found[one] for one in direct), default=-1)
        for one in direct:
            children[one].append(node)
    for node in reversed(list(parents)):
        if len(children[node]) > len(parents[node]):
            found[node] = min(found[one] for one in children[node]) - 1
    return found


def draw(parents: Mapping[str, Sequence[str]]) -> Drawing:
    """A drawing of the graph; `parents` lists each node after its parents."""
    if not parents:
        return Drawing({}, {}, 0.0, 0.0)
    net = _Net(parents)
    net.sort()
    x = net.places()
    y = {one: row * (NODE_HEIGHT + GAP_Y) + NODE_HEIGHT / 2 for row, keys in enumerate(net.rows) for one in keys}
    left = min(at - _width(one) / 2 for one, at in x.items())
    right = max(at + _width(one) / 2 for one, at in x.items())
    points = {one: (at - left, y[one]) for one, at in x.items()}
    edges = {edge: tuple(points[one] for one in way) for edge, way in net.ways.items()}
    nodes = {node: points[node, -1] for node in parents}
    return Drawing(nodes, edges, right - left, max(y.values()) + NODE_HEIGHT / 2)


def crossings(rows: Sequence[Sequence[Key]], down: Mapping[Key, Sequence[Key]]) -> int:
    """How many pairs of lines between neighbouring rows cross."""
    count = 0
    for upper, lower in pairwise(rows):
        place = {one: number for number, one in enumerate(lower)}
        passed: list[int] = []
        for one in upper:
            ends = [place[other] for other in down[one]]
            count += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return count


class _Net:
    """The nodes and waypoints of a drawing, row by row, and their neighbours above and below."""

    def __init__(self, parents: Mapping[str, Sequence[str]]) -> None:
        layer = layers(parents)
        top = min(layer.values())
        self.ways: dict[tuple[str, str], list[Key]] = {}
        self.rows: list[list[Key]] = [[] for _ in range(max(layer.values()) - top + 1)]
        self.up: dict[Key, list[Key]] = {}
        self.down: dict[Key, list[Key]] = {}
        for node, direct in parents.items():
            self._add((node, -1), layer[node] - top)
            for one in dict.fromkeys(direct):
                between: list[Key] = [(one, row) for row in range(layer[one] - top + 1, layer[node] - top)]
                way: list[Key] = [(one, -1), *between, (node, -1)]
                self.ways[one, node] = way
                for key in between:
                    self._add(key, key[1])
                for upper, lower in pairwise(way):
                    if lower not in self.down[upper]:
                        self.down[upper].append(lower)
                        self.up[lower].append(upper)

    def _add(self, key: Key, row: int) -> None:
        if key not in self.up:
            self.rows[row].append(key)
            self.up[key], self.down[key] = [], []

    def sort(self) -> None:
        """Order each row so that few lines cross."""
        best, fewest = [list(row) for row in self.rows], crossings(self.rows, self.down)
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            steps = pairwise(range(len(self.rows)) if sweep % 2 == 0 else range(len(self.rows) - 1, -1, -1))
            near = self.up if sweep % 2 == 0 else self.down
            for fixed, moved in steps:
                place = {one: number for number, one in enumerate(self.rows[fixed])}
                self.rows[moved] = _by_medians(self.rows[moved], near, place)
            if (count := crossings(self.rows, self.down)) < fewest:
                best, fewest = [list(row) for row in self.rows], count
        self.rows = best

    def places(self) -> dict[Key, float]:
        """The centre of each node and waypoint along its row."""
        x: dict[Key, float] = {}
        for row in self.rows:
            wanted = [0.0] * len(row)
            x |= zip(row, _apart(row, wanted, [1.0] * len(row)), strict=True)
        for turn in range(_SETTLING):
            for row in self.rows if turn % 2 == 0 else reversed(self.rows):
                pulls = [self._pull(one, x) for one in row]
                x |= zip(row, _apart(row, [to for to, _ in pulls], [weight for _, weight in pulls]), strict=True)
        return x

    def _pull(self, key: Key, x: Mapping[Key, float]) -> tuple[float, float]:
        """Whereto the neighbours pull, and how strongly."""
        near = {one: _STRAIGHT if len(self.down[one]) == len(self.up[key]) == 1 else 1.0 for one in self.up[key]}
        near |= {one: _STRAIGHT if len(self.up[one]) == len(self.down[key]) == 1 else 1.0 for one in self.down[key]}
        total = sum(near.values())
        return (sum(weight * x[one] for one, weight in near.items()) / total, total) if total else (x[key], 1.0)


def _by_medians(row: Sequence[Key], near: Mapping[Key, Sequence[Key]], place: Mapping[Key, int]) -> list[Key]:
    """The row by the median place of each one's neighbours; those without any stay where they are."""
    wanted = {one: median(place[other] for other in near[one]) for one in row if near[one]}
    sorted_ones = iter(sorted(wanted, key=lambda one: wanted[one]))
    return [next(sorted_ones) if one in wanted else one for one in row]


def _width(key: Key) -> float:
    return NODE_WIDTH if key[1] < 0 else _WAY_WIDTH


def _apart(row: Sequence[Key], wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, by weighted least squares, at which the ones in a row keep their distance."""
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (_width(one) + _width(other)) / 2 + GAP_X)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, total, size = want - offset, weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, more, count = blocks.pop()
            mean, total, size = (before * more + mean * total) / (more + total), more + total, size + count
        blocks.append((mean, total, size))
    means = [mean for mean, _, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
