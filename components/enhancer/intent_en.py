"""What an English description lost of an English wish, apart from quoted text.

Clauses end at punctuation. A count or a colour belongs to the words after it, up to the next function word ("two red
apples on a table"), or to the one before a copula ("the apples are red").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from components.data.top_down.vocabulary import COLOURS_EN, FRAME_EN, NEGATIONS_EN

Bound = tuple[str, tuple[str, ...]]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLAUSE_END = re.compile(r"[.,;:!?()\[\]{}|/\n—]+")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_CJK = re.compile(r"[\u3400-\u9fff]+")
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_VALUES = {word: str(value) for value, word in enumerate(_NUMBERS)} | {"dozen": "12", "twenty": "20", "thirty": "30"}
_COLOURS = {word: word for word in COLOURS_EN} | {"gray": "grey", "gold": "golden", "teal": "teal", "navy": "navy"}
_NEGATIONS = NEGATIONS_EN | _words("nor aren't can't shouldn't mustn't won't")
_ARTICLES = _words("a an the any single this that these those its their his her my your some")
_FUNCTION = _ARTICLES | _words(
    "of in on at to for with and or but is are was were be being been by from into onto near under over behind above "
    "below between beside next inside outside through across around about against along among as like while who "
    "which it he she they i we you very too also than then so if where when there"
)
_COPULAS = _words("is are was were in of be being painted coloured colored all both entirely mostly bright deep dark")
_EXACTLY = (["exactly"], ["only"], ["just"])
_UNWANTED_VERBS = _words("add include show showing have has draw put use contain write be visible")
_SAYS_NOTHING = _FUNCTION | _words(
    "please could would can will want wanted need like love give get see something anything everything thing stuff "
    "beautiful nice lovely great awesome amazing best really just kindly hey dear called named titled labelled"
)
_OWNS_NOTHING = _FUNCTION | FRAME_EN - _words("letter letters lettering ground background text words")
_IRREGULAR = {
    **{"men": "man", "women": "woman", "children": "child", "people": "person", "mice": "mouse", "feet": "foot"},
    **{"teeth": "tooth", "geese": "goose", "leaves": "leaf", "wolves": "wolf", "knives": "knife", "wives": "wife"},
}


@dataclass(frozen=True)
class Stated:
    """What a text states: counts and colours with the words they belong to, denied words, and all the others."""

    clauses: list[list[str]]
    counts: list[Bound] = field(default_factory=list[Bound])
    exact: list[Bound] = field(default_factory=list[Bound])  # of the counts
    colours: list[Bound] = field(default_factory=list[Bound])
    denied: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    words: dict[str, str] = field(default_factory=dict[str, str])  # as written, by their roots


def lost_in_english(wish: str, description: str) -> list[str]:
    """What of the wish's negations, counts, colours and things the description lost or contradicts."""
    asked, told = read(wish), read(description)
    names = [run for run in dict.fromkeys(_CJK.findall(wish)) if run not in description]
    # What the wish rules out is none of its things; what only the description rules out is lost.
    missing = {root_of(words[0]) for words in told.denied if len(words) == 1 and words not in asked.denied}
    things = [
        word
        for root, word in asked.words.items()
        if (root not in told.words or root in missing) and not _is_empty(word)
    ]
    counts = (_lost_bound(bound, asked.counts, told.counts, asked, told) for bound in asked.counts)
    colours = (_lost_bound(bound, asked.colours, told.colours, asked, told) for bound in asked.colours)
    return [
        *(f"negation: no {' '.join(words)}" for words in asked.denied if not _denies(told, words)),
        *(f"count: {fault}" for fault in counts if fault),
        *(f"colour: {fault}" for fault in colours if fault),
        *(f"thing: {word}" for word in [*things, *names]),
    ]


def read(text: str) -> Stated:
    """What an English text states, clause by clause."""
    lowered = _CJK.sub(" ", text.lower().replace("’", "'"))
    stated = Stated([_WORD.findall(clause) for clause in _CLAUSE_END.split(lowered)])
    for clause in stated.clauses:
        _read_clause(clause, stated)
    return stated


