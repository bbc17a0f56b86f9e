"""Configuration of the top-down stages: frozen, torch-free, standard library only."""

from dataclasses import dataclass
from typing import Literal

from components.data.config import ChatEndpoint

Layout = Literal["poster", "sign", "label", "banner", "badge", "notice", "bilingual sign"]
Pool = Literal["catalogue", "rendered"]
PromptStyle = Literal["keywords", "request", "instruction", "specification"]


@dataclass(frozen=True)
class FontChoice:
    """A font by file name, and the SHA-256 that its file must have (null: whichever is there, reported).

    `face` counts within a collection (.ttc), else it is 0. A font that is not `required` is left out where the machine
    has none of that name.
    """

    file: str
    face: int
    sha256: str | None
    required: bool


@dataclass(frozen=True)
class Lettering:
    """How words are drawn: side in pixels, which layouts, and the least contrast (WCAG ratio, 1 to 21)."""

    px: int
    layouts: tuple[Layout, ...]
    min_contrast: float
    fonts: tuple[FontChoice, ...]
    chinese_fonts: tuple[FontChoice, ...]


@dataclass(frozen=True)
class Domain:
    """One line of the demand list.

    Args:
        name: what the domain is called in every table.
        share: of the set's images, in (0, 1]; the shares of all domains add up to 1.
        pool: where images are looked for: the catalogue, or the images with rendered text.
        styles: style names that are allowed; empty: all.
        categories: categories that are allowed; empty: all.
        min_category_probability: what a predicted category must reach.
        min_quality: quantile in [0, 1) of the pool's aesthetic score that an image must reach; 0: no condition.
        queries: phrases; an image must hold all words of one of them, or look like those that do. Empty: all fit.
        min_similarity: cosine to the word matches' centre that stands for a word match; null: words only.
        max_per_concept: how many images of one concept (one title where there is none) may be taken.
    """

    name: str
    share: float
    pool: Pool
    styles: tuple[str, ...]
    categories: tuple[str, ...]
    min_category_probability: float
    min_quality: float
    queries: tuple[str, ...]
    min_similarity: float | None
    max_per_concept: int


@dataclass(frozen=True)
class PromptEndpoint(ChatEndpoint):
    """An endpoint whose language model writes prompts, at `temperature`; what it writes is checked."""

    temperature: float
