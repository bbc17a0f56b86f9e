"""What a Chinese description lost of a Chinese wish, apart from quoted text.

Chinese has no spaces and no list of words would do: things are compared by the longest pieces that both texts share.
Only counts with a measure word, colours with 色, and negations are known by their form, and taken out one after the
other; what they belong to is the next word, up to a particle.
"""

import re
from collections.abc import Iterable

from components.data.top_down.vocabulary import COLOURS_ZH, FRAME_ZH

_RUN = re.compile(r"[\u3400-\u9fff]+")
_NAME = re.compile(r"[^\W_\u3400-\u9fff]+(?:['’.-][^\W_\u3400-\u9fff]+)*")
_REQUEST = re.compile(
    "能不能|可不可以|我想要|我需要|帮我|给我|我要|想要|需要|可以|谢谢|请|一[张幅](?:图片|图像|图画|照片|图(?![表案书纸]))"
)
_OBJECTS = re.compile("|".join(word for word in FRAME_ZH if len(word) > 1))
_PARTICLES = re.compile("[放坐站躺趴挂停]在|[的了着过吗呢吧啊呀地得和与及或跟在是有被把为并很]")
_PLACES = "上下里中内外旁边前后间"
_AHEAD = r"(?=([^，。；：！？\n]{0,16}))"

_COLOURS = "".join(name[0] for name in COLOURS_ZH.values()) + "青褐"
_DENIED = re.compile(
    "(?:没有|不要|不带|不含|不戴|不穿|不出现|不能有|不得有|不画|别画|别有|没)(?:任何|出现|画|有|带)*"
    f"(?P<many>(?:[{_COLOURS}]色的)?(?:(?!的)[\u3400-\u9fff、])+)"
    "|无(?:任何)?(?!人机|花果|尾熊|线|限|语|聊|感)(?P<one>(?:(?!的)[\u3400-\u9fff])+)"
)
_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_MEASURES = "个只条张朵辆座棵颗位名本件匹头艘架间栋块支枝根把片群对双杯碗盏台部副幅枚粒串束滴道扇"
_EXACTLY = "正好有?|恰好有?|只有|仅有?|一?共有"
_COUNT = re.compile(rf"({_EXACTLY})?(?<![第\d{''.join(_DIGITS)}十])([{''.join(_DIGITS)}十]+|\d+)[{_MEASURES}]{_AHEAD}")
_COLOUR = re.compile(f"([{_COLOURS}])色的?{_AHEAD}")
_COLOUR_MARK = re.compile(f"(?<=[{_COLOURS}])(?:色的|色|的)")


def lost_in_chinese(wish: str, description: str) -> list[str]:
    """What of the wish's negations, counts, colours and things the description lost or contradicts."""
    asked, told = _REQUEST.sub("，", wish), _COLOUR_MARK.sub("", description)
    denied = list(_DENIED.finditer(asked))
    asked = _DENIED.sub("，", asked)
    counts = [(_value(number), _head(after)) for _, number, after in _COUNT.findall(asked)]
    asked = _COUNT.sub("，", asked)
    colours = [(colour, _head(after)) for colour, after in _COLOUR.findall(asked)]
    asked = _COLOUR.sub("，", asked)
    added = sorted(_denials(description) - set(map(_denied, denied)))
    return [
        *(f"negation: {found[0]}" for found in denied if not _denies(description, found)),
        *_lost_counts(counts, description),
        *_lost_colours(colours, told),
        *(f"thing: {piece}" for piece in dict.fromkeys(_lost_things(_COLOUR_MARK.sub("", asked), told))),
        *(f"thing: {thing}" for thing in added if thing in asked),
    ]


def _value(number: str) -> int:
    """The value of a number to 99 in Chinese, or of any in digits: 十二 is 12, 两 is 2."""
    if number.isdecimal():
        return int(number)
    tens, ten, ones = number.rpartition("十")
    value = int("".join(str(_DIGITS[char]) for char in ones if char in _DIGITS) or 0)
    return value + 10 * (_DIGITS.get(tens, 1) if ten else 0)


