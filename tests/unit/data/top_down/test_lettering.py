"""Rendered text: every character has a glyph, ink is there and inside the image, colours stand out, seeds decide."""

import numpy as np
import pytest

from components.data.errors import DataError
from components.data.top_down import lettering, lettering_tables
from components.data.top_down.config import FontChoice, Layout, Lettering
from components.data.top_down.fonts import find_fonts
from components.data.top_down.words import WRITINGS

LAYOUTS: tuple[Layout, ...] = ("poster", "sign", "label", "banner", "badge", "notice", "bilingual sign")
LETTERING = Lettering(96, LAYOUTS, 4.5, (), ())
ENGLISH = find_fonts([FontChoice(name, 0, None, True) for name in ("DejaVuSans-Bold.ttf", "STIXGeneralBol.ttf")])
CHINESE = find_fonts([FontChoice("NotoSansCJK-Bold.ttc", 2, None, False)])
FONTS = {font.name: font for font in (*ENGLISH, *CHINESE)}


def plain(layout: Layout, *lines: str, ink: str = "red", font: str = "DejaVuSans-Bold.ttf") -> lettering.Specification:
    """One or, where the layout has two places, two lines in one font on white; the last line is repeated."""
    lines = (*lines, lines[-1])[: 2 if layout in ("poster", "banner") else 1]
    return lettering.Specification(layout, lines, ("en",) * len(lines), (font,) * len(lines), ink, "white")


def specifications(number: int = 35, seed: int = 0) -> list[lettering.Specification]:
    return lettering.make_specifications(number, LETTERING, ENGLISH, CHINESE, seed)


def test_contrast_is_that_of_the_standard():
    assert lettering.contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert lettering.contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)
    assert lettering.contrast((9, 9, 9), (9, 9, 9)) == 1


def test_specifications_differ_take_the_layouts_in_turn_and_follow_the_seed():
    made = specifications()
    assert len(set(made)) == len(made) == 35
    assert made == specifications()
    assert made != specifications(seed=1)
    layouts = [one.layout for one in made]
    allowed = [layout for layout in LAYOUTS if CHINESE or layout != "bilingual sign"]
    assert layouts == [allowed[n % len(allowed)] for n in range(35)]
    assert all(lettering.contrast(lettering.PALETTE[one.ink], lettering.PALETTE[one.paper]) >= 4.5 for one in made)


def test_without_a_chinese_font_everything_is_english():
    made = lettering.make_specifications(24, LETTERING, ENGLISH, [], 0)
    assert {language for one in made for language in one.languages} == {"en"}
    assert "bilingual sign" not in {one.layout for one in made}
    words = {en for en, _ in WRITINGS}
    assert all(line in words for one in made for line in one.lines)


def test_every_writing_fits_every_layout_legibly():
    for n, (en, zh) in enumerate(WRITINGS):
        lettering.draw(plain(LAYOUTS[n % 6], en), FONTS, 32)
        if CHINESE:
            lettering.draw(plain(LAYOUTS[n % 6], zh, font=CHINESE[0].name), FONTS, 32)


@pytest.mark.parametrize("layout", LAYOUTS[:6])
def test_the_words_are_drawn_whole_and_in_their_colour(layout: Layout):
    """Other words change pixels, and only inside the image; the letters' colour is there."""
    drawn = lettering.draw(plain(layout, "Honey"), FONTS, 96).astype(int)
    other = lettering.draw(plain(layout, "Museum"), FONTS, 96).astype(int)
    rows, columns = np.nonzero(np.abs(drawn - other).sum(-1))
    assert rows.min() > 0
    assert rows.max() < 95
    assert columns.min() > 0
    assert columns.max() < 95
    inked = (np.abs(drawn - np.array(lettering.PALETTE["red"])).sum(-1) < 12).sum()
    assert inked > 60


def test_a_character_without_a_glyph_is_refused():
    with pytest.raises(DataError, match="has no glyph for a character of '面包'"):
        lettering.draw(plain("sign", "面包"), FONTS, 64)


def test_words_too_long_to_read_are_refused():
    with pytest.raises(DataError, match="does not fit legibly"):
        lettering.draw(plain("label", "Donaudampfschifffahrtsgesellschaft"), FONTS, 64)


def test_the_tables_agree_and_captions_hold_the_exact_words():
    made = specifications(14)
    pixels = [lettering.draw(one, FONTS, 64) for one in made]
    images = lettering_tables.images_table([lettering_tables.png(image) for image in pixels])
    ids = images["sample_id"].to_pylist()
    assert len(set(ids)) == 14
    catalogue = lettering_tables.catalogue_table(images, pixels, made, FONTS).to_pylist()
    assert [row["sample_id"] for row in catalogue] == ids
    assert all("SHA-256" in row["attribution"] for row in catalogue)
    captions = lettering_tables.captions_table(ids, made).to_pylist()
    lines = dict(zip(ids, (one.lines for one in made), strict=True))
    assert all(f"“{line}”" in row["text"] for row in captions for line in lines[row["sample_id"]])
    assert {(row["kind"], row["language"]) for row in captions} == {
        (kind, language) for kind in ("tags", "short", "sentence") for language in ("en", "zh")
    }
    rendered = lettering_tables.rendered_table(ids, made).to_pylist()
    assert [tuple(row["lines"]) for row in rendered] == [one.lines for one in made]


def test_a_contact_sheet_holds_every_image_in_its_place():
    images = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)]
    sheet = lettering.contact_sheet(images, 3)
    assert sheet.shape == (8, 12, 3)
    assert sheet[::4, ::4, 0].tolist() == [[10, 20, 30], [40, 50, 255]]
