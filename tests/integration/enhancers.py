"""A tiny prompt enhancer with random weights, in the layout that the stage of that name makes."""

import json
from pathlib import Path

from components.enhancer.tokenizer import special_ids, train_tokenizer
from components.models.language_config import LanguageShape
from components.models.language_model import build_language_model

SHAPE = LanguageShape(
    vocab_size=300,
    hidden_size=32,
    num_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    ffn_hidden_size=64,
    rope_theta=10_000.0,
    max_position_embeddings=1024,
    initializer_range=0.1,
)
HELD_OUT = {"intent_kept": 0.97, "right_language": 1.0}


def make_enhancer(folder: Path, max_new_tokens: int = 12) -> Path:
    """Fill `folder` with a language model, its tokenizer and its record; it writes nonsense."""
    tokenizer = train_tokenizer(["a red apple, drawn as an icon", "一个红苹果"] * 3, SHAPE.vocab_size, max_new_tokens)
    build_language_model(SHAPE, 0, special=special_ids(tokenizer)).save_pretrained(folder / "pe")
    tokenizer.save_pretrained(folder / "pe_tokenizer")
    (folder / "training.json").write_text(json.dumps({"held_out": HELD_OUT | {"final_loss": 1.0}}))
    return folder
