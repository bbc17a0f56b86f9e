"""The tokenizer: every text comes back, and a word has the same tokens wherever it stands."""

import unicodedata

import pytest

from components.enhancer.template import MARKS
from components.enhancer.tokenizer import JOINER, TokenizerError, ids_of, load_tokenizer, special_ids, train_tokenizer

TEXTS = [
    "A picture of a red fox-hat (3d), “OPEN 24” \"x\" 'y'!",
    "一幅红色的狐狸图画，写着「开门」。",
    "two  spaces\nand a line, 😀👍🏽 한국 Ünïcödé",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back(tokenizer, text):
    assert tokenizer.decode(ids_of(tokenizer, text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("word", ["fox", "Zwitschermaschine", "red", "OPEN"])
@pytest.mark.parametrize("before", ['{"prompt": "', "“", "(", "a ", "dark-", "Subject: "])
def test_a_word_is_spelled_the_same_wherever_it_stands(tokenizer, word, before):
    alone = ids_of(tokenizer, f" {word}")
    assert ids_of(tokenizer, f"{before}{word}")[-len(alone) :] == alone


def test_chinese_characters_stand_for_themselves(tokenizer):
    one, other = ids_of(tokenizer, "红"), ids_of(tokenizer, "狐")
    assert ids_of(tokenizer, "红狐") == one + other


def test_the_joiner_cannot_be_in_a_message():
    from components.enhancer.template import user_message

    assert JOINER not in user_message(f"a{JOINER} b", 1, 1)


def test_the_same_texts_make_the_same_tokenizer(tokenizer, tmp_path):
    texts = ["a red fox", "一只狐狸"]
    for name in ("one", "two"):
        train_tokenizer(texts, 300, 8).save_pretrained(tmp_path / name)
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.model_max_length == 24
    assert loaded.chat_template == tokenizer.chat_template
    assert special_ids(loaded) == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    assert [ids_of(loaded, text) for text in TEXTS] == [ids_of(tokenizer, text) for text in TEXTS]
    assert list(loaded(" a")) == ["input_ids", "attention_mask"]


def test_control_tokens_have_the_first_numbers(tokenizer):
    assert tokenizer.convert_tokens_to_ids(list(MARKS)) == list(range(len(MARKS)))


def test_what_cannot_be_is_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="at least 264"):
        train_tokenizer(["a"], 263, 8)
    with pytest.raises(TokenizerError, match=r"no tokenizer.json"):
        load_tokenizer(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(TokenizerError, match="no chat template"):
        load_tokenizer(tmp_path)
