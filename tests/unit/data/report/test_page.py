"""The page: other people's words stay text, nothing is loaded, and figures stand beside what they were."""

import base64
import html.parser
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from components.data.errors import DataError
from components.data.report import view
from components.data.report.build import build_report
from components.data.report.page import Gallery, render_page
from components.data.report.summary import summarise
from components.data.report.tables import Tables
from components.data.report.thumbnails import read_bytes

from .conftest import HOSTILE, LIMITS, NUM, SHOW, picture, replaced, sample_id


class Collector(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def parsed(page: str) -> Collector:
    collector = Collector()
    collector.feed(page)
    collector.text = " ".join(collector.text.split())
    return collector


def test_words_stay_text_and_nothing_is_loaded(tables: Tables, images: Path) -> None:
    page = parsed(build_report(tables, images, SHOW, LIMITS)[1])
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(" ".join(HOSTILE.split())) >= 3  # a licence, a refused file, words in a picture
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert all((one["src"] or "").startswith("data:image/webp;base64,") for one in pictures)


def test_equal_tables_make_equal_bytes(tables: Tables, images: Path) -> None:
    assert build_report(tables, images, SHOW, LIMITS) == build_report(tables, images, SHOW, LIMITS)


def test_a_repeat_stands_beside_what_was_kept(tables: Tables, images: Path) -> None:
    page = parsed(build_report(tables, images, SHOW, LIMITS)[1])
    shown = [attributes["title"] for tag, attributes in page.tags if tag == "img"]
    near = shown.index(sample_id(1))
    assert shown[near + 1] == sample_id(11)
    assert sample_id(12) in shown  # the bytes that a refused file repeats
    assert "truncated" in page.text
    assert "short" in page.text


def test_what_cannot_be_pictured_is_named_with_its_size_and_what_is_wrong(tables: Tables, images: Path) -> None:
    page = parsed(build_report(tables, images, SHOW, LIMITS)[1])
    assert "4 archive inside file what is wrong 0.zip" in page.text
    assert "2.zip" in page.text
    assert "3.zip" not in page.text, "the first three of each reason"
    assert "1 opted out: noai file what is wrong https://a.example/1" in page.text
    assert "2 truncated file size what is wrong" in page.text
    assert "1.2 kB short" in page.text
    assert "more 5 bytes short" in page.text
    assert "28 → 23" in page.text


def test_where_nothing_was_refused_while_landing_the_page_is_silent_of_it(tables: Tables, images: Path) -> None:
    never_landed = replace(tables, refusals=tables.refusals.slice(0, 0))
    summary, page = build_report(never_landed, images, SHOW, LIMITS)
    assert summary["funnel"][0] == {"gate": "land", "offered": 23, "kept": 23, "dropped": {}}
    assert "23 → 23" not in parsed(page).text
    beside = parsed(build_report(never_landed, images, SHOW, LIMITS, summarise(tables), "HEAD")[1])
    assert "23 → 23 0 −4 archive inside" in beside.text


def test_thumbnails_are_whole_images_of_the_side_asked_for(tables: Tables, images: Path) -> None:
    page = build_report(tables, images, SHOW, LIMITS)[1]
    first = re.search(r"data:image/webp;base64,([^\"]+)", page)
    assert first
    with Image.open(io.BytesIO(base64.b64decode(first[1]))) as image:
        assert (image.size, image.format) == ((16, 16), "WEBP")


def test_figures_stand_beside_their_change(tables: Tables, smaller: Tables, images: Path) -> None:
    page = parsed(build_report(tables, images, SHOW, LIMITS, summarise(smaller), "HEAD~1")[1])
    assert "since the version HEAD~1" in page.text
    assert "selected 10 +1" in page.text
    assert "16 → 10 +1" in page.text
    alone = parsed(build_report(tables, images, SHOW, LIMITS)[1])
    assert "since the version" not in alone.text
    assert "selected 10 for training" in alone.text


def test_what_only_the_version_before_had_is_shown_with_its_loss(tables: Tables, smaller: Tables) -> None:
    before = summarise(smaller)
    before["groups"]["licence"].append({"licence": "gone", "kept": 3, "selected": 2, "drawn": 1.0})
    rows = {row["names"][0]: row for row in view.groups(summarise(tables), before)["licence"]}
    assert (rows["gone"]["kept"].now, rows["gone"]["kept"].change) == (0, -3)
    gates = [gate["gate"] for gate in before["funnel"]]
    before["funnel"][gates.index("filter")]["dropped"] = {"old_rule": 4}
    reasons = view.funnel(summarise(tables), before)[gates.index("filter")]["reasons"]
    assert reasons["old_rule"].change == -4
    assert reasons["flat"].change == 1


def test_a_version_beside_itself_changes_nothing(tables: Tables, images: Path) -> None:
    page = parsed(build_report(tables, images, SHOW, LIMITS, summarise(tables), "now")[1])
    assert "since the version now" in page.text
    assert not [tag for tag, attributes in page.tags if "delta" in (attributes.get("class") or "")]


@pytest.mark.parametrize("cells", [[[40, 40, 5]], [[8, 100, 1], [100, 8, 2]], [[0, 0, 1], [112, 112, 3], [56, 60, 9]]])
def test_the_size_map_keeps_every_image_in_at_most_twenty_steps(cells: list[list[int]]) -> None:
    grid = view.size_grid(cells)
    assert sum(square["count"] for square in grid["squares"]) == sum(count for _, _, count in cells)
    assert grid["side"] <= 20
    assert all(0 <= square[axis] < grid["side"] for square in grid["squares"] for axis in ("x", "y"))


def test_bytes_are_read_by_shard_and_a_missing_one_is_named(tables: Tables, images: Path) -> None:
    ids = [sample_id(3), sample_id(4)]
    assert read_bytes(images, tables.catalogue, ids) == {ids[0]: picture(3), ids[1]: picture(4)}
    stranger = replaced(tables.catalogue.slice(0, 1), "sample_id", ["f" * 64])
    for catalogue, said in ((stranger, "not those of the catalogue"), (tables.catalogue, r"has no sample f{64}")):
        with pytest.raises(DataError, match=said):
            read_bytes(images, catalogue, ["f" * 64])


def test_any_number_of_long_words_makes_a_page_of_bounded_size(tables: Tables, images: Path) -> None:
    long = [f"{n} " + "x" * 50_000 for n in range(NUM)]
    wide = replace(tables, catalogue=replaced(replaced(tables.catalogue, "licence", long), "title_en", long))
    assert len(build_report(wide, images, SHOW, LIMITS)[1]) < 100_000
    summary = summarise(tables)
    summary["groups"]["licence"] = [{"licence": str(n), "kept": 1, "selected": 1, "drawn": 1.0} for n in range(5000)]
    page = parsed(render_page(summary, Gallery({}, [], [], {})))
    assert "And 4,970 rarer ones" in page.text


def test_an_empty_version_is_still_a_page(tables: Tables, tmp_path: Path) -> None:
    empty = Tables(**{name: value.slice(0, 0) for name, value in vars(tables).items() if name != "score_note"})
    assert "images offered 0" in parsed(build_report(empty, tmp_path, SHOW, LIMITS)[1]).text
