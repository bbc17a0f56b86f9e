"""Configuration of the data components: frozen, torch-free, standard library only."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class DecodeLimits:
    """What an image may cost before it is decoded, and what lies behind its clear parts.

    `max_ratio` is decoded bytes over stored bytes; it is asked only of images that decode to more than 1 MiB, because
    a small blank picture compresses a thousandfold and harms nobody. `background` is sRGB in [0, 255].
    """

    max_pixels: int
    max_bytes: int
    max_ratio: float
    background: tuple[int, int, int] = (255, 255, 255)


@dataclass(frozen=True)
class Intake:
    """How raw rows are inspected: whether words are required, and whether faint marks that repeat are looked for.

    Parts of about `part_images` are kept once finished; inside one, batches of `batch_size` run side by side.
    """

    require_words: bool
    with_repetition: bool
    part_images: int
    batch_size: int


@dataclass(frozen=True)
class PinnedFile:
    """A file that decides what is dropped, with the SHA-256 of its bytes: another content is another run."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Likeness:
    """When two images are one picture: how far their hashes, colours, aspects and image features may differ.

    At most `max_hamming_bits` of 64, `max_colour_distance` levels of mean RGB (Euclidean), `max_aspect_change` times;
    where `min_feature_cosine` is given, the features of pairs that pass must agree at least so much.
    """

    max_hamming_bits: int
    max_colour_distance: float
    max_aspect_change: float
    min_feature_cosine: float | None


@dataclass(frozen=True)
class FilterLimits:
    """Which filters are asked, by name, and where each draws its line; the measures are those of the catalogue.

    The unsafe-image network is asked only of images with at least `min_skin_frac` of skin colours.
    """

    enabled: tuple[str, ...]
    min_longer_side_px: int
    max_aspect: float
    max_blank_frac: float
    min_entropy_bits: float
    min_view_sharpness: float
    max_lettering: float
    max_repetition: float
    min_skin_frac: float
    max_unsafe: float
    near: Likeness


@dataclass(frozen=True)
class SplitShares:
    """Shares of concepts in [0, 1): `heldout_concept_frac` in no style, the next `heldout_cell_frac` not in one style.

    Styles that are variants of one drawing are listed in `style_families` and held out together. Of the samples without
    a concept, `heldout_image_frac` are held out one by one.
    """

    heldout_concept_frac: float
    heldout_cell_frac: float
    heldout_image_frac: float
    style_families: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TwoLevelSampling:
    """p(c) in proportion to n_c^a exp(b mean_aes_c), p(i|c) to exp(aes_i / T), with aes standardised over the corpus.

    `shrinkage_images`: a category's mean aes counts as if it had this many images of the global mean besides.
    `min_category_frac`: the least share of a category, as far as `max_repeats` of its images reach it.
    `max_repeats`: how often one image may be expected per epoch. `temperature` may be infinite (`.inf` in YAML).
    """

    size_exponent: float
    quality_weight: float
    temperature: float
    shrinkage_images: float
    min_category_frac: float
    max_repeats: float


@dataclass(frozen=True)
class FeatureExtraction:
    """How image features are made: the side the image is brought to, and the network's precision."""

    px: int
    precision: Literal["bf16", "fp32"]


@dataclass(frozen=True)
class ReportExamples:
    """How much the data report pictures: examples for each reason, clusters of repeats, images of each, their side."""

    per_reason: int
    num_clusters: int
    per_cluster: int
    thumbnail_px: int


@dataclass(frozen=True)
class TextReading:
    """Which images are read for text, and what is believed: shares in [0, 1]; `max_images` null sets no bound.

    The reader sees an image with its shorter side at least `min_side_px`, a multiple of 32.
    """

    enabled: bool
    max_images: int | None
    min_text_likeness: float
    min_confidence: float
    min_side_px: int


@dataclass(frozen=True)
class ChatEndpoint:
    """An OpenAI-compatible endpoint (`url` ends in /v1) and how much is asked of it.

    A request may take `timeout_s`, and is tried `max_attempts` times with pauses that double from `backoff_s`. Above
    `max_failed_frac` of the images without an answer the stage stops.
    """

    url: str
    model: str
    max_tokens: int
    timeout_s: float
    max_attempts: int
    backoff_s: float
    requests_per_s: float
    concurrency: int
    max_failed_frac: float

    def __post_init__(self) -> None:
        """ValueError for an address or a limit that cannot be."""
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc or address.query:
            raise ValueError("url must be http(s)://host/v1 without a name, a password or a query")
        if min(self.concurrency, self.max_attempts, self.max_tokens) < 1:
            raise ValueError("concurrency, max_attempts and max_tokens are 1 or more")
        if min(self.timeout_s, self.requests_per_s) <= 0 or self.backoff_s < 0 or not 0 <= self.max_failed_frac <= 1:
            raise ValueError("timeout_s and requests_per_s are above 0, backoff_s 0 or more, max_failed_frac in [0, 1]")


@dataclass(frozen=True)
class VisionEndpoint(ChatEndpoint):
    """An endpoint whose model looks at pictures of at most `max_px` a side.

    `usd_per_million_tokens`: prices of prompt and completion.
    """

    max_px: int
    usd_per_million_tokens: tuple[float, float]

    def __post_init__(self) -> None:
        """ValueError for an address or a limit that cannot be."""
        super().__post_init__()
        if self.max_px < 1:
            raise ValueError("max_px is 1 or more")


@dataclass(frozen=True)
class LocalVisionModel:
    """A vision language model by its name or folder, and what it may write."""

    model: str
    max_new_tokens: int
    batch_size: int


BucketFit = Literal["crop", "pad"]


@dataclass(frozen=True)
class Buckets:
    """Shapes up to `max_aspect` to 1 either way (1: squares only); images lose their sides or are padded with white."""

    max_aspect: float
    fit: BucketFit
