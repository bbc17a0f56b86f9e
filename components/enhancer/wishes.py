"""Pairs of a short wish and its description: chosen, written, checked; the refused ones with the reason.

Pairs are chosen by a hash of image, language, prompt style and size: a smaller table is a part of a larger one.
"""

import hashlib
import unicodedata
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from components.data.captions import Language, WordsRefusedError, clean_words
from components.data.errors import DataError
from components.data.records import unit_hash
from components.data.splits import SPLITS, TRAIN
from components.data.top_down.config import PromptStyle
from components.data.top_down.prompt_grammar import GrammarWriter
from components.data.top_down.words import WRITINGS
from components.enhancer.description_grammar import GRAMMAR, describe
from components.enhancer.intent import lost
from components.enhancer.language import language_of
from components.enhancer.wish_config import WishMix
from components.enhancer.wish_grammar import Choices, Idea, is_countable, plan_of, wish_of
from components.enhancer.wish_ideas import is_held_out

WISHES = pa.schema(
    [
        ("wish_id", pa.string()),
        ("sample_id", pa.string()),
        ("language", pa.string()),
        ("style", pa.string()),  # of prompts
        ("wish", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("description", pa.string()),
        ("split", pa.string()),  # train, or how it is held out
        ("maker", pa.string()),
    ]
)
WISH_REFUSALS = pa.schema([*WISHES, ("reason", pa.string())])


@dataclass(frozen=True)
class Wished:
    """A row of `WISHES` before it is checked; `description` is the grammar's."""

    wish_id: str
    sample_id: str
    language: Language
    style: PromptStyle
    wish: str
    width: int
    height: int
    description: str
    split: str


@runtime_checkable  # the tests check types at run time
class Describer(Protocol):
    """Whatever writes the descriptions: the grammar, or a language model whose words are checked."""

    @property
    def maker(self) -> str:
        """What is written down as the author of a description."""
        ...

    def describe(self, wishes: Sequence[Wished]) -> list[str]:
        """One description a wish; "" where there is none."""
        ...


class GrammarDescriber:
    """The default: what the grammar wrote of each wish."""

    maker = GRAMMAR

    def describe(self, wishes: Sequence[Wished]) -> list[str]:
        """The grammar's descriptions."""
        return [wished.description for wished in wishes]


@dataclass(frozen=True)
class WishWriter:
    """Writes wishes for ideas, and the grammar's descriptions, in these prompt styles and sizes (width, height)."""

    styles: Sequence[PromptStyle]
    sizes_px: Sequence[tuple[int, int]]
    mix: WishMix
    heldout_frac: float
    seed: int

    def write(self, ideas: Sequence[Idea], max_train: int, max_heldout: int) -> list[Wished]:
        """At most so many wishes held out, then to train on; none twice, and none to train on that is held out too."""
        trained = [idea for idea in ideas if idea.split == SPLITS[TRAIN]]
        held_out = [idea for idea in ideas if idea.split != SPLITS[TRAIN]]
        taken: dict[tuple[str, int, int], Wished] = {}
        self._take(held_out, max_heldout, taken, self._choices(trained, is_heldout=True))
        withheld = {wished.wish for wished in taken.values()}
        self._take(trained, len(taken) + max_train, taken, self._choices(trained, is_heldout=False), withheld)
        return list(taken.values())

    def _take(
        self,
        ideas: Sequence[Idea],
        limit: int,
        taken: dict[tuple[str, int, int], Wished],
        choices: dict[Language, Choices],
        withheld: Container[str] = (),
    ) -> None:
        """Add wishes to `taken`, by size, in the order of their keys until there are `limit`."""
        places: list[tuple[Idea, PromptStyle]] = [(idea, style) for idea in ideas for style in self.styles]
        for idea, style in sorted(places, key=lambda place: unit_hash(_key(*place), f"wish-order-{self.seed}")):
            if len(taken) >= limit:
                return
            wished = self._one(idea, style, choices[idea.known.language])
            if wished.wish not in withheld:
                taken.setdefault((wished.wish, wished.width, wished.height), wished)

    def _one(self, idea: Idea, style: PromptStyle, choices: Choices) -> Wished:
        key = _key(idea, style)
        width, height = self.sizes_px[int(unit_hash(key, f"wish-size-{self.seed}") * len(self.sizes_px))]
        plan = plan_of(idea, key, self.mix, choices, self.seed)
        wish = wish_of(plan, key, style, GrammarWriter(self.seed))
        description = describe(plan, key, width, height, self.mix.max_keywords)
        name = hashlib.sha256(f"{key}\n{width}x{height}".encode()).hexdigest()[:16]
        return Wished(name, idea.sample_id, idea.known.language, style, wish, width, height, description, idea.split)

    def _choices(self, trained: Sequence[Idea], *, is_heldout: bool) -> dict[Language, Choices]:
        """What may be planted, by language: words to be legible that are held out, or are not; countable things."""
        found: dict[Language, Choices] = {}
        for language in ("en", "zh"):
            of_language = (idea for idea in trained if idea.known.language == language and is_countable(idea))
            by_noun = {idea.known.subject: idea for idea in of_language}
            written = [*(pair[language == "zh"] for pair in WRITINGS), *(noun.title() for noun in sorted(by_noun))]
            legible = [words for words in written if is_held_out(words, self.heldout_frac) == is_heldout]
            found[language] = Choices(legible, [by_noun[noun] for noun in sorted(by_noun)])
        return found


def checked(
    wishes: Sequence[Wished], describer: Describer, min_length_ratio: float, max_chars: int
) -> tuple[pa.Table, pa.Table]:
    """`WISHES` with what `describer` wrote, and `WISH_REFUSALS` with what of it was refused, and why.

    DataError if nothing is left to train on, or nothing to be held out.
    """
    kept: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for wished, description in zip(wishes, describer.describe(wishes), strict=True):
        row = asdict(wished) | {"description": description, "maker": describer.maker}
        reason = fault(wished, description, min_length_ratio, max_chars)
        if reason:
            refused.append(row | {"reason": reason})
        else:
            kept.append(row)
    _check_splits(kept, refused)
    return pa.Table.from_pylist(kept, schema=WISHES), pa.Table.from_pylist(refused, schema=WISH_REFUSALS)


def fault(wished: Wished, description: str, min_length_ratio: float, max_chars: int) -> str:
    """Why a description may not stand for its wish, in a few words; "" if it may."""
    if not description:
        return "not written"
    try:
        if clean_words(description) != unicodedata.normalize("NFKC", description):
            return "words: markup"
    except WordsRefusedError as error:
        return f"words: {error.reason}"
    if len(description) > max_chars:
        return f"too long: {len(description)} characters"
    if (language := language_of(description)) != wished.language:
        return f"language: {language}"
    ratio = length(description, wished.language) / max(length(wished.wish, wished.language), 1)
    if ratio < min_length_ratio:
        return f"too short: {ratio:.1f} times the wish"
    missing = lost(wished.wish, description, wished.language)
    return f"lost {missing[0]}" if missing else ""


def length(text: str, language: Language) -> int:
    """Words of an English text, characters of a Chinese one."""
    return len(text.split()) if language == "en" else sum(not char.isspace() for char in text)


def length_ratio(pairs: pa.Table, language: Language) -> float:
    """The mean length of descriptions over that of wishes, in one language; 0 where there are none."""
    rows = [row for row in pairs.to_pylist() if row["language"] == language]
    told, wished = (sum(length(row[column], language) for row in rows) for column in ("description", "wish"))
    return told / wished if wished else 0.0


def _check_splits(kept: Sequence[Mapping[str, Any]], refused: Sequence[Mapping[str, Any]]) -> None:
    num_train = sum(row["split"] == SPLITS[TRAIN] for row in kept)
    if num_train and num_train < len(kept):
        return
    why = f"{len(refused)} were refused, the first as {refused[0]['reason']!r}" if refused else "none was refused"
    raise DataError(
        f"wishes: {num_train} pairs to train on and {len(kept) - num_train} held out ({why}); both are needed: "
        "see wishes.styles and heldout_concept_frac, and the sample stage's split"
    )


def _key(idea: Idea, style: PromptStyle) -> str:
    return f"{idea.sample_id}\n{style}\n{idea.known.language}"
