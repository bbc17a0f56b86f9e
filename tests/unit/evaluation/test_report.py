import html.parser
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.evaluation.report import Example, Row, Section, contact_sheet, png_data_uri, render_page, write_report

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)> {{ facts }} 苹果'


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def sections() -> list[Section]:
    share = Row("heldout_cell", "style_accuracy", "style accuracy", "share", 0.62, 0.55, 0.69, 1 / 6, 0.97, "is seen")
    distance = Row("heldout_cell", "lite0_frechet", "Lite0 Fréchet", "distance", 40.0, 35.0, 44.0, 90.0, 3.0, HOSTILE)
    rows = [share, distance]
    examples = [Example(HOSTILE, images(1), images(2)), Example("a red apple, blob style", images(3), images(4))]
    return [Section("heldout_cell", "Unseen cells", "Style and concept apart?", 200, rows, examples)]


class Collector(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Collector:
    collector = Collector()
    collector.feed(page)
    return collector


def test_prompts_stay_text_and_nothing_is_loaded(sections: list[Section]) -> None:
    page = parsed(render_page(sections, {"images seen": 12_345, "note": HOSTILE}, [HOSTILE]))
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 4
    assert all((picture["src"] or "").startswith("data:image/png;base64,") for picture in pictures)
    assert pictures[0]["alt"] == f"generated: {HOSTILE}"
    assert page.text.count(HOSTILE) == 4
    assert not any("link" in tag or attributes.get("href") for tag, attributes in page.tags)


def test_values_stand_beside_interval_chance_and_real(sections: list[Section]) -> None:
    text = " ".join(parsed(render_page(sections, {}, [])).text.split())
    assert "62.0 % 55.0 – 69.0 16.7 97.0" in text
    assert "40 35 – 44 90 3" in text


def test_the_directory_holds_the_numbers_the_page_and_the_sheet(tmp_path: Path, sections: list[Section]) -> None:
    write_report(tmp_path / "report", sections, {"images seen": 5}, [])
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    assert stored["rows"][0]["value"] == 0.62
    assert stored["num_prompts"] == {"heldout_cell": 200}
    assert (tmp_path / "report" / "index.html").read_text().startswith("<!doctype html>")
    with Image.open(tmp_path / "report" / "samples.png") as sheet:
        assert sheet.mode == "RGB"


def test_a_report_is_never_written_with_numbers_that_json_does_not_have(
    tmp_path: Path, sections: list[Section]
) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_report(tmp_path / "report", sections, {"loss": float("nan")}, [])


def test_the_sheet_holds_every_image_at_its_place(sections: list[Section]) -> None:
    red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    sheet = contact_sheet([Example("x", red, red)] * 9, columns=8, side_px=32)
    is_red = (sheet == (255, 0, 0)).all(axis=2)
    assert is_red.sum() == 9 * 32 * 32
    assert contact_sheet([]).shape[2] == 3


def test_data_addresses_hold_the_exact_pixels() -> None:
    import base64
    import io

    image = images(9)
    data = base64.b64decode(png_data_uri(image).split(",", 1)[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
