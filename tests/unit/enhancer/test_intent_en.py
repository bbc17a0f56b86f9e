import pytest

from components.enhancer.intent_en import read, root_of


@pytest.mark.parametrize(
    "words",
    [
        "berry berries",
        "run runs running",
        "paint paints painted painting",
        "ride rides riding",
        "house houses",
        "box boxes",
        "glass glasses",
        "brush brushes",
        "tie ties",
        "child children",
        "leaf leaves",
        "cat cat's cats",
        "building buildings",
        "smell smelling",
        "roll rolled",
    ],
)
def test_forms_of_a_word_have_one_root(words: str) -> None:
    assert len(set(map(root_of, words.split()))) == 1


@pytest.mark.parametrize("words", ["ring king string", "bus bush", "cat cap", "red reed", "bed bee", "star stir"])
def test_different_words_have_different_roots(words: str) -> None:
    assert len(set(map(root_of, words.split()))) == len(words.split())


def test_what_a_text_states_is_read_with_what_it_belongs_to() -> None:
    stated = read("Two red and white flags on a gray wall, without any people; 12 eggs")
    assert stated.counts == [("2", ("flag",)), ("12", ("egg",))]
    assert stated.colours == [("red", ("flag",)), ("white", ("flag",)), ("grey", ("wall",))]
    assert stated.denied == [("people",)]
    assert set(stated.words.values()) >= {"flags", "wall", "eggs"}
    assert "people" not in stated.words.values()
