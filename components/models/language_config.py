"""Shape of a language model, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LanguageShape:
    """Shape of a `Ministral3ForCausalLM` with tied embeddings; the fields have transformers' names.

    `initializer_range` is the standard deviation of the first weights, `max_position_embeddings` the longest text.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    ffn_hidden_size: int
    rope_theta: float
    max_position_embeddings: int
    initializer_range: float

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads or self.head_dim % 2:
            raise ValueError(
                f"num_attention_heads must be a multiple of num_key_value_heads and head_dim even, got "
                f"{self.num_attention_heads}, {self.num_key_value_heads} and {self.head_dim}"
            )
