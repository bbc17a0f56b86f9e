"""Wishes with something planted, and descriptions that say it too: compared with sentences written by hand."""

import re
from dataclasses import replace

import pytest

from components.data.top_down.facts import Known
from components.data.top_down.prompt_grammar import GrammarWriter
from components.enhancer.description_grammar import composition, describe, frame_of
from components.enhancer.intent import lost
from components.enhancer.wish_config import WishMix
from components.enhancer.wish_grammar import Choices, Idea, is_countable, plan_of, plural, wish_of

NOTHING = WishMix(1.0, 1, 3, 0.0, 0.0, 0.0, 0.0, 0.0)
ALL = WishMix(1.0, 1, 3, 1.0, 1.0, 1.0, 1.0, 1.0)


def idea(subject: str, language: str = "en", **changes: object) -> Idea:
    tags = ("fruit", "red", "sweet", "tree") if language == "en" else ("水果", "红色", "一片水果", "甜")
    known = Known(subject, "Noto", tags[:1], (), "", "", "zh" if language == "zh" else "en")
    given = {"keywords": tags, "description": "", "category": "food", "caption": "", "split": "train"}
    return Idea("a1", known, **(given | changes))  # type: ignore[arg-type]


EN = Choices(["Fresh Bread"], [idea("dog", category="animals")])
ZH = Choices(["早上好"], [idea("狗", "zh", category="animals", keywords=("动物",))])


@pytest.mark.parametrize(
    ("subject", "language", "expected"),
    [
        ("apple", "en", True),
        ("teddy bear", "en", True),
        ("red apple", "en", False),
        ("glasses", "en", False),
        ("person running", "en", False),
        ("face with tears of joy", "en", False),
        ("BMW Z4", "en", False),
        ("苹果", "zh", True),
        ("红苹果", "zh", False),
        ("两个人", "zh", False),
        ("合上的锁", "zh", False),
        ("AB型血", "zh", False),
    ],
)
def test_only_one_plain_thing_is_countable(subject: str, language: str, expected: bool) -> None:
    assert is_countable(idea(subject, language)) is expected


def test_symbols_and_images_that_somebody_described_are_left_as_they_are() -> None:
    assert not is_countable(idea("arrow", category="symbols"))
    seen = idea("apple", caption="A shiny apple lies on a wooden table.")
    plan = plan_of(seen, "k", ALL, EN, 0)
    assert (plan.things, plan.negation, plan.known.quoted) == ((), "", ())
    assert describe(plan, "k", 64, 64, 3).startswith("A shiny apple lies on a wooden table. Square composition:")


def test_plurals() -> None:
    assert [plural(word) for word in ("apple", "cherry", "key", "fox", "peach", "dish")] == (
        ["apples", "cherries", "keys", "foxes", "peaches", "dishes"]
    )


def test_count_and_colour_stand_in_wish_and_description_and_nothing_speaks_against_them() -> None:
    plan = plan_of(idea("apple"), "k", replace(NOTHING, count_frac=1.0, colour_frac=1.0), EN, 0)
    wish, told = wish_of(plan, "k", "instruction", GrammarWriter(0)), describe(plan, "k", 64, 64, 3)
    count, colour = plan.things[0].count, plan.things[0].colour
    assert f"{count} {colour} apples" in wish
    assert f"A picture of {count} {colour} apples drawn in Noto style." in told
    assert f"There are exactly {count} apples. The apples are {colour}." in told
    assert "Keywords: fruit, sweet, tree." in told  # "red" is gone


def test_count_and_colour_in_chinese() -> None:
    plan = plan_of(idea("苹果", "zh"), "k", replace(NOTHING, count_frac=1.0, colour_frac=1.0), ZH, 0)
    assert re.fullmatch(r"[两三四五六七八九十]个.色的苹果", plan.known.subject)
    told = describe(plan, "k", 64, 64, 3)
    assert plan.known.subject in told
    assert f"画面中正好有{plan.things[0].count}苹果。苹果的颜色是{plan.things[0].colour}。" in told
    assert "红色、" not in told
    assert "一片" not in told
    assert "水果、甜" in told


TWO = replace(NOTHING, second_frac=1.0, colour_frac=1.0)


def test_two_things_each_keep_their_own_colour() -> None:
    for key in map(str, range(20)):
        plan = plan_of(idea("apple"), key, TWO, EN, 0)
        (apple, dog), told = plan.things, describe(plan, key, 64, 64, 3)
        assert apple.colour != dog.colour
        assert f" and a{'n' if dog.colour == 'orange' else ''} {dog.colour} dog" in plan.known.subject
        assert f"The apple is {apple.colour}. The dog is {dog.colour}." in told
        swapped = told.replace(dog.colour, "?").replace(apple.colour, dog.colour).replace("?", apple.colour)
        wish = wish_of(plan, key, "request", GrammarWriter(0))
        assert lost(wish, told, "en") == []
        assert lost(wish, swapped, "en") != []