def root_of(word: str) -> str:
    """A word without its endings, so that "berries", "running" and "painted" meet "berry", "runs" and "paint".

    The e of "riding" cannot be told, so that words that differ by a last e only are one: "plan" and "plane".
    """
    word = _without_plural(_IRREGULAR.get(word, word).removesuffix("'s"))
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) > 2 and re.search("[aeiouy]", root):
            is_doubled = root[-1] == root[-2] and root[-1] not in "lsz"
            word = root[:-1] if is_doubled else root
            break
    return word.removesuffix("e") if len(word) > 2 else word


def _without_plural(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _read_clause(clause: list[str], stated: Stated) -> None:
    at = 0
    while at < len(clause):
        word, rest = clause[at], clause[at + 1 :]
        at += 1
        if word in _NEGATIONS:
            skipped, denied = _scope(rest)
            stated.denied.extend([tuple(denied)] if denied else [])
            at += skipped + len(denied)
        elif value := _value(word):
            stated.counts.append((value, _owners(rest)))
            stated.exact.extend(stated.counts[-1:] if clause[at - 2 : at - 1] in _EXACTLY else [])
        elif word in _COLOURS:
            stated.colours.append((_COLOURS[word], (*_owner_before(clause[: at - 1]), *_owners(rest))))
        else:
            stated.words.setdefault(root_of(word), word)


def _value(word: str) -> str:
    return str(int(word)) if word.isdecimal() else _VALUES.get(word, "")


def _is_empty(word: str) -> bool:
    return word in FRAME_EN or word in _SAYS_NOTHING


def _scope(rest: Sequence[str]) -> tuple[int, list[str]]:
    """How many words after a negation only lead to what is denied, and what is denied."""
    skipped = len(list(takewhile(lambda word: word in _ARTICLES or word in _UNWANTED_VERBS, rest)))
    return skipped, list(takewhile(lambda word: word not in _FUNCTION or word == "or", rest[skipped:]))


def _owners(rest: Sequence[str]) -> tuple[str, ...]:
    """The roots of the words that a count or colour before `rest` belongs to: "and white stripes" is about stripes."""
    at, owners = 0, list[str]()
    while at < len(rest):
        word = rest[at]
        joins = word == "and" and not owners and rest[at + 1 : at + 2] and rest[at + 1] in _COLOURS
        if word in _OWNS_NOTHING and not joins:
            break
        if not joins and word not in _COLOURS and not _value(word):
            owners.append(root_of(word))
        at += 1
    return tuple(owners)


def _owner_before(words: Sequence[str]) -> tuple[str, ...]:
    """The root of the thing that a colour after `words` belongs to, as in "the apples are"; nothing without such."""
    being = list(takewhile(lambda word: word in _COPULAS, reversed(words)))
    thing = words[len(words) - len(being) - 1 :][:1] if len(being) < len(words) else []
    return tuple(map(root_of, thing)) if being and thing[:1] and thing[0] not in _OWNS_NOTHING else ()


def _denies(told: Stated, words: Sequence[str]) -> bool:
    """Whether a negation in `told` reaches all of `words` in its clause."""
    wanted = {root_of(word) for word in words if word not in _FUNCTION}
    for clause in told.clauses:
        first = next((at for at, word in enumerate(clause) if word in _NEGATIONS), len(clause))
        if wanted <= {root_of(word) for word in clause[first + 1 :]}:
            return True
    return False


def _lost_bound(bound: Bound, asked: Sequence[Bound], told: Sequence[Bound], wish: Stated, said: Stated) -> str:
    """`bound`, one of `asked` in the wish, in words if what was `told` lost or contradicts it, else ""."""
    name, owners = bound
    phrase = " ".join((name, *(wish.words.get(owner, owner) for owner in owners)))
    if not owners:
        return "" if any(name == other for other, _ in told) else phrase
    about = [other for other, of in told if set(owners) & set(of)]
    is_told = name == "1" or name in about
    meant = {other for other, of in asked if owners[-1] in of}
    others = ((other, of) for other, of in told if owners[-1] in of and other not in meant)
    against = next((other for other, of in others if (other, of) in said.exact or not _is_part(other, name)), "")
    if against:
        return f"{phrase} (told {against})"
    return "" if is_told else phrase


def _is_part(other: str, name: str) -> bool:
    """Whether a smaller number may be of some of them: "five balloons, two balloons red"."""
    return name.isdecimal() and int(other) < int(name)
