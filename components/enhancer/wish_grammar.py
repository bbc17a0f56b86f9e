"""Short wishes as people type them, with counts, colours, words to be legible and negations planted where none are.

The catalogue shows one thing an image, so what an enhancer must never lose hardly stands in its titles. It is planted
here by rule, in the wish and in what the description is made of, so that both say the same. Every choice follows from a
hash of the wish's key: a larger pool changes no wish.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from components.data.captions import Language, with_article
from components.data.records import unit_hash
from components.data.top_down.config import PromptStyle
from components.data.top_down.facts import Known
from components.data.top_down.prompt_grammar import GrammarWriter, Subject
from components.data.top_down.vocabulary import COLOURS_EN, COLOURS_ZH, FRAME_EN, NEGATIONS_ZH, NUMBERS_EN, NUMBERS_ZH
from components.enhancer.wish import clean_wish
from components.enhancer.wish_config import WishMix

_T = TypeVar("_T")

_COUNTABLE = ("animals", "food", "objects")
_COUNTS_EN = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS_ZH = tuple("两三四五六七八九十")
_NEGATED: dict[Language, tuple[str, ...]] = {
    "en": ("text", "people", "shadow", "border", "watermark", "frame", "logo", "letters", "hands", "clouds"),
    "zh": ("文字", "人物", "阴影", "边框", "水印", "相框", "标志", "字母", "手", "云"),
}
_COLOUR_CHARS = frozenset(name[0] for name in COLOURS_ZH.values())
_LETTERING = frozenset(("text", "letters", "文字", "字母"))
_QUOTE_MARKS: dict[Language, tuple[str, ...]] = {"en": ("“”", '""'), "zh": ("“”", '""', "「」")}
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
class Thing:
    """One of the things wished for: `noun` in the number that it stands in; `count` and `colour` "" where free."""

    noun: str
    count: str
    colour: str


@dataclass(frozen=True)
class Plan:
    """What one wish asks for: `known` as wished, the `things` whose number or colour was planted, what is ruled out."""

    idea: Idea
    known: Known
    things: tuple[Thing, ...] = ()
    negation: str = ""


@dataclass(frozen=True)
class Choices:
    """What may be planted in one language: words to be legible; countable things, to be added or ruled out."""

    writings: Sequence[str]
    ideas: Sequence[Idea]


@dataclass(frozen=True)
class _Dice:
    """Choices that follow from a wish's key."""

    key: str
    seed: int

    def chance(self, salt: str) -> float:
        """A number in [0, 1)."""
        return unit_hash(self.key, f"wish-{salt}-{self.seed}")


def is_countable(idea: Idea) -> bool:
    """Whether the idea is one plain thing of which there may be several, in any colour."""
    subject = idea.known.subject
    if idea.caption or idea.known.quoted or idea.category not in _COUNTABLE:
        return False
    if idea.known.language == "zh":
        stated = (*NUMBERS_ZH, *NEGATIONS_ZH, *_COLOUR_CHARS)
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
    dice = _Dice(key, seed)
    style = idea.known.style if dice.chance("styled") < mix.styled_frac else ""
    plan = Plan(idea, replace(idea.known, themes=idea.known.themes[: mix.max_themes], style=style))
    if idea.caption:
        return plan
    if is_countable(idea):
        things = _things(idea, dice, mix, choices)
        plan = _with_things(plan, things)
        is_one = len(things) == 1 and not things[0].count
        if is_one and choices.writings and dice.chance("quoted") < mix.quoted_frac:
            words = _at(choices.writings, dice.chance("which-quoted"))
            plan = replace(plan, known=replace(plan.known, quoted=(words,)))
    if dice.chance("negation") < mix.negation_frac:
        plan = _ruled_out(plan, dice, choices)
    return plan


def wish_of(plan: Plan, key: str, style: PromptStyle, writer: GrammarWriter) -> str:
    """The wish in the words of one prompt style, as `clean_wish` leaves it: one line, with quotes of any kind."""
    marks = _at(_QUOTE_MARKS[plan.known.language], unit_hash(key, f"wish-quotes-{writer.seed}"))
    known = plan.known
    if style == "keywords" and known.language == "en" and unit_hash(key, f"wish-article-{writer.seed}") < 0.5:
        known = replace(known, subject=with_article(known.subject))  # as short captions have it
    wish = clean_wish(writer.write([Subject(key, known)])[0][style]).translate(str.maketrans("“”", marks))
    if not plan.negation:
        return wish
    is_list = style == "keywords" or wish[-1].isalnum()
    if known.language == "zh":
        return f"{wish}，{plan.negation}" if is_list else f"{wish}{plan.negation}。"
    return f"{wish}, {plan.negation}" if is_list else f"{wish} {plan.negation.capitalize()}, please."


