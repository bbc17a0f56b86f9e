"""Join of emoji drawings (iconify JSON) with their words (emojibase JSON): pure functions on parsed JSON.

A concept is one emoji with its Unicode group; its key is the hexcode in lower case without variation selectors (fe0f)
and without leading zeros, as iconify writes it. A style is one icon set. Within a style one picture belongs to one
concept: aliases that would give a concept another concept's own picture are refused (the insect "cricket" is not the
cricket game).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CATEGORY_OF_GROUP: Mapping[int, str] = {
    0: "smileys",
    3: "animals",
    4: "food",
    5: "travel",
    6: "activities",
    7: "objects",
    8: "symbols",
}
"""The seven embedded groups of emojibase; people (1), components (2) and flags (9) are left out."""

COMPONENT_GROUP = 2
_MAX_ALIAS_DEPTH = 8


@dataclass(frozen=True)
class Concept:
    """One emoji with its words; `category` is None for the groups that are not embedded."""

    key: str
    order: int
    label_en: str
    label_zh: str | None
    tags_en: tuple[str, ...]
    tags_zh: tuple[str, ...]
    group: int
    subcategory: str

    @property
    def category(self) -> str | None:
        """Our category name of the concept's group."""
        return CATEGORY_OF_GROUP.get(self.group)


@dataclass(frozen=True)
class Icon:
    """One drawing: an SVG fragment, its view box, and how it is mirrored and turned (in clockwise quarters)."""

    name: str
    body: str
    left: float
    top: float
    width: float
    height: float
    rotate: int = 0
    h_flip: bool = False
    v_flip: bool = False

    @property
    def picture(self) -> tuple[str, int, bool, bool]:
        """What makes two icons the same picture."""
        return (self.name, self.rotate, self.h_flip, self.v_flip)


def concept_key(hexcode: str) -> str:
    """The hexcode's code points in lower case, without fe0f and leading zeros, joined by '-'."""
    points = [format(int(part, 16), "x") for part in hexcode.split("-")]
    return "-".join(point for point in points if point != "fe0f")


def slug(label: str) -> str:
    """The label as an iconify icon name: ASCII lower-case words joined by '-'."""
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower().replace("'", "")).strip("-")


def read_concepts(
    english: Sequence[Mapping[str, Any]], chinese: Sequence[Mapping[str, Any]], subgroups: Mapping[str, str]
) -> tuple[Concept, ...]:
    """All emoji that have a group other than components, in Unicode's order; `subgroups` maps number to key."""
    in_chinese = {concept_key(entry["hexcode"]): entry for entry in chinese}
    concepts = [
        _concept(entry, in_chinese.get(concept_key(entry["hexcode"]), {}), subgroups)
        for entry in english
        if entry.get("group", COMPONENT_GROUP) != COMPONENT_GROUP
    ]
    return tuple(sorted(concepts, key=lambda concept: concept.order))


def _concept(entry: Mapping[str, Any], chinese: Mapping[str, Any], subgroups: Mapping[str, str]) -> Concept:
    return Concept(
        key=concept_key(entry["hexcode"]),
        order=entry["order"],
        label_en=entry["label"],
        label_zh=chinese.get("label"),
        tags_en=tuple(entry.get("tags", ())),
        tags_zh=tuple(chinese.get("tags", ())),
        group=entry["group"],
        subcategory=subgroups[str(entry["subgroup"])],
    )


def resolve_icon(icon_set: Mapping[str, Any], name: str) -> Icon | None:
    """The drawing that `name` stands for, aliases followed and their turns and mirrors added up; None if unknown.

    An alias's mirror undoes its parent's and quarter turns add up (iconify's own rule). A chain longer than 8 is a
    loop: ValueError.
    """
    rotate, h_flip, v_flip = 0, False, False
    link = name
    for _ in range(_MAX_ALIAS_DEPTH):
        entry = icon_set["icons"].get(link) or icon_set.get("aliases", {}).get(link)
        if entry is None:
            return None
        rotate = (rotate + entry.get("rotate", 0)) % 4
        h_flip ^= bool(entry.get("hFlip", False))
        v_flip ^= bool(entry.get("vFlip", False))
        if "body" in entry:
            size = {field: _size(icon_set, entry, field) for field in ("left", "top", "width", "height")}
            return Icon(name=link, body=entry["body"], rotate=rotate, h_flip=h_flip, v_flip=v_flip, **size)
        link = entry["parent"]
    prefix = icon_set.get("prefix")
    raise ValueError(f"alias {name!r} of icon set {prefix!r} leads to no icon within {_MAX_ALIAS_DEPTH} links")


def _size(icon_set: Mapping[str, Any], entry: Mapping[str, Any], field: str) -> float:
    default = 16 if field in ("width", "height") else 0  # iconify's defaults
    return float(entry.get(field, icon_set.get(field, default)))


def icon_names(chars: Mapping[str, str]) -> dict[str, str]:
    """`chars.json` with keys normalised as `concept_key` does."""
    return {concept_key(points): name for points, name in chars.items()}


def candidate_names(
    concept: Concept, own_chars: Mapping[str, str], other_chars: Iterable[Mapping[str, str]]
) -> tuple[str, ...]:
    """Icon names to try, in order: the set's own code-point table if it has one, else the other tables, then the label.

    Tables must be keyed by `concept_key`. A set with a table of its own never falls back on names: a missing emoji is
    missing.
    """
    if own_chars:
        return (own_chars[concept.key],) if concept.key in own_chars else ()
    by_table = [chars[concept.key] for chars in other_chars if concept.key in chars]
    return tuple(dict.fromkeys([*by_table, slug(concept.label_en)]))


def join_style(
    concepts: Sequence[Concept],
    icon_set: Mapping[str, Any],
    own_chars: Mapping[str, str],
    other_chars: Sequence[Mapping[str, str]],
) -> dict[str, Icon]:
    """The icon of every concept that has one in this set, by concept key; each picture is used once.

    A concept reached by its icon's own name goes before one that is reached through an alias, whatever the order of
    the concepts.
    """
    found: list[tuple[bool, Concept, Icon]] = []
    for concept in concepts:
        for name in candidate_names(concept, own_chars, other_chars):
            icon = resolve_icon(icon_set, name)
            if icon is not None:
                found.append((name != icon.name, concept, icon))
                break
    owner: dict[tuple[str, int, bool, bool], str] = {}
    for _, concept, icon in sorted(found, key=lambda item: item[0]):  # stable: own names first
        owner.setdefault(icon.picture, concept.key)
    return {concept.key: icon for _, concept, icon in found if owner[icon.picture] == concept.key}
