"""Decoding: the same text for the same seed, alone or among others; and what cannot be loaded."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from components.enhancer.decoding import EnhancerError, Writer, pick
from components.enhancer.template import user_message
from components.enhancer.tokenizer import ids_of, special_ids
from components.models.language_config import LanguageShape
from components.models.language_model import build_language_model, save_language_model

SHAPE = LanguageShape(420, 32, 2, 2, 1, 16, 64, 10_000.0, 512, 0.3)
MESSAGES = [user_message(wish, 64, 64) for wish in ("a fox", "two red owls that say “OPEN 24”", "狐狸", "a")]


@pytest.fixture(scope="module")
def network(tokenizer):
    return build_language_model(SHAPE, 0, special=special_ids(tokenizer)).eval()


@pytest.fixture(scope="module")
def directory(network, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("enhancer")
    save_language_model(network, folder / "pe")
    tokenizer.save_pretrained(folder / "pe_tokenizer")
    return folder


@pytest.mark.parametrize("temperature", [0.0, 0.6, 1.5])
def test_a_batch_is_written_as_one_by_one(network, tokenizer, temperature):
    writer = Writer(network, tokenizer, temperature)
    assert writer.write_many(MESSAGES, 3) == [writer.write(message, 3) for message in MESSAGES]


def test_the_seed_decides(directory):
    writer = Writer.load(directory, 1.5, 1.0)
    texts = {writer.write(MESSAGES[0], seed) for seed in range(5)}
    assert len(texts) == 5
    torch.manual_seed(1)
    assert writer.write(MESSAGES[0], 0) in texts
    assert Writer.load(directory, 1.5, 1.0).write(MESSAGES[0], 0) == writer.write(MESSAGES[0], 0)


def test_without_temperature_it_is_what_transformers_generates(network, tokenizer):
    for message in MESSAGES:
        text = tokenizer.apply_chat_template([{"role": "user", "content": message}], tokenize=False)
        asked = torch.tensor([ids_of(tokenizer, text)])
        attention = torch.ones_like(asked)
        told = network.generate(asked, attention_mask=attention, do_sample=False, max_new_tokens=24)[0]
        expected = tokenizer.decode(told[asked.shape[1] :], skip_special_tokens=True).strip()
        assert Writer(network, tokenizer, 0.0).write(message, 0) == expected


def test_tokens_are_drawn_by_their_probability_among_the_likeliest():
    probability = torch.tensor([0.1, 0.5, 0.3, 0.1])
    places = (torch.arange(1000) + 0.5)[:, None] / 1000
    found = Counter(pick(probability.log().repeat(1000, 1), places, 1.0, 0.7).tolist())
    # 0.5 alone is less than 0.7, with 0.3 it is not: these two count.
    assert found == {1: 625, 2: 375}
    assert set(pick(probability.log().repeat(1000, 1), places, 1.0, 1.0).tolist()) == {0, 1, 2, 3}
    assert set(pick(probability.log().repeat(1000, 1), places, 0.0, 1.0).tolist()) == {1}


@pytest.mark.parametrize("gone", ["pe_tokenizer", "pe_tokenizer/tokenizer.json", "pe", "pe/model.safetensors"])
def test_what_is_missing_is_one_clear_line(directory, tmp_path, gone):
    folder = tmp_path / "enhancer"
    shutil.copytree(directory, folder)
    shutil.rmtree(folder / gone) if (folder / gone).is_dir() else (folder / gone).unlink()
    with pytest.raises(EnhancerError, match=rf"^the prompt enhancer in {folder} cannot be loaded: ") as error:
        Writer.load(folder)
    assert "\n" not in str(error.value)


def test_a_damaged_file_is_no_crash(directory, tmp_path):
    shutil.copytree(directory, tmp_path / "enhancer")
    (tmp_path / "enhancer" / "pe" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EnhancerError):
        Writer.load(tmp_path / "enhancer")


def test_settings_that_cannot_be_are_refused(network, tokenizer):
    with pytest.raises(ValueError, match="top_p"):
        Writer(network, tokenizer, 0.6, 0.0)
