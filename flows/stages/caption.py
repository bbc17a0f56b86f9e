"""Stage `caption`: several kinds of caption per image and language, each with its maker; the text in pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from components.data.config import DecodeLimits, LocalVisionModel, TextReading, VisionEndpoint

if TYPE_CHECKING:
    import pyarrow as pa

    from components.data.captioners.local_model import Describe
    from components.data.captions import WordsReason
    from components.data.image_shards import ImageShards


class Params(BaseModel, frozen=True, extra="forbid"):
    """In which languages and by whom captions are made; an image without one in the first language has none.

    `nameless` is what an image is called of which nobody said anything; null leaves it out.
    """

    languages: tuple[Literal["en", "zh"], ...] = Field(min_length=1)
    nameless: str | None = Field(min_length=1)
    captioners: tuple[Literal["metadata", "vlm", "transformers"], ...] = Field(min_length=1)
    limits: DecodeLimits
    ocr: TextReading
    vlm: VisionEndpoint | None
    transformers: LocalVisionModel | None


@dataclass(frozen=True)
class Metrics:
    """offered = captioned + uncaptioned; refused texts are titles, tags, readings and answers."""

    offered_images: int
    captioned_images: int
    uncaptioned_images: int
    fallback_images: int
    nameless_images: int
    captions: int
    read_images: int
    images_with_text: int
    prompt_tokens: int
    completion_tokens: int
    usd: float
    refused_texts: int


def caption(
    p: Params, *, images: Path, catalogue: Path, verdicts: Path, categories: Path, captions: Path, ocr: Path
) -> Metrics:
    """Read the text in likely pictures; join words, style and category, or ask a model; count what was refused."""
    from components.data import caption_table, records, visible_text
    from components.data.captioners import CAPTIONERS, Means
    from components.data.captioners.interface import REASONS
    from components.data.image_shards import ImageShards
    from components.tracking import current_run
    from flows.settings import vlm_api_key

    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, caption_table.SAMPLES), kept, catalogue)
    tree = records.take_ids(records.read_table(categories, caption_table.PLACES), kept, categories)

    likely = samples.take(visible_text.likeliest(samples, p.ocr))
    shards = ImageShards(images, samples)
    texts, refused = _read(likely, shards, p)
    records.write_table(texts, ocr)
    read = {row["sample_id"]: row["ocr_text"] for row in texts.to_pylist() if row["ocr_text"]}

    means = Means(p.languages, p.limits, len(kept), p.vlm, p.transformers, _load_local, vlm_api_key())
    captioners = [CAPTIONERS[name](means) for name in p.captioners]
    load = shards.take if set(p.captioners) - {"metadata"} else None
    slices = caption_table.sample_slices(samples, tree, read, load, p.languages)
    tally = caption_table.write_captions(captions, slices, captioners, p.languages, p.nameless)
    tally.refused.update(refused)
    current_run().log_metrics({f"refused/{reason}": tally.refused[reason] for reason in REASONS})
    prices = p.vlm.usd_per_million_tokens if p.vlm else (0.0, 0.0)
    return Metrics(
        offered_images=len(kept),
        captioned_images=len(kept) - tally.uncaptioned_images,
        uncaptioned_images=tally.uncaptioned_images,
        fallback_images=tally.fallback_images,
        nameless_images=tally.nameless_images,
        captions=tally.captions,
        read_images=texts.num_rows,
        images_with_text=len(read),
        prompt_tokens=tally.prompt_tokens,
        completion_tokens=tally.completion_tokens,
        usd=(tally.prompt_tokens * prices[0] + tally.completion_tokens * prices[1]) / 1e6,
        refused_texts=tally.refused.total(),
    )


def _read(likely: "pa.Table", images: "ImageShards", p: Params) -> "tuple[pa.Table, list[WordsReason]]":
    from components.data import records, visible_text

    if likely.num_rows == 0:
        return records.OCR.empty_table(), []
    from components.models.text_recognition import TextReader

    return visible_text.read_texts(likely, images.take, TextReader(p.ocr.min_side_px).read, p.ocr, p.limits)


def _load_local(model: LocalVisionModel) -> "Describe":
    from components.models.vision_language import VisionLanguageModel

    return VisionLanguageModel(model.model, model.max_new_tokens).describe
