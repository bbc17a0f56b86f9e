"""Limits that tables of samples must keep: frozen, standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CategoryBalance:
    """Each of `required` has at least `min_images` images; no category has more than `max_frac` of all."""

    required: tuple[str, ...]
    min_images: int
    max_frac: float


@dataclass(frozen=True)
class CaptionLimits:
    """`languages`: the languages allowed, and how many of a caption's letters are at least of the language's script.

    At most `max_wrong_language_frac` of the captions may have fewer; text in quotes is what the image shows, in any
    script, and is not counted. `min_captioned_frac` of the kept images have a caption.
    """

    languages: Mapping[str, float]
    max_wrong_language_frac: float
    min_captioned_frac: float
    max_chars: int


@dataclass(frozen=True)
class ScoreRange:
    """Where every aesthetic score lies, and the least standard deviation (a constant score ranks nothing)."""

    low: float
    high: float
    min_std: float


@dataclass(frozen=True)
class TableDrift:
    """How far a version may lie from the last accepted one.

    `max_category_distance`: total variation of the category shares, in [0, 1]. `max_caption_length_change`: relative
    change of a language's mean length. `max_score_shift`: of the mean score, in standard deviations of the reference.
    `max_score_spread_change`: relative change of that standard deviation.
    """

    max_category_distance: float
    max_caption_length_change: float
    max_score_shift: float
    max_score_spread_change: float


@dataclass(frozen=True)
class SelectionDrift:
    """How far the sampled category shares may lie from those last accepted: total variation, in [0, 1]."""

    max_category_distance: float
