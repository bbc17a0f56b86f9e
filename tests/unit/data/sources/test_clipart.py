"""Clip art: each rule that refuses has one crafted drawing; words are read as their author wrote them."""

from pathlib import Path

import pytest

from components.data.sources.clipart import drawing_files, is_public_domain, read_drawing

PUBLIC_DOMAIN = "http://web.resource.org/cc/PublicDomain"


def svg(licence: str | None = PUBLIC_DOMAIN, body: str = "<path/>", size: str = 'width="10" height="20"') -> str:
    stated = "" if licence is None else f'<cc:license rdf:resource="{licence}"/>'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:cc="http://web.resource.org/cc/" {size}
      xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
      xmlns:xlink="http://www.w3.org/1999/xlink">
      <metadata><rdf:RDF><cc:Work rdf:about="">
        <dc:title>A  red
          apple</dc:title>
        <dc:description></dc:description>
        <dc:subject><rdf:Bag><rdf:li>fruit</rdf:li><rdf:li/><rdf:li>red</rdf:li><rdf:li>fruit</rdf:li></rdf:Bag></dc:subject>
        <dc:publisher><cc:Agent><dc:title>Open Clip Art Library</dc:title></cc:Agent></dc:publisher>
        <dc:creator><cc:Agent><dc:title>Ann Artist</dc:title></cc:Agent></dc:creator>{stated}
      </cc:Work><cc:License rdf:about="{PUBLIC_DOMAIN}"/></rdf:RDF></metadata>{body}</svg>"""


def test_words_are_read_from_the_work() -> None:
    drawing = read_drawing(svg())
    assert (drawing.title, drawing.creator, drawing.description) == ("A red apple", "Ann Artist", None)
    assert drawing.tags == ("fruit", "red")
    assert drawing.refusal is None


@pytest.mark.parametrize(
    "licence",
    [
        None,
        "",
        "http://www.gnu.org/licenses/gpl.html",
        "http://creativecommons.org/licenses/by-sa/2.0/",
        "Public Domain?",
    ],
)
def test_anything_but_the_public_domain_is_refused(licence: str | None) -> None:
    assert read_drawing(svg(licence)).refusal == "licence is not public domain"


@pytest.mark.parametrize("licence", [PUBLIC_DOMAIN, "http://creativecommons.org/licenses/publicdomain/"])
def test_both_names_of_the_public_domain_are_taken(licence: str) -> None:
    assert is_public_domain(licence)
    assert read_drawing(svg(licence)).refusal is None


def test_one_foreign_licence_beside_the_public_domain_is_enough_to_refuse() -> None:
    twice = svg().replace("</cc:Work>", '<cc:license rdf:resource="http://www.gnu.org/licenses/gpl.html"/></cc:Work>')
    assert read_drawing(twice).refusal == "licence is not public domain"


def test_a_file_without_metadata_is_refused_and_one_that_is_not_xml_is_an_error() -> None:
    assert read_drawing('<svg xmlns="http://www.w3.org/2000/svg"/>').refusal == "licence is not public domain"
    with pytest.raises(ValueError, match="not an SVG document"):
        read_drawing("<svg>")


@pytest.mark.parametrize(
    ("size", "is_refused"),
    [
        ('width="16000" height="10000"', False),  # 160 million exactly
        ('width="16000" height="10001"', True),
        ('width="3in" height="2cm"', False),
        ('width="5000in" height="5000in"', True),
        ('width="1e9" height="1e9"', True),
        ('width="nan" height="5"', True),
        ('width="wide" height="5"', True),
        ('width="100%" height="100%"', False),
        ("", False),
    ],
)
def test_declared_canvas_has_a_limit(size: str, is_refused: bool) -> None:
    refusal = read_drawing(svg(size=size)).refusal
    assert refusal == ("canvas exceeds the pixel limit" if is_refused else None)


def test_live_text_and_linked_images_are_refused() -> None:
    assert read_drawing(svg(body="<text>STOP</text>")).refusal == "live text needs a font"
    assert read_drawing(svg(body="<text> </text>")).refusal is None
    assert read_drawing(svg(body='<image xlink:href="duck.png"/>')).refusal == "shows a file that is not inside it"


def test_files_are_the_plain_svgs_of_the_pictorial_folders_in_order(tmp_path: Path) -> None:
    for name in ("food/b.svg", "food/fruit/a.svg", "animals/z.svg", "computer/x.svg", "food/readme.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg(), encoding="utf-8")
    (tmp_path / "food/link.svg").symlink_to(tmp_path / "food/b.svg")
    found = [path.relative_to(tmp_path).as_posix() for path in drawing_files(tmp_path)]
    assert found == ["animals/z.svg", "food/b.svg", "food/fruit/a.svg"]
