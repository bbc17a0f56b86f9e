"""The page without a browser: every record has its node and part, words are escaped, equal asks give equal pages."""

import re
from html.parser import HTMLParser

from ledgers import hostile_record, many_records, sample_records

from components.data.report.look import whole_page
from components.lineage.differences import differences
from components.lineage.graph import Graph
from components.lineage.layout import NODE_HEIGHT, NODE_WIDTH
from components.lineage.page import Question, Verified, render_body
from components.lineage.page_style import STYLE
from components.lineage.record import Record

HOSTILE = """"><script>alert('1')</script><svg onload=x>'&"""
VOID = frozenset({"br", "meta", "link", "img", "input", "hr"})


class Reader(HTMLParser):
    """The elements of a page by id, the targets of links, and the elements that were never closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids, self.targets, self.tags, self.open = list[str](), list[str](), set[str](), list[str]()
        self.nodes = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.nodes += tag == "a" and "node" in (values.get("class") or "").split()
        self.ids += [values["id"] or ""] if "id" in values else []
        self.targets += [values["href"] or ""] if "href" in values else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def planted_page() -> tuple[str, Graph, dict[str, str]]:
    planted = sample_records(versions=2)
    graph, ids = Graph(planted.records), planted.ids
    found = differences(graph, ids["export_turbo"], ids["export_turbo@2"], planted.sets.__getitem__)
    question = Question(
        "turbo", ids["export_turbo@2"], graph, found, "the champion before", Verified([("signature", "3 files")]),
        {"entries": "29", "root": "ab" * 32},
    )  # fmt: skip
    return render_body(question), graph, ids


def test_every_record_of_the_history_is_a_node_with_a_part_of_its_own() -> None:
    page, graph, ids = planted_page()
    read = Reader(page)
    asked = ids["export_turbo@2"]
    history = {one.id for one in (*graph.above(asked), *graph.below(asked))} | {asked}
    assert read.nodes == len(history)
    assert {f"record-{one}" for one in history} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert all(target == "#none" or target.removeprefix("#") in read.ids for target in read.targets)
    assert read.open == []
    assert not read.tags & {"script", "img", "link", "iframe", "object", "form"}


def drawn_lines(page: str) -> dict[tuple[str, str], str]:
    """The lines of the drawing from node to node, by the places of their ends, and their classes."""
    boxes = re.findall(r'href="#record-(\w+)">\s*<title>.*?</title>\s*<rect x="([\d.]+)" y="([\d.]+)"', page)
    tops = {(float(x) + NODE_WIDTH / 2, float(y)): one for one, x, y in boxes}
    found: dict[tuple[str, str], str] = {}
    for kind, path in re.findall(r'<path class="(edge[^"]*)" d="([^"]+)"', page):
        numbers = [float(one) for one in re.findall(r"[\d.]+", path)]
        ends = ((numbers[0], numbers[1] - NODE_HEIGHT), (numbers[-2], numbers[-1]))
        names = [one for x, y in ends for (at, top), one in tops.items() if abs(at - x) < 0.2 and abs(top - y) < 0.2]
        if len(names) == 2:  # not from a source
            found[names[0], names[1]] = kind
    return found


def test_a_line_through_an_evaluation_takes_no_other_lines_place() -> None:
    page, _, ids = planted_page()
    asked = ids["export_turbo@2"]
    lines = drawn_lines(page)
    into = {start: kind for (start, end), kind in lines.items() if end == asked}
    assert into == {ids["distill@2"]: "edge", ids["evaluate@2"]: "edge beside"}
    assert (ids["distill@2"], ids["evaluate@2"]) in lines
    assert [kind for kind in lines.values() if kind != "edge"] == ["edge beside"]  # register_turbo's is told already


def test_what_verification_said_is_told_at_the_top() -> None:
    planted = sample_records()
    graph = Graph(planted.records)
    answers = {"everything holds": Verified(), "does not hold": Verified(fault="x"), "not asked": None}
    for said, verified in answers.items():
        page = render_body(Question("turbo", planted.ids["export_turbo"], graph, verified=verified))
        assert f"<dt>verified</dt><dd>{said}</dd>" in page[: page.index("<svg")]
    assert "<dd>not asked</dd>" in render_body(
        Question("turbo", planted.ids["export_turbo"], graph, verified=Verified(fault="no key", is_asked=False))
    )


def test_the_parts_of_the_page_are_named_at_its_top() -> None:
    page, *_ = planted_page()
    named = re.findall(r'<a href="#(\w+)">', page[page.index("<nav") : page.index("</nav>")])
    assert named == re.findall(r'<section id="(\w+)">', page)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_lines_and_words_stand_out_in_light_and_dark() -> None:
    """WCAG 2.2: 3 to 1 for lines that carry meaning (1.4.11), 4.5 to 1 for text (1.4.3)."""
    sheet = whole_page("", STYLE, "")
    colours = {
        name: re.findall(rf"--{name}: (#\w{{6}})", sheet) for name in ("sheet", "ground", "edge", "quiet", "ink")
    }
    colours |= {name: re.findall(rf"--{name}: (#\w{{6}})", sheet) for name in ("training", "deciding", "chance", "bar")}
    for look in (0, 1):
        of = {name: luminance(found[look]) + 0.05 for name, found in colours.items()}
        pairs = {("edge", "sheet"): 3.0, ("bar", "sheet"): 3.0, ("chance", "deciding"): 3.0, ("chance", "ground"): 4.5}
        pairs |= {("quiet", under): 4.5 for under in ("ground", "sheet", "training", "deciding")}
        for (upper, under), least in pairs.items():
            assert max(of[upper], of[under]) / min(of[upper], of[under]) >= least, (upper, under, look)


def test_every_answer_is_on_the_page() -> None:
    page, _, ids = planted_page()
    for word in (
        "easel lineage show turbo", "easel lineage proof photo.jpg --in turbo", "the champion before", "pretrain_1.lr",
        "Everything holds", "3 files", "no such record", "ab" * 32, ids["export_turbo"][:8], "data/autoencoder",
    ):  # fmt: skip
        assert word in page, word


def test_equal_questions_give_equal_pages() -> None:
    assert planted_page()[0] == planted_page()[0]


def test_words_of_others_are_escaped() -> None:
    first = hostile_record(HOSTILE)
    takedown = Record(
        kind="takedown", subject="takedown", started_at=HOSTILE, ended_at=HOSTILE, parents=(first.id,),
        decision={HOSTILE: HOSTILE},
    )  # fmt: skip
    graph = Graph([first, takedown])
    found = differences(graph, graph.ids[0], graph.ids[1], sample_set=lambda _: b"")
    page = render_body(
        Question(
            HOSTILE, graph.ids[0], graph, found, HOSTILE, Verified([(HOSTILE, HOSTILE)], HOSTILE), {HOSTILE: HOSTILE}
        )
    )
    read = Reader(page)
    assert read.open == []
    assert not read.tags & {"script", "img"}
    assert "onload=x" in page
    assert not re.search(r"<svg[^>]*onload", page)


def test_takedowns_are_told_though_they_are_no_part_of_the_history() -> None:
    planted = sample_records()
    takedown = Record(
        kind="takedown", subject="takedown", started_at="2026-11-22T08:00:00.000Z", ended_at="2026-11-22T08:00:01.000Z",
        people={"asked_by": "ann", "reason": "asked by the owner"}, decision={"step": "completed", "many": [1] * 20},
    )  # fmt: skip
    graph = Graph([*planted.records, takedown])
    page = render_body(Question("turbo", planted.ids["export_turbo"], graph))
    assert "asked by the owner" in page
    assert "and 9 more in its record" in page
    assert f"record-{takedown.id}" in Reader(page).ids
    assert "There is nothing to compare with yet" in page
    assert "no exported model that is signed" in page
    assert "no signed head" in page


def test_three_hundred_records() -> None:
    graph = Graph(list(many_records(300, width=5)))
    page = render_body(Question("many", graph.ids[0], graph))
    assert Reader(page).nodes == len(graph.below(graph.ids[0])) + 1
    assert len(page) < 3_000_000
