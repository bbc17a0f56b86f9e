"""Fonts: the character table agrees with fontTools, a file is the one that was named, and tofu is refused."""

import struct
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from components.data.errors import DataError
from components.data.top_down.config import FontChoice
from components.data.top_down.fonts import find_fonts, read_code_points

SHIPPED = ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono-Bold.ttf", "STIXGeneralBol.ttf")
CHINESE = "NotoSansCJK-Bold.ttc"


def choice(file: str, sha256: str | None = None, required: bool = True, face: int = 0) -> FontChoice:
    return FontChoice(file, face, sha256, required)


def by_fonttools(file: Path, face: int) -> set[int]:
    tables = TTFont(file, fontNumber=face)["cmap"].tables
    return {code for table in tables if table.isUnicode() and table.format in (4, 12) for code in table.cmap}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_code_points_are_those_that_fonttools_reads(name):
    (font,) = find_fonts([choice(name)])
    assert font.code_points == by_fonttools(font.file, 0)
    assert font.can_draw("Fresh Bread, 100 %")
    assert not font.can_draw("面包")


def test_a_face_of_a_collection_is_read_where_the_machine_has_one():
    fonts = find_fonts([choice(CHINESE, required=False, face=2)])
    for font in fonts:
        assert font.code_points == by_fonttools(font.file, 2)
        assert font.can_draw("新鲜面包")


def test_a_font_is_left_out_or_asked_for():
    assert find_fonts([choice("no such font.ttf", required=False)]) == []
    with pytest.raises(DataError, match=r"no such font\.ttf is not on this machine"):
        find_fonts([choice("no such font.ttf")])
    with pytest.raises(DataError, match="without a folder"):
        find_fonts([choice("../DejaVuSans.ttf")])


def test_another_file_of_the_same_name_is_refused():
    with pytest.raises(DataError, match=r"has SHA-256 [0-9a-f]{64}, not 00"):
        find_fonts([choice("DejaVuSans.ttf", "00")])


def test_a_damaged_font_is_one_line(tmp_path: Path):
    (font,) = find_fonts([choice("DejaVuSans.ttf")])
    (tmp_path / "cut.ttf").write_bytes(font.file.read_bytes()[:200])
    with pytest.raises(DataError, match="not a whole TrueType") as error:
        find_fonts([choice("cut.ttf")], [tmp_path])
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="without a table of characters"):
        read_code_points(struct.pack(">4sHHHH", b"\0\1\0\0", 0, 0, 0, 0))
