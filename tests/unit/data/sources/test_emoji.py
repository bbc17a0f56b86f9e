"""The join: names to pictures, with every trap of the real sets crafted small."""

from typing import Any

import pytest

from components.data.sources.emoji import (
    Concept,
    candidate_names,
    concept_key,
    icon_names,
    join_style,
    read_concepts,
    resolve_icon,
    slug,
)


def concept(key: str, label: str, order: int = 0) -> Concept:
    return Concept(key, order, label, None, (), (), 3, "animal-bug")


def icon_set(icons: dict[str, Any], aliases: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"prefix": "made", "icons": icons, "aliases": aliases or {}, "width": 32, "height": 32} | fields


@pytest.mark.parametrize(
    ("hexcode", "key"),
    [
        ("1F34E", "1f34e"),
        ("0023-FE0F-20E3", "23-20e3"),
        ("00A9-FE0F", "a9"),
        ("1F481-200D-2640-FE0F", "1f481-200d-2640"),
        ("1f34e", "1f34e"),
    ],
)
def test_concept_key_drops_variation_selectors_and_leading_zeros(hexcode: str, key: str) -> None:
    assert concept_key(hexcode) == key
    assert concept_key(key) == key


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("UP! button", "up-button"),
        ("piñata", "pinata"),
        ("woman’s hat", "womans-hat"),
        ("Japanese “here” button", "japanese-here-button"),
        ("keycap: 10", "keycap-10"),
    ],
)
def test_slug_writes_a_label_as_an_icon_name(label: str, name: str) -> None:
    assert slug(label) == name


def test_read_concepts_joins_two_languages_and_leaves_out_components() -> None:
    english = [
        {"hexcode": "1F1E6", "label": "regional indicator A"},
        {"hexcode": "1F3FB", "label": "light skin tone", "group": 2, "subgroup": 32, "order": 1},
        {"hexcode": "1F9B4", "label": "bone", "group": 1, "subgroup": 16, "order": 9, "tags": ["skeleton"]},
        {"hexcode": "1F34E", "label": "red apple", "group": 4, "subgroup": 42, "order": 3, "tags": ["fruit", "red"]},
    ]
    chinese = [{"hexcode": "1F34E", "label": "红苹果", "tags": ["水果"]}]
    apple, bone = read_concepts(english, chinese, {"42": "food-fruit", "16": "body-parts"})
    assert (apple.key, apple.label_zh, apple.tags_en, apple.tags_zh) == ("1f34e", "红苹果", ("fruit", "red"), ("水果",))
    assert (apple.category, apple.subcategory) == ("food", "food-fruit")
    assert (bone.category, bone.label_zh) == (None, None)


def test_alias_mirrors_and_turns_add_up_along_the_chain() -> None:
    made = icon_set(
        {"left": {"body": "<path/>"}},
        {
            "right": {"parent": "left", "hFlip": True},
            "left-again": {"parent": "right", "hFlip": True},
            "up": {"parent": "right", "rotate": 3, "vFlip": True},
            "round": {"parent": "up", "rotate": 2},
        },
    )

    def turns(name: str) -> tuple[str, int, bool, bool]:
        icon = resolve_icon(made, name)
        assert icon is not None
        return icon.picture

    assert turns("left") == ("left", 0, False, False)
    assert turns("right") == ("left", 0, True, False)
    assert turns("left-again") == turns("left")
    assert turns("up") == ("left", 3, True, True)
    assert turns("round") == ("left", 1, True, True)


def test_unknown_name_is_none_and_a_loop_is_an_error() -> None:
    made = icon_set({}, {"a": {"parent": "b"}, "b": {"parent": "a"}})
    assert resolve_icon(made, "c") is None
    with pytest.raises(ValueError, match="leads to no icon"):
        resolve_icon(made, "a")


def test_icon_size_is_its_own_then_the_sets_then_16() -> None:
    made = icon_set({"own": {"body": "", "height": 25.22}, "set": {"body": ""}}, width=36, height=36)
    own, shared = resolve_icon(made, "own"), resolve_icon(made, "set")
    default = resolve_icon({"icons": {"x": {"body": ""}}}, "x")
    assert own is not None
    assert shared is not None
    assert default is not None
    assert (own.width, own.height) == (36, 25.22)
    assert (shared.width, shared.height) == (36, 36)
    assert (default.width, default.height, default.left, default.top) == (16, 16, 0, 0)


def test_a_set_with_its_own_table_uses_nothing_else() -> None:
    apple = concept("1f34e", "red apple")
    other = [icon_names({"1f34e": "apple-of-another-set"})]
    assert candidate_names(apple, icon_names({"1F34E-FE0F": "its-apple"}), other) == ("its-apple",)
    assert candidate_names(apple, {"1f34f": "green"}, other) == ()
    assert candidate_names(apple, {}, other) == ("apple-of-another-set", "red-apple")


def test_table_route_and_name_route_find_the_same_icons() -> None:
    made = icon_set({"red-apple": {"body": "1"}, "pear": {"body": "2"}}, {"lion": {"parent": "lion-face"}})
    made["icons"]["lion-face"] = {"body": "3"}
    concepts = [concept("1f34e", "red apple"), concept("1f350", "pear"), concept("1f981", "lion")]
    chars = {"1f34e": "red-apple", "1f350": "pear", "1f981": "lion"}
    assert join_style(concepts, made, chars, []) == join_style(concepts, made, {}, [])
    assert [icon.body for icon in join_style(concepts, made, {}, []).values()] == ["1", "2", "3"]


@pytest.mark.parametrize("insect_first", [True, False])
def test_an_alias_to_another_concepts_own_picture_is_refused(insect_first: bool) -> None:
    made = icon_set({"cricket-game": {"body": "bat"}}, {"cricket": {"parent": "cricket-game"}})
    insect, game = concept("1f997", "cricket"), concept("1f3cf", "cricket game")
    concepts = [insect, game] if insect_first else [game, insect]
    assert set(join_style(concepts, made, {}, [])) == {game.key}


def test_an_alias_to_a_picture_that_nobody_else_owns_is_taken() -> None:
    made = icon_set({"bear-face": {"body": ""}}, {"bear": {"parent": "bear-face"}})
    bear = concept("1f43b", "bear")
    assert join_style([bear], made, {}, [])[bear.key].name == "bear-face"


def test_a_mirrored_alias_is_another_picture_and_both_stay() -> None:
    made = icon_set({"pointing-left": {"body": ""}}, {"pointing-right": {"parent": "pointing-left", "hFlip": True}})
    left, right = concept("1f448", "pointing left"), concept("1f449", "pointing right")
    joined = join_style([right, left], made, {}, [])
    assert joined[right.key].h_flip
    assert not joined[left.key].h_flip
