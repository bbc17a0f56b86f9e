"""Stage `wishes`: short wishes and their descriptions, which a prompt enhancer learns from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from components.data.top_down.config import PromptEndpoint, PromptStyle
from components.enhancer.wish_config import WishMix


class Params(BaseModel, frozen=True, extra="forbid"):
    """How many pairs, of which catalogue styles (null: all), in which sizes, and who describes.

    Beyond what the selection holds out, concepts below `heldout_concept_frac` of the same hash are. A description must
    be `min_length_ratio` times as long as its wish, and keep all that it asks for. A language model behind `endpoint`
    describes; without one (null) the grammar does.
    """

    max_pairs: int = Field(gt=0)
    max_heldout_pairs: int = Field(gt=0)
    heldout_concept_frac: float = Field(ge=0, lt=1)
    languages: tuple[Literal["en", "zh"], ...] = Field(min_length=1)
    prompt_styles: tuple[PromptStyle, ...] = Field(min_length=1)
    styles: tuple[str, ...] | None
    sizes_px: tuple[tuple[int, int], ...] = Field(min_length=1)
    mix: WishMix
    min_length_ratio: float = Field(ge=1)
    max_chars: int = Field(gt=0)
    endpoint: PromptEndpoint | None
    seed: int


@dataclass(frozen=True)
class Metrics:
    """Pairs = train + held out = English + Chinese; a ratio is of mean lengths: words, or characters of Chinese."""

    pairs: int
    train_pairs: int
    heldout_pairs: int
    refused_pairs: int
    english_pairs: int
    chinese_pairs: int
    wished_images: int
    length_ratio_en: float
    length_ratio_zh: float
    mean_description_chars: float


def wishes(
    p: Params,
    *,
    checked: Path,
    catalogue: Path,
    verdicts: Path,
    categories: Path,
    captions: Path,
    selection: Path,
    rendered: Path,
    pairs: Path,
    refused: Path,
) -> Metrics:
    """Write short wishes for images and structured descriptions of them; refuse those that lose part of the wish.

    `checked` is the receipt of tables that passed: it is not read, but nothing is wished for without it.
    """
    from components.data import records
    from components.data.top_down import known
    from components.enhancer import wish_ideas
    from components.enhancer import wishes as written
    from components.enhancer.endpoint_describer import EndpointDescriber
    from flows.settings import vlm_api_key

    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    captioned = records.read_table(captions, records.CAPTIONS)
    tree = records.read_table(categories, records.CATEGORIES)
    texts = records.read_table(rendered, records.RENDERED).to_pylist()
    described = known.with_made_titles(samples.to_pylist(), captioned)
    ideas = wish_ideas.of_catalogue(
        [row for row in described if p.styles is None or row["style"] in p.styles],
        dict(zip(tree.column("sample_id").to_pylist(), tree.column("category").to_pylist(), strict=True)),
        wish_ideas.long_captions(captioned),
        p.languages,
        p.mix.max_themes,
        wish_ideas.split_by(records.read_table(selection, records.SELECTION).to_pylist(), p.heldout_concept_frac),
    )
    ideas += wish_ideas.of_rendered(texts, p.languages, p.heldout_concept_frac)
    writer = written.WishWriter(p.prompt_styles, p.sizes_px, p.mix, p.heldout_concept_frac, p.seed)
    describer = EndpointDescriber(p.endpoint, vlm_api_key()) if p.endpoint else written.GrammarDescriber()
    wished = writer.write(ideas, p.max_pairs, p.max_heldout_pairs)
    table, refusals = written.checked(wished, describer, p.min_length_ratio, p.max_chars)
    records.write_table(table, pairs)
    records.write_table(refusals, refused)
    num_train = table.column("split").to_pylist().count("train")
    tongues = table.column("language").to_pylist()
    return Metrics(
        pairs=table.num_rows,
        train_pairs=num_train,
        heldout_pairs=table.num_rows - num_train,
        refused_pairs=refusals.num_rows,
        english_pairs=tongues.count("en"),
        chinese_pairs=tongues.count("zh"),
        wished_images=len(set(table.column("sample_id").to_pylist())),
        length_ratio_en=written.length_ratio(table, "en"),
        length_ratio_zh=written.length_ratio(table, "zh"),
        mean_description_chars=sum(map(len, table.column("description").to_pylist())) / table.num_rows,
    )
