"""Short wishes as people type them, with counts, colours, words to be legible and negations planted where none are.

The catalogue shows one thing an image, so what an enhancer must never lose hardly stands in its titles. It is planted
here by rule, in the wish and in what the description is made of, so that both say the same. Every choice follows from a
hash of the wish's key: a larger pool changes no wish.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.data.captions import Language
from components.data.records import unit_hash
from components.data.top_down.config import PromptStyle
from components.data.top_down.facts import Known
from components.data.top_down.prompt_grammar import GrammarWriter, Subject
from components.data.top_down.vocabulary import COLOURS_EN, COLOURS_ZH, FRAME_EN, NEGATIONS_ZH, NUMBERS_EN, NUMBERS_ZH
from components.enhancer.wish import clean_wish
from components.enhancer.wish_config import WishMix

_COUNTABLE = ("animals", "food", "objects")
_COUNTS_EN = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS_ZH = tuple("两三四五六七八九十")
_NEGATED: dict[Language, tuple[str, ...]] = {
    "en": ("text", "people", "shadow", "border", "watermark", "frame", "logo", "letters", "hands", "clouds"),
    "zh": ("文字", "人物", "阴影", "边框", "水印", "相框", "标志", "字母", "手", "云"),
}
_LETTERING = frozenset(("text", "letters", "文字", "字母"))
_OWN_NEGATIONS = 0.6  # the rest rules out things of the pool
_CJK_NOUN = re.compile(r"(?!.*的)[\u4e00-\u9fff]{1,4}")
_PLANTS_ZH = frozenset("植花树草叶")  # the tree has them among animals; they are counted otherwise
_EN_NOUN = re.compile(r"[a-z]+( [a-z]+)?")
_UNCOUNTED = re.compile(
    r"(s|ing|rice|bread|meat|fish|sheep|cheese|popcorn|mouse|goose|knife|leaf|wolf|tooth|foot|man)$"
)


@dataclass(frozen=True)
class Idea:
    """An image as something to wish for, in one language.

    Args:
        sample_id: the image.
        known: what its metadata say.
        keywords: all its usable tags.
        description: what people wrote of it, at length.
        category: its place in the category tree, "" if unknown.
        caption: a long caption by somebody who looked at it, "" where there is none.
        split: `train`, or the held-out split that it belongs to.
    """

    sample_id: str
    known: Known
    keywords: tuple[str, ...]
    description: str
    category: str
    caption: str
    split: str


@dataclass(frozen=True)
class Plan:
    """What one wish asks for: `known` as wished, and what was planted in it, each "" if nothing was.

    `noun` is the thing that `count` and `colour` belong to, as `known.subject` writes it; `negation` is a phrase.
    """

    idea: Idea
    known: Known
    noun: str = ""
    count: str = ""
    colour: str = ""
    negation: str = ""


@dataclass(frozen=True)
class Choices:
    """What may be planted in one language: words to be legible, and things to be ruled out."""

    writings: Sequence[str]
    nouns: Sequence[str]


def is_countable(idea: Idea) -> bool:
    """Whether the idea is one plain thing of which there may be several, in any colour."""
    subject = idea.known.subject
    if idea.caption or idea.known.quoted or idea.category not in _COUNTABLE:
        return False
    if idea.known.language == "zh":
        stated = {*NUMBERS_ZH, *NEGATIONS_ZH, *(name[0] for name in COLOURS_ZH.values())}
        return bool(_CJK_NOUN.fullmatch(subject)) and not any(char in subject for char in stated)
    states = COLOURS_EN | NUMBERS_EN | FRAME_EN
    return bool(_EN_NOUN.fullmatch(subject)) and not _UNCOUNTED.search(subject) and states.isdisjoint(subject.split())


def plural(noun: str) -> str:
    """The regular English plural."""
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("x", "ch", "sh", "z")) else f"{noun}s"


def plan_of(idea: Idea, key: str, mix: WishMix, choices: Choices, seed: int) -> Plan:
    """What the wish of this key asks for, as `mix` has it; nothing is planted in an image that somebody looked at."""

    def chance(salt: str) -> float:
        return unit_hash(key, f"wish-{salt}-{seed}")

    def one_of(among: Sequence[str], salt: str) -> str:
        return among[int(chance(f"which-{salt}") * len(among))]

    known = replace(idea.known, themes=idea.known.themes[: mix.max_themes])
    if chance("styled") >= mix.styled_frac:
        known = replace(known, style="")
    plan = Plan(idea, known)
    if idea.caption:
        return plan
    if is_countable(idea):
        numbers = _COUNTS_ZH if known.language == "zh" else _COUNTS_EN
        colours = [COLOURS_ZH[name] for name in COLOURS_ZH] if known.language == "zh" else list(COLOURS_ZH)
        count = one_of(numbers, "count") if chance("count") < mix.count_frac else ""
        colour = one_of(colours, "colour") if chance("colour") < mix.colour_frac else ""
        plan = _counted(plan, count, colour)
        if not count and choices.writings and chance("quoted") < mix.quoted_frac:
            plan = replace(plan, known=replace(plan.known, quoted=(one_of(choices.writings, "quoted"),)))
    if chance("negation") < mix.negation_frac:
        own = chance("own-negation") < _OWN_NEGATIONS or not choices.nouns
        thing = one_of(_NEGATED[known.language] if own else choices.nouns, "negation")
        plan = _ruled_out(plan, thing, chance("negation-form") < 0.5)
    return plan


def wish_of(plan: Plan, key: str, style: PromptStyle, writer: GrammarWriter) -> str:
    """The wish in the words of one prompt style, as `clean_wish` leaves it: one line."""
    wish = clean_wish(writer.write([Subject(key, plan.known)])[0][style])
    if not plan.negation:
        return wish
    is_list = style == "keywords" or wish[-1].isalnum()
    if plan.known.language == "zh":
        return f"{wish}，{plan.negation}" if is_list else f"{wish}{plan.negation}。"
    return f"{wish}, {plan.negation}" if is_list else f"{wish} {plan.negation.capitalize()}, please."


def _counted(plan: Plan, count: str, colour: str) -> Plan:
    """The plan for `count` things, in `colour`; keywords must not speak against either."""
    if not count and not colour:
        return plan
    noun = plan.known.subject
    if plan.known.language == "zh":
        is_animal = plan.idea.category == "animals" and _PLANTS_ZH.isdisjoint("".join((noun, *plan.idea.keywords)))
        measure = f"{count}{'只' if is_animal else '个'}" if count else ""
        subject = f"{measure}{f'{colour}的' if colour else ''}{noun}"
    else:
        noun = plural(noun) if count else noun
        measure, subject = count, " ".join(part for part in (count, colour, noun) if part)
    stated = {*COLOURS_EN, *NUMBERS_EN} if plan.known.language == "en" else {name[0] for name in COLOURS_ZH.values()}
    return Plan(
        replace(plan.idea, keywords=_without(plan.idea.keywords, stated), description=""),
        replace(plan.known, subject=subject, themes=_without(plan.known.themes, stated)),
        noun,
        measure,
        colour,
    )


def _ruled_out(plan: Plan, thing: str, is_without: bool) -> Plan:
    """The plan without `thing`, unless the wish asks for it."""
    is_wished = any(thing.rstrip("s") in words for words in (plan.known.subject, *plan.known.themes))
    if is_wished or (plan.known.quoted and thing in _LETTERING):
        return plan
    words = ("没有" if is_without else "不要") if plan.known.language == "zh" else ("without " if is_without else "no ")
    keywords = tuple(word for word in plan.idea.keywords if thing.rstrip("s") not in word)
    return replace(plan, idea=replace(plan.idea, keywords=keywords, description=""), negation=f"{words}{thing}")


def _without(phrases: Sequence[str], words: set[str]) -> tuple[str, ...]:
    """The phrases in which none of `words` stands: whole words in English, single characters in Chinese."""
    return tuple(phrase for phrase in phrases if words.isdisjoint(phrase.split()) and words.isdisjoint(phrase))
