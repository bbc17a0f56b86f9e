"""Rendering: known shapes at known places, after every mirror and turn; the same bytes twice."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.sources.emoji import Icon
from components.data.sources.render import encode_webp, icon_svg, is_blank, links_files, render_icon, render_svg

CORNER = '<rect width="8" height="8" fill="#f00"/>'  # the upper left quarter of a 16 x 16 box
RED = (255, 0, 0)


def corner_icon(rotate: int = 0, h_flip: bool = False, v_flip: bool = False) -> Icon:
    return Icon("corner", CORNER, 0.0, 0.0, 16.0, 16.0, rotate, h_flip, v_flip)


def red_quarter(image: Image.Image) -> tuple[int, int]:
    """(row, column) of the quarter that is red; the rest must be white."""
    pixels = np.asarray(image.resize((2, 2), Image.Resampling.BOX))
    is_red = (pixels == RED).all(axis=-1)
    assert is_red.sum() == 1
    assert (pixels[~is_red] == 255).all()
    row, column = np.argwhere(is_red)[0]
    return int(row), int(column)


@pytest.mark.parametrize(
    ("icon", "quarter"),
    [
        (corner_icon(), (0, 0)),
        (corner_icon(h_flip=True), (0, 1)),
        (corner_icon(v_flip=True), (1, 0)),
        (corner_icon(h_flip=True, v_flip=True), (1, 1)),
        (corner_icon(rotate=1), (0, 1)),
        (corner_icon(rotate=2), (1, 1)),
        (corner_icon(rotate=3), (1, 0)),
        (corner_icon(rotate=1, h_flip=True), (1, 1)),  # mirrored first, then turned
    ],
)
def test_mirrors_and_clockwise_turns_move_the_corner(icon: Icon, quarter: tuple[int, int]) -> None:
    assert red_quarter(render_icon(icon, 32)) == quarter


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(36, 25.22, (128, 90)), (32, 33, (124, 128)), (33, 32, (128, 124)), (32, 32, (128, 128)), (1, 16, (8, 128))],
)
def test_longer_side_is_exact_and_aspect_is_kept(width: float, height: float, size: tuple[int, int]) -> None:
    image = render_icon(Icon("box", CORNER, 0.0, 0.0, float(width), float(height)), 128)
    assert max(image.size) == 128
    assert np.abs(np.subtract(image.size, size)).max() <= 1


def test_a_box_that_does_not_start_at_zero_is_cut_where_it_says() -> None:
    image = render_icon(Icon("box", CORNER, -8.0, -8.0, 16.0, 16.0), 32)
    assert red_quarter(image) == (1, 1)


def test_transparency_is_composited_on_white() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect width="4" height="4" fill-opacity=".5"/></svg>'
    )
    image = render_svg(svg, 4)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - 127.5).max() <= 1


def test_physical_units_have_a_size() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="20mm" height="40mm"><circle r="9"/></svg>'
    assert render_svg(svg, 64).size == (32, 64)


def test_same_icon_gives_the_same_bytes_and_webp_keeps_every_pixel() -> None:
    image = render_icon(corner_icon(), 48)
    data = encode_webp(image)
    assert encode_webp(render_icon(corner_icon(), 48)) == data
    with Image.open(io.BytesIO(data)) as again:
        assert again.format == "WEBP"
        np.testing.assert_array_equal(np.asarray(again.convert("RGB")), np.asarray(image))


def test_a_drawing_that_shows_another_file_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "secret.png")
    for link in (f"{tmp_path}/secret.png", "secret.png", "file:///secret.png"):
        svg = icon_svg(Icon("link", f'<image width="4" height="4" xlink:href="{link}"/>', 0.0, 0.0, 4.0, 4.0))
        assert links_files(svg)
        with pytest.raises(ValueError, match="another file"):
            render_svg(svg, 4)
    inside = icon_svg(Icon("inside", '<image href="data:image/png;base64,AA=="/><use href="#a"/>', 0.0, 0.0, 4.0, 4.0))
    assert not links_files(inside)


def test_not_an_svg_is_a_value_error() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the renderer's own words
        render_svg("<svg", 8)


def test_blank_means_one_colour_only() -> None:
    assert is_blank(Image.new("RGB", (9, 9), "white"))
    assert is_blank(Image.new("RGB", (9, 9), "navy"))
    assert not is_blank(render_icon(corner_icon(), 9))
