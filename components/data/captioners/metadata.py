"""Captioner `metadata`: the words that people wrote (titles, tags, descriptions), joined with style and category.

The words are those that came with the image, the letters read in it, and its place in the category tree; the templates
that join them are ours and add no fact. An image without words is captioned by its category and its letters, if any.
"""

import json
from collections.abc import Callable, Sequence

from components.data.captioners.interface import Made, Sample
from components.data.captions import (
    Caption,
    Language,
    Words,
    WordsReason,
    WordsRefusedError,
    clean_title,
    clean_words,
    cut_words,
    kept_tags,
    with_article,
)

MAKER = "metadata/1"
_MAX_TOLD_CHARS = 200
_MAX_LONG_CHARS = 1000
_SENTENCE_WORDS, _SENTENCE_CHARS = 8, 16
_CATEGORY_ZH = {
    "smileys": "表情",
    "animals": "动物与自然",
    "food": "食物",
    "travel": "旅行与地点",
    "activities": "活动",
    "objects": "物品",
    "symbols": "符号",
}


class MetadataCaptioner:
    """Captions from words alone; knows nothing of pixels."""

    maker = MAKER

    def __init__(self, languages: Sequence[Language]) -> None:
        self._languages = languages

    def caption(self, samples: Sequence[Sample]) -> list[Made]:
        """All kinds in every language that `samples` have words in."""
        return [self._caption(sample) for sample in samples]

    def _caption(self, sample: Sample) -> Made:
        captions: list[Caption] = []
        refused: list[WordsReason] = []
        for language in self._languages:
            words, why = cleaned(sample.words[language])
            refused += why
            if words.title:
                captions += captions_en(words) if language == "en" else captions_zh(words)
            elif language == self._languages[0]:
                captions += captions_without_words(words, language)
        return Made(captions, refused)


def cleaned(words: Words) -> tuple[Words, list[WordsReason]]:
    """`words` fit for the templates, and why others were left out.

    A tag, or the beginning of the description, stands in for an unusable title; a title that is too long for one is a
    description, if there is no other.
    """
    tags, refused = kept_tags(words.tags)
    title, why_title = _tried(words.title, clean_title)
    description, why_description = _tried(words.description, clean_words)
    if title and not description:
        whole, _ = _tried(words.title, clean_words)
        description = whole if len(whole) > len(title) and whole.lower().startswith(title.lower()) else ""
    title = title or next(iter(tags), "") or _tried(description, clean_title)[0]
    kept = Words(title, tags, description, words.style, words.category, words.visible_text)
    return kept, [*why_title, *refused, *why_description]


def captions_en(words: Words) -> list[Caption]:
    """Every kind in English, from `cleaned` words with a title."""
    thing, others = with_article(words.title), _others(words)
    style = f"{words.style} style" if words.style else ""
    text = f'with the text "{words.visible_text}"' if words.visible_text else ""
    drawn = " ".join(part for part in (f"drawn in {style}" if style else "", text) if part)
    own, told = _own_sentence(words)
    if own:
        first = _capital(", ".join(part for part in (cut_words(own.rstrip(". "), _MAX_TOLD_CHARS), drawn) if part))
        about = first
    else:
        first = f"A picture of {thing}{' ' if drawn else ''}{drawn}"
        about = f"{first}, {words.category}" if words.category else first
    few = f", with {', '.join(others[:3])}" if others and not own else ""
    end = f": {cut_words(told.rstrip('. '), _MAX_TOLD_CHARS)}" if told else few
    sentences = [_sentence(_capital(own)), f"A picture {drawn}." if drawn else ""] if own else [f"{first}."]
    sentences += [f"Category: {words.category}." if words.category else ""]
    sentences += [f"Keywords: {', '.join(others)}." if others else "", _sentence(told)]
    return [
        Caption("tags", "en", ", ".join(part for part in (words.title, *others, style, words.category) if part)),
        Caption("short", "en", ", ".join(part for part in (thing, style) if part)),
        Caption("sentence", "en", f"{about}{end}."),
        Caption("long", "en", cut_words(" ".join(part for part in sentences if part), _MAX_LONG_CHARS)),
        Caption("structured", "en", structured(words, "en")),
    ]


def captions_zh(words: Words) -> list[Caption]:
    """Every kind in Chinese, from `cleaned` words with a title."""
    category, others = _CATEGORY_ZH.get(words.category, words.category), _others(words)
    style = f"{words.style} 风格" if words.style else ""
    own = words.description or (words.title if len(words.title) >= _SENTENCE_CHARS else "")
    first = own.rstrip("。") or (f"一幅{style}的{words.title}图画" if style else f"一幅{words.title}图画")
    text = f"，上面有文字“{words.visible_text}”" if words.visible_text else ""
    about = f"，{'、'.join(others[:3])}" if others else ""
    sentences = [f"{first}{text}。", f"类别：{category}。" if category else ""]
    sentences += [f"关键词：{'、'.join(others)}。" if others else ""]
    return [
        Caption("tags", "zh", "，".join(part for part in (words.title, *others, style, category) if part)),
        Caption("short", "zh", "，".join(part for part in (words.title, style) if part)),
        Caption("sentence", "zh", f"{first}{text}{f'，{category}' if category else ''}{about}。"),
        Caption("long", "zh", cut_words("".join(sentences), _MAX_LONG_CHARS)),
        Caption("structured", "zh", structured(words, "zh")),
    ]


def captions_without_words(words: Words, language: Language) -> list[Caption]:
    """A short and a structured caption from category and visible text; none where neither is known."""
    if not words.category and not words.visible_text:
        return []
    category = words.category if language == "en" else _CATEGORY_ZH.get(words.category, words.category)
    quoted = {"en": f'with the text "{words.visible_text}"', "zh": f"有文字“{words.visible_text}”"}[language]
    parts = (category or {"en": "a picture", "zh": "图画"}[language], quoted if words.visible_text else "")
    short = {"en": ", ", "zh": "，"}[language].join(part for part in parts if part)
    return [Caption("short", language, short), Caption("structured", language, structured(words, language))]


def structured(words: Words, language: Language) -> str:
    """Canonical JSON with the keys attributes, category, language, style, subject and text, in this order."""
    facts = {
        "attributes": _others(words),
        "category": words.category,
        "language": language,
        "style": words.style,
        "subject": words.title,
        "text": words.visible_text,
    }
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _own_sentence(words: Words) -> tuple[str, str]:
    """What people wrote that is a sentence already, as the description that begins with the title is; and the rest."""
    is_more = words.description.lower().startswith(words.title.lower())
    own = words.description if is_more else words.title
    rest = "" if is_more and own.lower() == words.title.lower() else words.description
    if len(own.split()) < _SENTENCE_WORDS:
        return "", rest
    return own, "" if is_more else rest


def _others(words: Words) -> list[str]:
    return [tag for tag in words.tags if tag != words.title.lower()]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return text and (text if text.endswith((".", "!", "?", "。")) else f"{text}.")


def _tried(text: str, clean: Callable[[str], str]) -> tuple[str, list[WordsReason]]:
    try:
        return clean(text), []
    except WordsRefusedError as error:
        return "", [error.reason] if error.reason != "empty" else []
