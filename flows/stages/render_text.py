"""Stage `render_text`: images with words on them, spelled right, because they are drawn with fonts.

Chinese needs a font of the system's; on a machine without one the words are English only, and the metrics say so.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from components.data.top_down.config import Lettering

_SHEET_IMAGES = 42  # shown in the run


class Params(BaseModel, frozen=True, extra="forbid"):
    """How many images, in which layouts and fonts."""

    num_images: int = Field(gt=0)
    lettering: Lettering
    seed: int


@dataclass(frozen=True)
class Metrics:
    """rendered = english + chinese + bilingual; `chinese_fonts` is 0 where the machine has none."""

    rendered_images: int
    english_images: int
    chinese_images: int
    bilingual_images: int
    layouts: int
    fonts: int
    chinese_fonts: int
    min_contrast: float


def render_text(p: Params, *, images: Path, catalogue: Path, captions: Path, rendered: Path) -> Metrics:
    """Draw words of a short list as posters, signs, labels, banners, badges and notices; caption them exactly."""
    from collections import Counter

    from components.data import records
    from components.data.top_down import lettering, lettering_tables
    from components.data.top_down.fonts import find_fonts
    from components.tracking import current_run

    run = current_run()
    english, chinese = find_fonts(p.lettering.fonts), find_fonts(p.lettering.chinese_fonts)
    fonts = {font.name: font for font in (*english, *chinese)}
    specifications = lettering.make_specifications(p.num_images, p.lettering, english, chinese, p.seed)
    pixels = [lettering.draw(one, fonts, p.lettering.px) for one in specifications]
    table = lettering_tables.images_table([lettering_tables.png(image) for image in pixels])
    sample_ids = table.column("sample_id").to_pylist()
    hashes = {name: font.sha256 for name, font in fonts.items()}
    records.write_table(table, records.part_file(images, 0))
    records.write_table(lettering_tables.catalogue_table(table, pixels, specifications, fonts), catalogue)
    records.write_table(lettering_tables.captions_table(sample_ids, specifications), captions)
    records.write_table(lettering_tables.rendered_table(sample_ids, specifications), rendered, hashes)
    run.set_tags({f"easel.font.{name}": sha256 for name, sha256 in hashes.items()})
    run.log_image("rendered", lettering.contact_sheet(pixels[:_SHEET_IMAGES], len(p.lettering.layouts)))
    kinds = Counter(tuple(dict.fromkeys(one.languages)) for one in specifications)
    return Metrics(
        rendered_images=len(pixels),
        english_images=kinds["en",],
        chinese_images=kinds["zh",],
        bilingual_images=kinds["zh", "en"],
        layouts=len({one.layout for one in specifications}),
        fonts=len(english),
        chinese_fonts=len(chinese),
        min_contrast=min(
            lettering.contrast(lettering.PALETTE[one.ink], lettering.PALETTE[one.paper]) for one in specifications
        ),
    )