def _things(idea: Idea, dice: _Dice, mix: WishMix, choices: Choices) -> list[Thing]:
    """The idea's own thing, and sometimes another of a different colour; both are counted, or neither."""
    is_counted = dice.chance("count") < mix.count_frac
    ideas = [idea]
    if choices.ideas and dice.chance("second") < mix.second_frac:
        other = _at(choices.ideas, dice.chance("which-second"))
        is_same = other.known.subject in idea.known.subject or idea.known.subject in other.known.subject
        ideas += [] if is_same else [other]
    colours = list(COLOURS_ZH)
    things: list[Thing] = []
    for number, one in enumerate(ideas):
        colour = _at(colours, dice.chance(f"which-colour-{number}"))
        is_coloured = dice.chance(f"colour-{number}") < mix.colour_frac
        colours.remove(colour)
        count = dice.chance(f"which-count-{number}") if is_counted else None
        things.append(_thing(one, colour if is_coloured else "", count))
    return things


def _thing(idea: Idea, colour: str, place: float | None) -> Thing:
    """One idea's thing; `place` in [0, 1) chooses its number, None leaves it single."""
    noun = idea.known.subject
    if idea.known.language == "en":
        return Thing(noun, "", colour) if place is None else Thing(plural(noun), _at(_COUNTS_EN, place), colour)
    is_animal = idea.category == "animals" and _PLANTS_ZH.isdisjoint("".join((noun, *idea.keywords)))
    count = "" if place is None else f"{_at(_COUNTS_ZH, place)}{'只' if is_animal else '个'}"
    return Thing(noun, count, COLOURS_ZH[colour] if colour else "")


def _at(among: Sequence[_T], place: float) -> _T:
    return among[int(place * len(among))]


def _said(thing: Thing, language: Language) -> str:
    if language == "zh":
        return f"{thing.count}{f'{thing.colour}的' if thing.colour else ''}{thing.noun}"
    return " ".join(part for part in (thing.count, thing.colour, thing.noun) if part)


def _with_things(plan: Plan, things: Sequence[Thing]) -> Plan:
    """The plan for these things; what the metadata say must not speak against their numbers and colours."""
    if len(things) == 1 and not things[0].count and not things[0].colour:
        return plan
    language = plan.known.language
    first, *rest = [_said(thing, language) for thing in things]
    subject = "和".join((first, *rest)) if language == "zh" else " and ".join((first, *map(with_article, rest)))
    stated = {*COLOURS_EN, *NUMBERS_EN} if language == "en" else {*_COLOUR_CHARS, *NUMBERS_ZH, "一"}
    return Plan(
        replace(plan.idea, keywords=_without(plan.idea.keywords, stated), description=""),
        replace(plan.known, subject=subject, themes=_without(plan.known.themes, stated)),
        tuple(things),
    )


def _ruled_out(plan: Plan, dice: _Dice, choices: Choices) -> Plan:
    """The plan without something, unless the wish asks for just that."""
    language = plan.known.language
    is_own = dice.chance("own-negation") < _OWN_NEGATIONS or not choices.ideas
    place = dice.chance("which-negation")
    noun = _at(_NEGATED[language], place) if is_own else _at(choices.ideas, place).known.subject
    if any(noun in words for words in (plan.known.subject, *plan.known.themes)):
        return plan
    if plan.known.quoted and noun in _LETTERING:
        return plan
    no, without = ("不要", "没有") if language == "zh" else ("no ", "without ")
    thing = noun if is_own or language == "zh" else plural(noun)
    keywords = tuple(word for word in plan.idea.keywords if noun not in word)
    idea = replace(plan.idea, keywords=keywords, description="")
    return replace(plan, idea=idea, negation=f"{no if dice.chance('negation-form') < 0.5 else without}{thing}")


def _without(phrases: Sequence[str], words: set[str]) -> tuple[str, ...]:
    """The phrases in which none of `words` stands: whole words in English, single characters in Chinese."""
    return tuple(phrase for phrase in phrases if words.isdisjoint(phrase.split()) and words.isdisjoint(phrase))
