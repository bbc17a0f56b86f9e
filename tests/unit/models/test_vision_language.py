"""A tiny vision language model with random weights, saved as real ones are: it loads, looks, and writes the same twice.

What it writes means nothing; the path through processor, weights and decoding is what runs here.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

from components.models.vision_language import VisionLanguageModel

SPECIAL = [
    "<pad>", "<s>", "</s>", "<unk>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
]  # fmt: skip
WORDS = ["a", "red", "square", "on", "white", "paper", "User", "Assistant", ":", "Describe", "the", "picture", "."]
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>"
    "{% endfor %}{% if add_generation_prompt %}Assistant : {% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, additional_special_tokens=SPECIAL[4:], **names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    words = tokenizer()
    config = Idefics3Config(
        image_token_id=SPECIAL.index("<image>"),
        scale_factor=2,
        vision_config={
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        text_config={
            "model_type": "llama", "vocab_size": len(words), "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        },
    )  # fmt: skip
    images = Idefics3ImageProcessor(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    into = tmp_path_factory.mktemp("models") / "tiny"
    Idefics3ForConditionalGeneration(config).save_pretrained(into)
    Idefics3Processor(images, words, image_seq_len=4, chat_template=TEMPLATE).save_pretrained(into)
    return into


def picture(red: int) -> np.ndarray:
    return np.full((24, 40, 3), (red, 0, 0), np.uint8)


def test_a_saved_model_describes_pictures_the_same_way_twice(folder: Path) -> None:
    model = VisionLanguageModel(str(folder), max_new_tokens=6)
    pictures = [picture(255), picture(0)]
    told = model.describe(pictures, "Describe the picture.")
    assert told == model.describe(pictures, "Describe the picture.")
    assert told[1:] == model.describe(pictures[1:], "Describe the picture.")  # no picture changes another's words
    assert all(0 < len(words.split()) <= 6 for words in told)
    assert not any(mark in words for words in told for mark in SPECIAL)


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ValueError, match="no vision language model here") as error:
        VisionLanguageModel(str(tmp_path / "nothing"), max_new_tokens=6)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="max_new_tokens is 0; allowed: 1 or more"):
        VisionLanguageModel(str(folder), max_new_tokens=0)


def test_pickled_weights_are_not_read(folder: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (pickled / file.name).write_bytes(file.read_bytes())
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no vision language model here"):
        VisionLanguageModel(str(pickled), max_new_tokens=6)
