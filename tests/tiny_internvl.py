"""A tiny InternVL with random weights, saved as real ones are; what it says of a picture means nothing."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import InternVLConfig, InternVLForConditionalGeneration, PreTrainedTokenizerFast

from components.models.token_score import TOKENS

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<img>", "</img>", "<IMG_CONTEXT>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }}\n{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant\n{% endif %}"
)


def tokenizer(tokens: tuple[str, ...]) -> PreTrainedTokenizerFast:
    words = [word for word in ("user", "assistant", "Rate", "the", "score", "0") if word not in tokens]
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words, *tokens])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, additional_special_tokens=SPECIAL[4:], chat_template=TEMPLATE, **names
    )


def save_internvl(into: Path, tokens: tuple[str, ...] = TOKENS) -> Path:
    words = tokenizer(tokens)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = InternVLConfig(
            vision_config={
                "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                "image_size": 32, "patch_size": 8, "initializer_range": 1.0,
            },
            text_config={
                "model_type": "qwen2", "vocab_size": len(words), "hidden_size": 16, "intermediate_size": 32,
                "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.2,
            },
            image_token_id=SPECIAL.index("<IMG_CONTEXT>"),
            image_seq_length=4,
        )  # fmt: skip
        InternVLForConditionalGeneration(config).save_pretrained(into)
    words.save_pretrained(into)
    return into
