"""The page and the Markdown: every figure leads to its row, and what people wrote is shown and not obeyed."""

import html.parser
import itertools
import re
from dataclasses import replace

import pytest
from audited import Audited, audited
from ledgers import hostile_record
from markdown_it import MarkdownIt

from components.lineage.audit.appendix import shown
from components.lineage.audit.build import audit_document
from components.lineage.audit.document import Document, figures
from components.lineage.audit.figures import Evidence
from components.lineage.audit.markdown import markdown, plain
from components.lineage.audit.page import page_body
from components.lineage.audit.provider import Provider, Source

ATTACK = '"><script>document.title = "taken"</script> | [x](javascript:1) <img src=x onerror=1> `c` \n# h & https://x.example'


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited(tmp_path_factory.mktemp("audited"))


@pytest.fixture(scope="module")
def document(planted: Audited) -> Document:
    provider = Provider(name=ATTACK, limits_and_biases=ATTACK, sources={"meadow": Source(kind="public", title=ATTACK)})
    return audit_document(
        planted.graph, planted.record("export_turbo"), planted, tables=planted.tables, provider=provider
    )


class Page(html.parser.HTMLParser):
    """Tags, anchors and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links = set[str](), list[str](), list[str]()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        told = dict(attrs)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.links += [told["href"] or ""] if "href" in told else []
        assert not any(name.startswith("on") for name in told), attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def test_every_figure_of_the_page_leads_to_an_anchor_on_it(planted: Audited, document: Document) -> None:
    page = Page(page_body(document, Evidence(planted).row))
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.links) >= len(list(figures(document)))
    assert not page.tags & {"script", "img", "iframe", "link", "style", "b"}
    assert ATTACK.split("\n")[0] in page.words


def test_headings_leave_no_level_out_and_every_column_has_a_name(planted: Audited, document: Document) -> None:
    page = page_body(document, Evidence(planted).row)
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert all(lower <= upper + 1 for upper, lower in itertools.pairwise(levels))
    assert "<th></th>" not in page
    top = page[page.index("<nav") : page.index("</nav>")]
    assert re.findall(r'href="#s([\d.]+)"', top) == [section.number for section in document.sections]
    assert " ," not in re.sub(r"<[^>]+>", "", page[page.index('<p class="quiet">About') : page.index("<nav")])


def test_the_page_shows_the_row_that_a_figure_comes_from(planted: Audited, document: Document) -> None:
    page = page_body(document, Evidence(planted).row)
    short = next(iter(re.findall(r"record:([0-9a-f]+)#/samples/dropped/too_small", page)))
    assert planted.ids["filter_images"].startswith(short)
    row = rf"<code>record:{short}#/samples/dropped/too_small</code></td><td>3</td>"
    assert re.search(row, page)


def test_the_first_words_say_that_it_is_a_draft(planted: Audited, document: Document) -> None:
    text = markdown(document, Evidence(planted).row)
    assert text.startswith("**This is a draft")
    assert "draft" in Page(page_body(document, Evidence(planted).row)).words[:300]


def test_markdown_renders_to_tables_and_links_and_nothing_else(planted: Audited, document: Document) -> None:
    text = markdown(document, Evidence(planted).row)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    page = Page(rendered)
    assert page.tags <= {"p", "h1", "h2", "h3", "h4", "ul", "li", "strong", "em", "a", "code", "table"} | {
        "thead", "tbody", "tr", "th", "td"
    }  # fmt: skip
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)
    assert "<b>ben</b> | *x*" in page.words
    rows = re.findall(r"<tr>(.*?)</tr>", rendered, re.DOTALL)
    counted = {len(re.findall("<t[hd]", row)) for row in rows}
    assert counted <= {2, 3, 4, 5, 6}
    assert " ".join(ATTACK.split()) in page.words


def test_a_record_of_attacks_is_shown(planted: Audited) -> None:
    record = hostile_record(ATTACK)
    told = replace(planted, records=[*planted.records, record])
    found = audit_document(told.graph, record, told)
    page = Page(page_body(found, Evidence(told).row))
    assert "script" not in page.tags
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown(found, Evidence(told).row))
    assert "script" not in Page(rendered).tags


@pytest.mark.parametrize(
    ("value", "expected"),
    [(8793, "8,793"), ("0.9220055341720581", "0.92201"), ("1.0e-4", "0.0001"), ("3.11.7", "3.11.7"), ("12ab", "12ab"),
     ("4e3529affbe8ea26d43f", "4e3529affbe8ea26d43f"), ("", ""), ("2026-11-21", "2026-11-21"), ("nan", "nan")],
)  # fmt: skip
def test_figures_are_shown_short(value: int | str, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize("text", [ATTACK, "a_b*c", "![x](y)", "www", "a@b.example", "http://x.example", "~~a~~ | b"])
def test_plain_words_render_as_they_are(text: str) -> None:
    rendered = Page(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(f"x {plain(text)}"))
    assert rendered.tags == {"p"}
    assert rendered.words.strip() == f"x {' '.join(text.split())}"