def _head(after: str) -> str:
    """The word that a count or colour before `after` belongs to; "" where a particle follows."""
    return re.split("[了着和与及或跟在是有被把为、 ]", _COLOUR.sub("", after), maxsplit=1)[0].split("的")[-1]


def _denies(description: str, found: re.Match[str]) -> bool:
    """Whether the description says the negation as it stands, or denies each of its things in some clause."""
    things = [thing for thing in re.split("[、和或与及的]", _denied(found)) if thing]
    said = [_denied(denial) for denial in _DENIED.finditer(description)]
    return found[0] in description or all(any(thing in words for words in said) for thing in things)


def _denials(text: str) -> set[str]:
    """Words that `text` rules out, of two characters or more: one alone stands in too many words."""
    return {words for words in map(_denied, _DENIED.finditer(text)) if len(words) > 1}


def _denied(found: re.Match[str]) -> str:
    return found["many"] or found["one"]


def _lost_counts(asked: list[tuple[int, str]], description: str) -> Iterable[str]:
    """Counts that are not told of their thing, or told otherwise. 一 is an article and only must not be more.

    A smaller number may be of some of them, unless it is told to be exact.
    """
    told = [(_value(number), _head(after), bool(exact)) for exact, number, after in _COUNT.findall(description)]
    for value, head in asked:
        about = [(other, is_exact) for other, of, is_exact in told if not head or _is_same(head, of)]
        is_told = value == 1 or any(other == value for other, _ in about)
        meant = {other for other, of in asked if of == head}
        against = sorted({other for other, is_exact in about if other not in meant and (is_exact or other > value)})
        if not is_told or (head and against):
            yield f"count: {value} {head}".strip() + (f" (told {against[0]})" if head and against else "")


def _is_same(head: str, other: str) -> bool:
    return bool(other) and (head[0] in other or head[-1] in other)


def _lost_colours(asked: list[tuple[str, str]], told: str) -> Iterable[str]:
    """Colours that are not told of their thing, or told otherwise; `told` has bare colours, as in 红苹果."""
    for colour, head in asked:
        ends = re.escape(f"{head[:1]}{head[-1:]}")
        is_told = (
            colour in told
            if not head
            else re.search(f"{colour}[^，。；！？、\\n]{{0,4}}?[{ends}]|{re.escape(head)}[是为呈显]+{colour}", told)
        )
        meant = {other for other, of in asked if of == head}
        others = {other for other in re.findall(f"([{_COLOURS}])(?={re.escape(head)})", told)} if head else set[str]()
        against = sorted(others - meant)
        if not is_told or against:
            yield f"colour: {colour}色{head}" + (f" (told {against[0]}色)" if against else "")


def _lost_things(asked: str, told: str) -> Iterable[str]:
    """Names in Latin letters, and pieces of Chinese words, that `told` does not have."""
    lowered = told.lower()
    yield from (name for name in _NAME.findall(asked) if name.lower() not in lowered)
    for run in _RUN.findall(_PARTICLES.sub("，", _OBJECTS.sub("，", asked))):
        word = run.lstrip("画来")
        if word and word not in FRAME_ZH and not _is_covered(word, told):
            yield word


def _is_covered(word: str, told: str) -> bool:
    """Whether `word` consists of pieces of `told`: single characters only between longer ones, and never colours.

    A place after a thing (桌子上) is no piece of its own.
    """
    at, in_pieces, alone = 0, 0, 0
    while at < len(word):
        size = next((size for size in range(len(word) - at, 0, -1) if word[at : at + size] in told), 0)
        if size > 1 or size == len(word):
            in_pieces += size
        elif not (at and word[at] in _PLACES):
            if not size or word[at] in _COLOURS:
                return False
            alone += 1
        at += max(size, 1)
    return alone <= in_pieces
