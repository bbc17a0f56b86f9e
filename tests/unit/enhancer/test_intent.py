import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.captions import Language
from components.data.top_down.facts import Known
from components.data.top_down.prompt_grammar import GrammarWriter, Subject
from components.enhancer.intent import lost

KNOWN = {
    "en": (
        Known("goose", "Noto", ("bird", "water"), (), "", "", "en"),
        Known("two hearts", "blob", ("love",), (), "", "", "en"),
        Known("poster", "", (), ("Fresh Bread", "OPEN"), "red", "white", "en"),
        Known("snowman without snow", "EmojiOne", (), (), "", "", "en"),
        Known("no mobile phones", "flat Twemoji", ("forbidden",), (), "", "", "en"),
    ),
    "zh": (
        Known("天鹅", "Noto", ("鸟", "水面"), (), "", "", "zh"),
        Known("两颗心", "blob", ("爱",), (), "", "", "zh"),
        Known("海报", "", (), ("新鲜面包", "OPEN"), "red", "white", "zh"),
        Known("没有雪的雪人", "EmojiOne", (), (), "", "", "zh"),
        Known("禁止吸烟", "flat Twemoji", ("不",), (), "", "", "zh"),
    ),
}
PROMPTS = {
    language: [
        list(written.values())
        for seed in range(4)
        for written in GrammarWriter(seed).write([Subject(f"id{seed}", known) for known in known_of])
    ]
    for language, known_of in KNOWN.items()
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_prompts_of_one_image_lose_nothing_of_each_other(language: Language) -> None:
    for prompts in PROMPTS[language]:
        for wish, description in itertools.permutations(prompts, 2):
            assert lost(wish, description, language) == [], (wish, description)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_prompts_of_two_images_lose_something_of_each_other(language: Language) -> None:
    for one, other in itertools.permutations(PROMPTS[language][: len(KNOWN[language])], 2):
        for wish, description in zip(one, other, strict=True):
            assert lost(wish, description, language), (wish, description)


KEPT_EN = [
    ("two red apples on a table", "On a wooden table lie two shiny red apples, seen from above."),
    ("two cats", "2 cats with long whiskers"),
    ("12 eggs", "a dozen eggs in a carton"),
    ("one cat", "a single grey cat"),
    ("a red apple", "An apple, whose skin shines. The apple is bright red."),
    ("a black and white photo of a dog", "A photo in black and white: a dog. A black and white photo."),
    ("a dog without a collar", "A dog with brown fur. It wears no collar."),
    ("a beach, no people", "A beach at dawn without any people or boats."),
    ("a cat that is not smiling", "A cat, not smiling, on a wall"),
    ("don't show any text, just a cat", "a cat; there is no text"),
    ("berries and running children", "A berry bush; a child runs past. Children."),
    ("a gray wolf", "a grey wolf under the moon"),
    ("a poster saying hello", "A poster with the word “hello” in the middle."),
    ("sign “OPEN”", 'A sign with the letters "OPEN" on it'),
    ("Could you please draw me a beautiful heron? Thanks!", "A heron stands in shallow water."),
    ("a green apple and a red pear", "A red pear lies beside a green apple."),
    ("an orange", "An orange on a plate"),
    ("five balloons: two red, three blue", "Five balloons: two red balloons and three blue balloons."),
    ("a shop called 'Bean There'", "A shop with the name “Bean There” above its door"),
    ("an astronaut riding a horse", "An astronaut in a white suit rides a brown horse across red sand."),
]
LOST_EN = [
    ("two red apples", "three red apples", ["count: 2 apples (told 3)"]),
    ("two red apples", "red apples", ["count: 2 apples"]),
    ("two cats", "two cats. All three cats sleep.", ["count: 2 cats (told 3)"]),
    ("a red apple", "a green apple", ["colour: red apple (told green)"]),
    ("a red apple", "a red apple and a green apple", ["colour: red apple (told green)"]),
    (
        "a green apple and a red pear",
        "a red apple and a green pear",
        ["colour: green apple (told red)", "colour: red pear (told green)"],
    ),
    ("an orange lamp", "An orange lamp. The lamp is blue.", ["colour: orange lamp (told blue)"]),
    ("eight lamps", "Eight lamps. There are exactly three lamps.", ["count: 8 lamps (told 3)"]),
    ("five balloons", "two balloons", ["count: 5 balloons"]),
    ("a dog without a collar", "a dog with a collar", ["negation: no collar"]),
    ("a beach, no people", "a beach", ["negation: no people"]),
    ("a cat", "no cat", ["thing: cat"]),
    ("a pig, animal", "A pig, an animal. There is no animal.", ["thing: animal"]),
    ("Subject: ten cakes Style: flat", "a flat style", ["count: 10 cakes", "thing: cakes"]),
    ("a cat on a sofa", "a cat on a chair", ["thing: sofa"]),
    ("sign “OPEN”", "a sign with the letters “CLOSED”", ["text: “OPEN”"]),
    ("sign “OPEN”", "a sign that is open", ["text: “OPEN”"]),
    ("sign “Open”", "a sign “OPEN”", ["text: “Open”"]),
    ("sign “OPEN”", "a sign “OPEN 24 hours”", ["text: “OPEN”"]),
    ("a picture of 龙", "a picture of a dragon", ["thing: 龙"]),
]


@pytest.mark.parametrize(("wish", "description"), KEPT_EN)
def test_english_that_says_the_same_lost_nothing(wish: str, description: str) -> None:
    assert lost(wish, description, "en") == []


@pytest.mark.parametrize(("wish", "description", "missing"), LOST_EN)
def test_english_that_says_less_or_otherwise_is_told(wish: str, description: str, missing: list[str]) -> None:
    assert lost(wish, description, "en") == missing


KEPT_ZH = [
    ("两只猫", "画面中有2只猫，毛色柔和。"),
    ("三只黑色的猫在沙发上", "沙发上坐着三只黑猫，目光明亮。"),
    ("没有红色的苹果，只有梨", "画面里没有红色的苹果，只有梨"),
    ("十二个鸡蛋", "篮子里放着12个鸡蛋。"),
    ("一只猫", "一幅猫的图画"),
    ("红苹果", "一个红色的苹果"),
    ("红色的苹果", "苹果是红色的，放在桌上"),
    ("一只不戴帽子的狗", "一只狗，不戴帽子"),
    ("海边，没有人", "宁静的海边，画面里没有人"),
    ("海报，不要文字和边框", "一张海报，没有文字，没有边框"),
    ("无人机", "一架无人机在空中"),
    ("请帮我画一张图：天鹅，谢谢！", "一只天鹅在湖面上"),
    ("牌子写着「营业中」", "一块牌子，上面写着“营业中”。"),
    ("桌子上的苹果树盆栽", "桌子，苹果树，盆栽"),
    ("Noto 风格的猫", "一幅noto 风格的猫图画"),
    ("一杯拿铁咖啡和一本书放在木桌上", "木桌上放着一杯拿铁咖啡和一本打开的书"),
    ("五个气球，两个红色的", "五个气球，两个气球是红色的"),
    ("八点半", "显示八点半的时钟"),
]
LOST_ZH = [
    ("两只猫", "三只猫", ["count: 2 猫 (told 3)"]),
    ("八只猫", "八只猫。画面中正好有三只猫。", ["count: 8 猫 (told 3)"]),
    ("五只猫", "两只猫", ["count: 5 猫"]),
    ("两只猫", "猫在睡觉", ["count: 2 猫"]),
    ("一只猫", "三只猫", ["count: 1 猫 (told 3)"]),
    ("两个苹果和三个梨", "三个苹果和两个梨", ["count: 2 苹果 (told 3)", "count: 3 梨"]),
    ("红色的苹果", "绿色的苹果", ["colour: 红色苹果 (told 绿色)"]),
    ("蓝色的心", "浅的心，天蓝、心", ["colour: 蓝色心"]),
    ("红色的苹果", "苹果", ["colour: 红色苹果"]),
    ("黑猫", "白猫", ["thing: 黑猫"]),
    ("海边，没有人", "海边", ["negation: 没有人"]),
    ("海边，没有人", "海边有人", ["negation: 没有人"]),
    ("老虎和月亮", "老虎望着月亮，画面中没有月亮", ["thing: 月亮"]),
    ("老虎", "老人和虎头", ["thing: 老虎"]),
    ("猫在沙发上", "猫在椅子上", ["thing: 沙发上"]),
    ("牌子写着「营业中」", "一块牌子，写着“已打烊”", ["text: “营业中”"]),
    ("Noto 风格的猫", "blob 风格的猫", ["thing: Noto"]),
]


@pytest.mark.parametrize(("wish", "description"), KEPT_ZH)
def test_chinese_that_says_the_same_lost_nothing(wish: str, description: str) -> None:
    assert lost(wish, description, "zh") == []


@pytest.mark.parametrize(("wish", "description", "missing"), LOST_ZH)
def test_chinese_that_says_less_or_otherwise_is_told(wish: str, description: str, missing: list[str]) -> None:
    assert lost(wish, description, "zh") == missing


NUMBERS = {"en": "two three four five six seven eight nine ten", "zh": "两 三 四 五 六 七 八 九 十"}
COLOURS = {"en": "red green blue yellow black white", "zh": "红 绿 蓝 黄 黑 白"}
NOUNS = {"en": "apples foxes berries umbrellas lamps ships", "zh": "苹果 狐狸 雨伞 台灯 轮船 大象"}
SAID = {
    "en": "On a table lie {0} {1} {2}, and further back {3} {4} {5}; soft light.",
    "zh": "桌上有{0}个{1}色的{2}，后面还有{3}个{4}色的{5}，光线柔和。",
}
WISHED = {"en": "{0} {1} {2} and {3} {4} {5}", "zh": "{0}个{1}色的{2}和{3}个{4}色的{5}"}


@given(st.data())
@pytest.mark.parametrize("language", ["en", "zh"])
def test_whatever_is_exchanged_among_counts_colours_and_things_is_found(
    language: Language, data: st.DataObject
) -> None:
    drawn = (data.draw(st.permutations(words[language].split())) for words in (NUMBERS, COLOURS, NOUNS))
    (n, m), (c, d), (a, b) = (words[:2] for words in drawn)
    wish = WISHED[language].format(n, c, a, m, d, b)
    assert lost(wish, SAID[language].format(n, c, a, m, d, b), language) == []
    assert lost(wish, SAID[language].format(m, d, b, n, c, a), language) == []
    for wrong in ((m, c, a, n, d, b), (n, d, a, m, c, b), (n, c, b, m, d, a), (n, c, a, m, d, a), (n, c, a, n, d, b)):
        assert lost(wish, SAID[language].format(*wrong), language), wrong


TEXTS = [pair[0] for pair in [*KEPT_EN, *LOST_EN, *KEPT_ZH, *LOST_ZH]]


@pytest.mark.parametrize("wish", TEXTS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_wish_keeps_itself_read_in_either_language(wish: str, language: Language) -> None:
    assert lost(wish, wish, language) == []


@given(st.text(max_size=80), st.text(max_size=80), st.sampled_from(("en", "zh")))
def test_no_text_whatever_breaks_the_comparison(wish: str, description: str, language: Language) -> None:
    lost(wish, description, language)
    assert lost(wish, wish, language) == []
