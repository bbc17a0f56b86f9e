"""The pool of images with rendered text, as tables like those of any other pool, and what each image shows."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image

from components.data.captions import with_article
from components.data.records import CAPTIONS, CATALOGUE, IMAGES, RENDERED
from components.data.top_down.fonts import Font
from components.data.top_down.lettering import Specification
from components.data.top_down.vocabulary import COLOURS_ZH

MAKER = "render_text"
LAYOUTS_ZH = {
    "poster": "海报",
    "sign": "标牌",
    "label": "标签",
    "banner": "横幅",
    "badge": "徽章",
    "notice": "告示",
    "bilingual sign": "双语标牌",
}


def png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """The image as PNG, which loses nothing."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()


def images_table(encoded: Sequence[bytes]) -> pa.Table:
    """Ids and bytes (`IMAGES`)."""
    ids = [hashlib.sha256(data).hexdigest() for data in encoded]
    return pa.table([pa.array(ids, pa.string()), pa.array(encoded, pa.binary())], schema=IMAGES)


def rendered_table(sample_ids: Sequence[str], specifications: Sequence[Specification]) -> pa.Table:
    """What each image shows (`RENDERED`)."""
    rows = [{"sample_id": sample_id, **vars(one)} for sample_id, one in zip(sample_ids, specifications, strict=True)]
    return pa.Table.from_pylist(rows, schema=RENDERED)


def catalogue_table(
    images: pa.Table,
    pixels: Sequence[UInt8[np.ndarray, "px px 3"]],
    specifications: Sequence[Specification],
    fonts: Mapping[str, Font],
) -> pa.Table:
    """The catalogue (`CATALOGUE`) of the images, with the fonts named by their SHA-256 in the attribution."""
    rows: list[dict[str, Any]] = []
    for place, (image, array, one) in enumerate(zip(images.to_pylist(), pixels, specifications, strict=True)):
        used = ", ".join(f"{name} (SHA-256 {fonts[name].sha256})" for name in dict.fromkeys(one.fonts))
        rows.append(
            {
                "sample_id": image["sample_id"],
                "width": array.shape[1],
                "height": array.shape[0],
                "format": "PNG",
                "named_format": "PNG",
                "mode": "RGB",
                "pixel_sha256": hashlib.sha256(array.tobytes()).hexdigest(),
                "num_bytes": len(image["bytes"]),
                "source_id": f"{one.layout}/{place:05d}.png",
                "source": "rendered text",
                "title_en": " / ".join(_lines_of(one, "en")) or one.layout,
                "title_zh": " / ".join(_lines_of(one, "zh")) or None,
                "tags_en": [one.layout],
                "tags_zh": [LAYOUTS_ZH[one.layout]],
                "category": "text",
                "subcategory": one.layout,
                "concept": "",
                "style": "lettering",
                "licence": "Apache-2.0",
                "creator": "Easel",
                "attribution": f"drawn by Easel with {used}",
                "shard": 0,
                "row": place,
            }
        )
    return pa.Table.from_pylist(rows, schema=CATALOGUE)


def captions_table(sample_ids: Sequence[str], specifications: Sequence[Specification]) -> pa.Table:
    """Tags, a short and a sentence caption in both languages (`CAPTIONS`), with the exact words in quotes."""
    rows = [
        {"sample_id": sample_id, "kind": kind, "language": language, "text": text, "maker": MAKER}
        for sample_id, one in zip(sample_ids, specifications, strict=True)
        for language, texts in (("en", _captions_en(one)), ("zh", _captions_zh(one)))
        for kind, text in texts.items()
    ]
    return pa.Table.from_pylist(rows, schema=CAPTIONS)


def _captions_en(one: Specification) -> dict[str, str]:
    quoted = [f"“{line}”" for line in one.lines]
    says = f"{with_article(one.layout)} that says {' and '.join(quoted)}"
    return {
        "tags": ", ".join([one.layout, *quoted, f"{one.ink} letters", f"{one.paper} ground"]),
        "short": says,
        "sentence": f"{says[0].upper()}{says[1:]}, {one.ink} letters on {with_article(f'{one.paper} ground')}.",
    }


def _captions_zh(one: Specification) -> dict[str, str]:
    layout, ink, paper = LAYOUTS_ZH[one.layout], COLOURS_ZH[one.ink], COLOURS_ZH[one.paper]
    quoted = "".join(f"“{line}”" for line in one.lines)
    return {
        "tags": "，".join([layout, *(f"“{line}”" for line in one.lines), f"{ink}文字", f"{paper}底色"]),
        "short": f"写着{quoted}的{layout}",
        "sentence": f"写着{quoted}的{layout}，{ink}文字，{paper}底色。",
    }


def _lines_of(one: Specification, language: str) -> list[str]:
    return [line for line, of in zip(one.lines, one.languages, strict=True) if of == language]
