"""Prompts as people write them, from what is known of an image: four styles, two languages, several forms of each.

A grammar and no model: every prompt tells all that is known and nothing else, which `facts.differences` checks. Which
form an image gets follows from a hash of its id, so a larger pool changes no prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, get_args, runtime_checkable

from components.data.captions import Language, with_article
from components.data.records import unit_hash
from components.data.top_down.config import PromptStyle
from components.data.top_down.facts import Known
from components.data.top_down.vocabulary import COLOURS_ZH

PROMPT_STYLES: tuple[PromptStyle, ...] = get_args(PromptStyle)
GRAMMAR = "grammar/1"


@dataclass(frozen=True)
class Subject:
    """What prompts are written for: an image, and what is known of it in one language."""

    sample_id: str
    known: Known


@runtime_checkable  # the tests check types at run time
class PromptWriter(Protocol):
    """Whatever writes prompts: the grammar below, or a language model whose words are checked."""

    @property
    def maker(self) -> str:
        """What is written down as the author of a prompt."""
        ...

    def write(self, subjects: Sequence[Subject]) -> list[dict[PromptStyle, str]]:
        """One prompt of each style for every subject; what could not be written is left out."""
        ...


@dataclass(frozen=True)
class GrammarWriter:
    """The default writer; `seed` chooses among the forms."""

    seed: int
    maker: str = GRAMMAR

    def write(self, subjects: Sequence[Subject]) -> list[dict[PromptStyle, str]]:
        """One prompt of each style, the same for the same id, metadata and seed."""
        return [{style: self._one(style, subject) for style in PROMPT_STYLES} for subject in subjects]

    def _one(self, style: PromptStyle, subject: Subject) -> str:
        forms = _FORMS[subject.known.language][style]
        place = unit_hash(f"{subject.sample_id}\n{style}\n{subject.known.language}", f"prompt-form-{self.seed}")
        return forms[int(place * len(forms))](subject.known)


Form = Callable[[Known], str]


def _joined(parts: Sequence[str], between: str) -> str:
    return between.join(part for part in parts if part)


def _listed(words: Sequence[str]) -> str:
    """Words as English lists them."""
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def _quoted(known: Known) -> list[str]:
    return [f"“{words}”" for words in known.quoted]


def _style(known: Known) -> str:
    return f"{known.style} style" if known.style else ""


def _letters(known: Known) -> str:
    return f"{known.ink} letters" if known.ink else ""


def _ground(known: Known) -> str:
    return f"{known.paper} ground" if known.paper else ""


def _told(known: Known, thing: str) -> str:
    """Everything known as one phrase around `thing`."""
    says = f"that says {_listed(_quoted(known))}" if known.quoted else ""
    colours = known.ink and f"with {_letters(known)} on {with_article(_ground(known))}"
    style = known.style and f"in {_style(known)}"
    phrase = _joined([thing, says, colours, style], " ")
    return _joined([phrase, f"related to {_listed(known.themes)}" if known.themes else ""], ", ")


def _sentence(before: str, after: str) -> Form:
    """A form of one sentence: `before`, the thing with all that is known of it, `after`."""
    return lambda known: f"{before}{_told(known, with_article(known.subject))}{after}"


def _keywords(known: Known) -> str:
    parts = [known.subject, *_quoted(known), _letters(known), _ground(known), _style(known), *known.themes]
    return _joined(parts, ", ")


def _keywords_style_first(known: Known) -> str:
    parts = [_style(known), known.subject, *known.themes, *_quoted(known), _letters(known), _ground(known)]
    return _joined(parts, ", ")


def _instruction_in_steps(known: Known) -> str:
    steps = [
        f"Draw {with_article(known.subject)}.",
        f"Write {_listed(_quoted(known))} on it." if known.quoted else "",
        known.ink and f"Use {_letters(known)} on {with_article(_ground(known))}.",
        known.style and f"Keep to {_style(known)}.",
        f"It must be about {_listed(known.themes)}." if known.themes else "",
    ]
    return _joined(steps, " ")


def _fields(known: Known, names: tuple[str, str, str, str, str], between: str) -> str:
    subject, text, colours, style, themes = names
    values = [
        (subject, known.subject),
        (text, ", ".join(_quoted(known))),
        (colours, _joined([_letters(known), _ground(known)], ", ")),
        (style, _style(known)),
        (themes, ", ".join(known.themes)),
    ]
    return between.join(f"{name}: {value}" for name, value in values if value)


def _specification_lines(known: Known) -> str:
    return _fields(known, ("Subject", "Text", "Colours", "Style", "Themes"), "\n")


def _specification_sentence(known: Known) -> str:
    names = ("main subject", "words, spelled exactly", "colours", "requested style", "related ideas")
    return f"Composition: {_fields(known, names, '; ')}."


def _parts_zh(known: Known) -> list[str]:
    """Everything known in Chinese, part by part; a comma keeps one from running into the next."""
    return [
        known.subject,
        f"写着{''.join(_quoted(known))}" if known.quoted else "",
        known.ink and f"{COLOURS_ZH[known.ink]}文字",
        known.paper and f"{COLOURS_ZH[known.paper]}底色",
        known.style and f"{known.style} 风格",
        f"主题：{'、'.join(known.themes)}" if known.themes else "",
    ]


def _sentence_zh(before: str, after: str) -> Form:
    return lambda known: f"{before}{_joined(_parts_zh(known), '，')}{after}"


def _keywords_zh(known: Known) -> str:
    subject, _, ink, paper, style, _ = _parts_zh(known)
    return _joined([subject, *_quoted(known), ink, paper, style, *known.themes], "，")


def _specification_zh(between: str) -> Form:
    def write(known: Known) -> str:
        _, _, ink, paper, style, _ = _parts_zh(known)
        values = [
            ("主体", known.subject),
            ("文字内容", "".join(_quoted(known))),
            ("颜色", _joined([ink, paper], "，")),
            ("风格", style),
            ("相关主题", "、".join(known.themes)),
        ]
        return between.join(f"{name}：{value}" for name, value in values if value)

    return write


_FORMS: dict[Language, dict[PromptStyle, tuple[Form, ...]]] = {
    "en": {
        "keywords": (_keywords, _keywords_style_first),
        "request": (
            _sentence("Could you draw ", "?"),
            _sentence("I'd like an image of ", ", please."),
            _sentence("Hi, can you make me a picture of ", "? Thanks!"),
            _sentence("I need ", ", can you draw it?"),
        ),
        "instruction": (
            _sentence("Draw ", "."),
            _sentence("Create an image of ", "."),
            _sentence("Produce a picture showing ", "."),
            _instruction_in_steps,
        ),
        "specification": (_specification_lines, _specification_sentence),
    },
    "zh": {
        "keywords": (_keywords_zh,),
        "request": (
            _sentence_zh("请帮我画一张图：", "，谢谢！"),
            _sentence_zh("我想要一张图片：", "，可以吗？"),
            _sentence_zh("能不能给我画一幅图：", "？"),
        ),
        "instruction": (
            _sentence_zh("绘制：", "。"),
            _sentence_zh("生成一张图片：", "。"),
            _sentence_zh("请画：", "。"),
        ),
        "specification": (_specification_zh("\n"), _specification_zh("；")),
    },
}
