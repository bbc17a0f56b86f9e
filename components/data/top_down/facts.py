"""What a prompt states of an image, extracted by fixed rules, and compared with what its metadata say.

A rewritten prompt may change words but no fact. Facts are: the subject (its words, verbatim and in order), the words
that must be legible (in quotes), the style, colours and numbers with the word they belong to, negations with theirs,
and every other thing named, where a thing is a word that the pool's titles and tags use. Words outside of that list
("please", "lovely") state nothing here. Two prompts with equal facts may still differ in tone, never in content.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise

from components.data.captions import Language
from components.data.top_down.vocabulary import (
    COLOURS_EN,
    COLOURS_ZH,
    FRAME_EN,
    FRAME_ZH,
    GENERAL_STYLES,
    NEGATIONS_EN,
    NEGATIONS_ZH,
    NUMBERS_EN,
    NUMBERS_ZH,
)

_QUOTED = re.compile(r"“([^”]*)”|\"([^\"]*)\"|「([^」]*)」")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_CJK = re.compile(r"[\u3400-\u9fff]+")
_BREAK = "\n"
_COLOUR_CHARS = "".join(name[0] for name in COLOURS_ZH.values())
_COLOURED_ZH = re.compile(f"([{_COLOUR_CHARS}])色?的?(文字|底色|背景)")


@dataclass(frozen=True)
class Known:
    """What the metadata say of one image in one language; only this may be told, and all of it.

    Args:
        subject: what is shown, as a phrase.
        style: the style's name, "" where none is told.
        themes: tags that go beyond the subject.
        quoted: the words to be legible, from top to bottom.
        ink: the letters' colour, "" without letters.
        paper: the colour behind them, "" without letters.
        language: of the prompts made from it.
    """

    subject: str
    style: str
    themes: tuple[str, ...]
    quoted: tuple[str, ...]
    ink: str
    paper: str
    language: Language


@dataclass(frozen=True)
class Facts:
    """What a text states; equal facts are equal content."""

    quoted: tuple[str, ...]
    styles: frozenset[str]
    colours: frozenset[tuple[str, str]]
    numbers: frozenset[tuple[str, str]]
    negations: frozenset[tuple[str, str]]
    things: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    """The words by which facts are recognised: what the pool's titles and tags name, and its styles."""

    things: frozenset[str]
    styles: tuple[str, ...]

    @classmethod
    def of(cls, phrases: Iterable[str], styles: Iterable[str]) -> "Lexicon":
        """The lexicon of a pool: `phrases` are all its titles and tags, in whatever languages."""
        things = set[str]()
        for phrase in phrases:
            things.update(map(stem, _WORD.findall(_CJK.sub(" ", phrase.lower()))))
            things.update(_CJK.findall(phrase))
        return cls(frozenset(things), tuple(sorted({*styles, *GENERAL_STYLES} - {""}, key=lambda s: (-len(s), s))))

    @cached_property
    def longest_zh(self) -> int:
        """Characters of the longest Chinese word."""
        return max((len(thing) for thing in self.things if _CJK.fullmatch(thing)), default=0)


