"""Prompts: every form tells the known facts and no others, in both languages, and planted lies are caught."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.records import CAPTIONS
from components.data.top_down.config import PromptStyle
from components.data.top_down.facts import Known, Lexicon, differences, facts_known, facts_of
from components.data.top_down.known import has_words, of_catalogue, of_rendered, with_made_titles
from components.data.top_down.lettering import PALETTE
from components.data.top_down.prompt_grammar import PROMPT_STYLES, GrammarWriter, Subject

TITLES = ("red apple", "cat", "keycap: 10", "no smoking", "Japanese “discount” button", "three buttons", "house")
TITLES_ZH = ("红苹果", "猫", "禁止吸烟", "日文的“打折”按钮", "三个按钮", "画笔", "微笑的朔月", "ATM 取款机")
TAGS = ("fruit", "animal", "red", "building", "sign", "not allowed")
TAGS_ZH = ("水果", "动物", "建筑", "标志", "禁")
STYLES = ("Noto", "blob", "Fluent 3D", "flat Twemoji", "clip art")
LEXICON = Lexicon.of([*TITLES, *TITLES_ZH, *TAGS, *TAGS_ZH, "dog", "狗", "poster"], STYLES)

# Strategies give arguments and the test makes `Known` of them: a type checker looks at random items of what is made,
# which no strategy may do.
drawings = st.tuples(
    st.sampled_from(TITLES),
    st.sampled_from(STYLES),
    st.lists(st.sampled_from(TAGS), unique=True, max_size=3),
    st.just("en"),
)
drawings_zh = st.tuples(
    st.sampled_from(TITLES_ZH),
    st.sampled_from(STYLES),
    st.lists(st.sampled_from(TAGS_ZH), unique=True, max_size=3),
    st.just("zh"),
)
lettered = st.tuples(
    st.fixed_dictionaries(
        {
            "layout": st.sampled_from(("poster", "sign", "bilingual sign")),
            "lines": st.lists(
                st.sampled_from(("Fresh Bread", "营业中", "No Parking", "two red dogs")), min_size=1, max_size=2
            ),
            "ink": st.sampled_from(sorted(PALETTE)),
            "paper": st.sampled_from(sorted(PALETTE)),
        }
    ),
    st.sampled_from(("en", "zh")),
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(drawings, drawings_zh, lettered), st.integers(0, 50), st.integers(0, 3))
def test_every_prompt_tells_the_known_facts_and_no_others(given: tuple, place: int, seed: int):
    known = of_rendered(*given) if isinstance(given[0], dict) else drawn(*given)
    written = write(str(place), known, seed)
    assert tuple(written) == PROMPT_STYLES
    for text in written.values():
        assert facts_of(text, LEXICON) == facts_known(known, LEXICON), text
        assert differences(text, known, LEXICON) == ()
    assert len(set(written.values())) == len(PROMPT_STYLES)


def drawn(title: str, style: str, themes: list[str], language: str) -> Known:
    return Known(title, style, tuple(themes), (), "", "", language)


def write(sample_id: str, known: Known, seed: int = 0) -> dict[PromptStyle, str]:
    (made,) = GrammarWriter(seed).write([Subject(sample_id, known)])
    return made


APPLE = Known("red apple", "Noto", ("fruit",), (), "", "", "en")
POSTER = Known("poster", "", (), ("Fresh Bread",), "white", "blue", "en")


@pytest.mark.parametrize(
    ("text", "known", "said"),
    [
        ("Draw a red apple in Noto style, related to green fruit.", APPLE, "added colours: green fruit"),
        ("Draw two red apples in Noto style, related to fruit.", APPLE, "added numbers: two"),
        ("Draw an apple in Noto style, related to fruit.", APPLE, "lost the subject 'red apple'"),
        ("Draw a red apple in Noto style, related to fruit and a dog.", APPLE, "added things: dog"),
        ("Draw a red apple in Noto style.", APPLE, "lost things: fruit"),
        ("Draw a red apple in blob style, related to fruit.", APPLE, "lost styles: noto"),
        ("Draw a red apple in Noto style, watercolor, related to fruit.", APPLE, "added styles: watercolor"),
        ("Draw a red apple in Noto style, related to no fruit.", APPLE, "added negations: no fruit"),
        ("Draw a poster with white letters on a blue ground.", POSTER, "says [] for the words ['Fresh Bread']"),
        ("Draw a poster that says “Fresh Braed” with white letters on a blue ground.", POSTER, "Fresh Braed"),
        (
            "A poster that says “Fresh Bread” with blue letters on a white ground.",
            POSTER,
            "added colours: blue letter",
        ),
        (
            "画一张海报，写着“面包”，蓝色文字，白色底色",
            of_rendered({"layout": "poster", "lines": ["面包"], "ink": "white", "paper": "blue"}, "zh"),
            "added colours: 蓝 文字",
        ),
        (
            "请画：红苹果，Noto 风格，主题：水果、狗",
            Known("红苹果", "Noto", ("水果",), (), "", "", "zh"),
            "added things: 狗",
        ),
    ],
)
def test_a_planted_lie_is_caught(text: str, known: Known, said: str):
    assert any(said in found for found in differences(text, known, LEXICON)), differences(text, known, LEXICON)


def test_words_that_state_nothing_are_free():
    assert (
        differences("Please, draw me a lovely red apple in Noto style! Related to fruit, thanks.", APPLE, LEXICON) == ()
    )


def test_form_follows_the_id_and_the_seed_and_all_forms_are_used():
    texts = {write(str(n), APPLE)["request"] for n in range(60)}
    assert len(texts) == 4
    assert write("a", APPLE) == write("a", APPLE)
    assert any(write(str(n), APPLE) != write(str(n), APPLE, 1) for n in range(9))


def row(**words: object) -> dict[str, object]:
    plain = {"sample_id": "0", "title_en": "cat", "title_zh": None, "tags_en": [], "tags_zh": None, "style": "Noto"}
    return plain | words


def test_what_is_known_comes_from_title_and_tags():
    assert of_catalogue(row(), "en", 2) == Known("cat", "Noto", (), (), "", "", "en")
    assert of_catalogue(row(), "zh", 2) is None
    for some in (row(), row(title_en="0001"), row(title_en="0001", tags_en=["pet"]), row(title_en=None, tags_en=None)):
        assert has_words(some, "en") == (of_catalogue(some, "en", 0) is not None)
    assert of_catalogue(row(title_en="0001", tags_en=["pet"]), "en", 0) == Known("pet", "Noto", (), (), "", "", "en")
    tags = ["pet", "cats", "fur", "paw"]
    known = [of_catalogue(row(sample_id=str(n), tags_en=tags), "en", 2) for n in range(40)]
    themes = {len(one.themes) for one in known if one}
    assert themes == {0, 1, 2}


def test_a_title_with_a_stray_quote_or_markup_is_made_plain():
    assert of_catalogue(row(title_en="the ”odd cat"), "en", 0).subject == "the odd cat"
    found = of_catalogue(row(title_en="<b>cat</b>"), "en", 0)
    assert found is not None
    assert not re.search("[<>]", found.subject)


def test_known_facts_are_bound_to_their_words():
    assert facts_known(POSTER, LEXICON).colours == {("white", "letter"), ("blue", "ground")}
    assert facts_known(replace(APPLE, subject="no smoking"), LEXICON).negations == {("no", "smoking")}
    styles: tuple[PromptStyle, ...] = ("keywords", "request", "instruction", "specification")
    assert styles == PROMPT_STYLES


def test_an_image_without_words_takes_the_short_caption_that_a_model_made():
    captions = [
        {"sample_id": "0", "kind": "short", "language": "en", "text": "a dog on grass", "maker": "vlm/any"},
        {"sample_id": "1", "kind": "short", "language": "en", "text": "animals", "maker": "metadata/1"},
        {"sample_id": "2", "kind": "short", "language": "en", "text": "something else", "maker": "vlm/any"},
    ]
    table = pa.Table.from_pylist(captions, schema=CAPTIONS)
    rows = [row(sample_id=str(n), title_en=title) for n, title in enumerate(("", "", "cat"))]
    titles = [filled["title_en"] for filled in with_made_titles(rows, table)]
    assert titles == ["a dog on grass", None, "cat"]
