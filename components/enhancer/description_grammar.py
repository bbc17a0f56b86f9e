"""Structured visual descriptions, from what is known of an image and what its wish asks for; nothing is made up.

A description is the image's long caption, then one sentence for each thing that must not get lost (a number, a colour,
legible words, what is ruled out), then the composition that follows from width and height.
"""

from typing import Literal

from components.data.captioners.metadata import captions_en, captions_zh, cleaned
from components.data.captions import Language, Words
from components.data.records import unit_hash
from components.data.top_down.vocabulary import COLOURS_ZH
from components.enhancer.wish_grammar import Plan

GRAMMAR = "descriptions/1"
Frame = Literal["square", "tall", "wide"]

_SQUARE_RATIO = 1.1
_COMPOSITIONS: dict[Language, dict[Frame, tuple[str, ...]]] = {
    "en": {
        "square": (
            "Square composition: the main subject stands whole in the middle, with equal space on every side "
            "and a plain, balanced layout.",
            "Square composition: the main subject is centred and fills most of the frame, "
            "at the same distance from all four edges.",
        ),
        "tall": (
            "Tall composition: the main subject stands whole in the middle, with space above and below it "
            "and a plain, balanced layout.",
            "Tall composition: the picture is built from top to bottom around the main subject, "
            "with little space to its left and right.",
        ),
        "wide": (
            "Wide composition: the main subject stands whole in the middle, with space to its left and right "
            "and a plain, balanced layout.",
            "Wide composition: the picture is built from left to right around the main subject, "
            "with little space above and below it.",
        ),
    },
    "zh": {
        "square": (
            "方形构图：主体完整地位于画面正中，上下左右四周的留白均匀一致，整体布局简洁而平衡。",
            "方形构图：主体居中并占据画面的大部分，与画面四边的距离大致相等，整体布局简洁而平衡。",
        ),
        "tall": (
            "竖幅构图：主体完整地位于画面正中，上方和下方都留有充足的空间，整体布局简洁而平衡。",
            "竖幅构图：画面自上而下围绕主体依次展开，左右两侧只留少量空间，整体布局简洁而平衡。",
        ),
        "wide": (
            "横幅构图：主体完整地位于画面正中，左侧和右侧都留有充足的空间，整体布局简洁而平衡。",
            "横幅构图：画面自左向右围绕主体依次展开，上下两侧只留少量空间，整体布局简洁而平衡。",
        ),
    },
}


def frame_of(width: int, height: int) -> Frame:
    """The shape of a picture: square up to a ratio of 1.1 between its sides."""
    if max(width, height) <= _SQUARE_RATIO * min(width, height):
        return "square"
    return "tall" if height > width else "wide"


def composition(width: int, height: int, language: Language, place: float) -> str:
    """How a picture of this size is laid out; `place` in [0, 1) chooses the wording."""
    wordings = _COMPOSITIONS[language][frame_of(width, height)]
    return wordings[int(place * len(wordings))]


def describe(plan: Plan, key: str, width: int, height: int, max_keywords: int) -> str:
    """The description of what `plan` asks for, in a picture of this size; `key` chooses the wording."""
    language = plan.known.language
    told = _told_zh(plan) if language == "zh" else _told_en(plan)
    laid_out = composition(width, height, language, unit_hash(key, "composition"))
    parts = [_caption(plan, max_keywords), *told, laid_out]
    return ("" if language == "zh" else " ").join(part for part in parts if part)


def _caption(plan: Plan, max_keywords: int) -> str:
    """The long caption: of whoever looked at the image, else of the templates that caption by metadata."""
    if plan.idea.caption:
        return plan.idea.caption
    known, write = plan.known, captions_zh if plan.known.language == "zh" else captions_en
    tags = list(dict.fromkeys((*known.themes, *plan.idea.keywords)))[:max_keywords]
    words = Words(known.subject, tags, plan.idea.description, known.style, plan.idea.category)
    text = next(caption.text for caption in write(cleaned(words)[0]) if caption.kind == "long")
    # A Chinese subject that is long enough for a sentence is captioned as one, without its style.
    return text if known.style in text else f"{text}画面采用{known.style} 风格。"


def _told_en(plan: Plan) -> list[str]:
    known = plan.known
    quoted = " and ".join(f"“{words}”" for words in known.quoted)
    inked = f" in {known.ink} letters on a {known.paper} ground" if known.ink else ""
    return [
        *(f"There are exactly {thing.count} {thing.noun}." for thing in plan.things if thing.count),
        *(f"The {t.noun} {'are' if t.count else 'is'} {t.colour}." for t in plan.things if t.colour),
        f"It says {quoted}{inked}, spelled exactly so." if quoted else "",
        _ruled_out_en(plan.negation),
    ]


def _ruled_out_en(negation: str) -> str:
    if negation.startswith("no "):
        return f"There {'are' if negation.endswith(('s', 'people')) else 'is'} {negation}."
    return f"The picture is {negation}." if negation else ""


def _told_zh(plan: Plan) -> list[str]:
    known = plan.known
    quoted = "".join(f"“{words}”" for words in known.quoted)
    inked = f"，{COLOURS_ZH[known.ink]}文字，{COLOURS_ZH[known.paper]}底色" if known.ink else ""
    return [
        *(f"画面中正好有{thing.count}{thing.noun}。" for thing in plan.things if thing.count),
        *(f"{thing.noun}的颜色是{thing.colour}。" for thing in plan.things if thing.colour),
        f"上面写着{quoted}{inked}，一字不差。" if quoted else "",
        f"画面中{plan.negation}。" if plan.negation else "",
    ]