def stem(word: str) -> str:
    """A word without the plural's s, so that "cats" and "cat" are one thing."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def quoted_in(text: str) -> tuple[str, ...]:
    """The words that `text` puts in quotation marks: those to be legible."""
    return tuple(next(filter(None, found), "") for found in _QUOTED.findall(text))


def facts_of(text: str, lexicon: Lexicon) -> Facts:
    """The facts that `text` states."""
    rest, styles = _take_styles(_QUOTED.sub(_BREAK, text), lexicon.styles)
    rest = rest.lower()
    english, chinese = _facts_en(_CJK.sub(_BREAK, rest), lexicon), _facts_zh(rest, lexicon)
    bound = [frozenset(a) | frozenset(b) for a, b in zip(english, chinese, strict=True)]
    colours, numbers, negations, things = bound
    named = frozenset(thing for thing, _ in things)
    return Facts(quoted_in(text), frozenset(styles), colours, numbers, negations, named)


def facts_known(known: Known, lexicon: Lexicon) -> Facts:
    """The facts that the metadata state: each field by itself, so that no fact spans two of them."""
    parts = [known.subject, *known.themes, *_coloured(known)]
    told = [facts_of(part, lexicon) for part in parts]
    merged = {
        field.name: frozenset().union(*(getattr(one, field.name) for one in told))
        for field in fields(Facts)
        if field.name != "quoted"
    }
    inner = tuple(words for one in told for words in one.quoted)
    styles = merged.pop("styles") | ({known.style.lower()} if known.style else set[str]())
    return Facts((*inner, *known.quoted), styles, **merged)


def differences(text: str, known: Known, lexicon: Lexicon) -> tuple[str, ...]:
    """What `text` adds to the known facts or loses of them, one phrase each; empty if nothing."""
    told, wanted = facts_of(text, lexicon), facts_known(known, lexicon)
    found = [] if _holds(text, known.subject) else [f"lost the subject {known.subject!r}"]
    if told.quoted != wanted.quoted:
        found.append(f"says {list(told.quoted)} for the words {list(wanted.quoted)}")
    for name in ("styles", "colours", "numbers", "negations", "things"):
        has, needs = getattr(told, name), getattr(wanted, name)
        found += [f"added {name}: {_said(fact)}" for fact in sorted(has - needs)]
        found += [f"lost {name}: {_said(fact)}" for fact in sorted(needs - has)]
    return tuple(found)


def _coloured(known: Known) -> list[str]:
    if not known.ink:
        return []
    if known.language == "zh":
        return [f"{COLOURS_ZH[known.ink]}文字", f"{COLOURS_ZH[known.paper]}底色"]
    return [f"{known.ink} letters", f"{known.paper} ground"]


def _said(fact: str | tuple[str, str]) -> str:
    return fact if isinstance(fact, str) else " ".join(fact).strip()


def _holds(text: str, phrase: str) -> bool:
    return " ".join(phrase.lower().split()) in " ".join(text.lower().split())


def _take_styles(text: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """`text` without the style names in it, and which they were; a pool's own style counts before the word "style"."""
    found: list[str] = []
    lowered = text.lower()
    for name in names:
        if name.lower() not in lowered:
            continue
        after = "" if name in GENERAL_STYLES else r"(?=\s*(?:style|风格))"
        edge = (r"(?<![^\W_])", r"(?![^\W_])") if name.isascii() else ("", "")
        text, count = re.subn(f"{edge[0]}{re.escape(name)}{edge[1]}{after}", _BREAK, text, flags=re.IGNORECASE)
        found += [name.lower()] if count else []
    return text, found


Bound = list[tuple[str, str]]


def _facts_en(text: str, lexicon: Lexicon) -> tuple[Bound, Bound, Bound, Bound]:
    colours, numbers, negations, things = (list[tuple[str, str]]() for _ in range(4))
    for segment in re.split(r"[^\w\s'’-]|\n", text):
        words = [word.replace("’", "'") for word in _WORD.findall(segment)]
        for word, following in pairwise([*words, ""]):
            target = stem(following) if _is_target(following) else ""
            if word in COLOURS_EN:
                colours.append((word, target))
            elif word in NUMBERS_EN or word[0].isdigit():
                numbers.append((word, target))
            elif word in NEGATIONS_EN:
                negations.append((word, target))
            elif word not in FRAME_EN and stem(word) in lexicon.things:
                things.append((stem(word), ""))
    return colours, numbers, negations, things


_LETTERING_WORDS = frozenset(("letters", "lettering", "ground", "background"))


def _is_target(word: str) -> bool:
    """Whether a colour or a number before `word` belongs to it: words of the frame own nothing, letters do."""
    return bool(word) and (word not in FRAME_EN or word in _LETTERING_WORDS)


def _facts_zh(text: str, lexicon: Lexicon) -> tuple[Bound, Bound, Bound, Bound]:
    colours, numbers, negations, things = (list[tuple[str, str]]() for _ in range(4))
    for colour, what in _COLOURED_ZH.findall(text):
        colours.append((colour, what))
    text = _COLOURED_ZH.sub(_BREAK, text)
    for run in _CJK.findall(text):
        for segment in _segments_zh(run, lexicon):
            colours += [(char, segment) for char in _COLOUR_CHARS if char in segment]
            numbers += [(char, segment) for char in NUMBERS_ZH if char in segment]
            negations += [(word, segment) for word in NEGATIONS_ZH if word in segment]
            things += [(segment, "")] if segment in lexicon.things else []
    return colours, numbers, negations, things


def _segments_zh(run: str, lexicon: Lexicon) -> list[str]:
    """A run of Chinese cut by longest match into known things, frame words, and what lies between."""
    segments, between, at = list[str](), "", 0
    while at < len(run):
        longest = next(
            (
                run[at : at + size]
                for size in range(min(lexicon.longest_zh, len(run) - at), 0, -1)
                if run[at : at + size] in lexicon.things
            ),
            "",
        )
        frame = next((word for word in FRAME_ZH if run.startswith(word, at)), "")
        word = frame if len(frame) > len(longest) else longest
        if not word:
            between, at = between + run[at], at + 1
            continue
        segments += [between] if between else []
        segments += [word] if word == longest and word not in FRAME_ZH else []
        between, at = "", at + len(word)
    return [*segments, between] if between else segments