def test_two_things_each_keep_their_own_number_and_measure_in_chinese() -> None:
    plan = plan_of(idea("苹果", "zh"), "k", replace(TWO, count_frac=1.0, colour_frac=0.0), ZH, 0)
    assert re.fullmatch(r"[两三四五六七八九十]个苹果和[两三四五六七八九十]只狗", plan.known.subject)
    told = describe(plan, "k", 64, 64, 3)
    assert f"画面中正好有{plan.things[0].count}苹果。画面中正好有{plan.things[1].count}狗。" in told


def test_a_subject_as_long_as_a_sentence_keeps_its_style_in_chinese() -> None:
    plan = plan_of(idea("戴着红色帽子的两只可爱的小猫在窗边", "zh"), "k", NOTHING, ZH, 0)
    assert "画面采用Noto 风格。" in describe(plan, "k", 64, 64, 3)


def test_a_thing_never_stands_beside_its_own_kind() -> None:
    assert len(plan_of(idea("hot dog"), "k", TWO, EN, 0).things) == 1


def test_animals_and_plants_are_counted_in_their_ways_in_chinese() -> None:
    mix = replace(NOTHING, count_frac=1.0)
    for subject, tags, measure in (("鹰", ("鸟",), "只"), ("向日葵", ("太阳花",), "个")):
        found = plan_of(idea(subject, "zh", category="animals", keywords=tags), "k", mix, ZH, 0)
        assert found.things[0].count[1:] == measure


def test_quotes_and_negations_are_told_verbatim() -> None:
    mix = replace(NOTHING, styled_frac=0.0, max_themes=0, quoted_frac=1.0, negation_frac=1.0)
    plan = plan_of(idea("mug", category="objects"), "k3", mix, EN, 0)
    wish, told = wish_of(plan, "k3", "keywords", GrammarWriter(0)), describe(plan, "k3", 64, 64, 3)
    assert plan.negation
    as_curly = wish.replace('"Fresh Bread"', "“Fresh Bread”").removeprefix("a ")
    assert as_curly == f"mug, “Fresh Bread”, {plan.negation}"
    assert "It says “Fresh Bread”, spelled exactly so." in told
    assert f"is {plan.negation}." in told or f"are {plan.negation}." in told
    assert "Noto" not in told


def test_quotes_come_as_people_type_them() -> None:
    plan = plan_of(idea("杯子", "zh", category="objects"), "k", replace(NOTHING, quoted_frac=1.0), ZH, 0)
    wishes = [wish_of(plan, str(n), "keywords", GrammarWriter(0)) for n in range(30)]
    for quoted in ("“早上好”", '"早上好"', "「早上好」"):
        assert any(quoted in wish for wish in wishes)
    told = describe(plan, "k", 64, 64, 3)
    assert all(lost(wish, told, "zh") == [] for wish in wishes)


def test_letters_are_never_ruled_out_where_words_are_wished_for() -> None:
    mix = replace(NOTHING, styled_frac=0.0, max_themes=0, quoted_frac=1.0, negation_frac=1.0)
    ruled = {plan_of(idea("mug"), str(n), mix, EN, 0).negation.split(" ")[-1] for n in range(200)}
    assert ruled.isdisjoint({"text", "letters"})
    assert {"people", "shadow", "dogs"} <= ruled


def test_what_is_wished_for_is_never_ruled_out() -> None:
    mix = replace(NOTHING, negation_frac=1.0)
    only_dogs = Choices([], EN.ideas)
    ruled = [plan_of(idea("dog", category="animals"), str(n), mix, only_dogs, 0).negation for n in range(60)]
    assert not any("dog" in negation for negation in ruled)
    assert "" in ruled


def test_nothing_planted_leaves_the_words_of_the_metadata() -> None:
    plan = plan_of(idea("red apple"), "k", NOTHING, EN, 0)
    wishes = {wish_of(plan, str(n), "keywords", GrammarWriter(0)) for n in range(40)}
    assert wishes == {
        f"{first}, {second}, fruit"
        for thing in ("red apple", "a red apple")
        for first, second in ((thing, "Noto style"), ("Noto style", thing))
    }
    assert describe(plan, "k", 64, 64, 2).startswith(
        "A picture of a red apple drawn in Noto style. Category: food. Keywords: fruit, red. Square composition:"
    )


def test_letters_on_a_ground_are_told_with_their_colours() -> None:
    known = Known("poster", "", (), ("EXIT", "出口"), "pink", "black", "en")
    plan = plan_of(Idea("a", known, (), "", "", "", "train"), "k", NOTHING, EN, 0)
    assert "It says “EXIT” and “出口” in pink letters on a black ground, spelled exactly so." in describe(
        plan, "k", 64, 64, 3
    )


@pytest.mark.parametrize(
    ("width", "height", "frame"),
    [(64, 64, "square"), (1024, 1024, "square"), (848, 1264, "tall"), (1200, 896, "wide"), (1000, 1090, "square")],
)
def test_the_frame_follows_from_the_size(width: int, height: int, frame: str) -> None:
    assert frame_of(width, height) == frame
    assert composition(width, height, "en", 0.0).lower().startswith(frame)


def test_a_mix_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed: 0 to 1"):
        replace(NOTHING, count_frac=1.5)
    with pytest.raises(ValueError, match="max_themes is 4"):
        replace(NOTHING, max_themes=4)
