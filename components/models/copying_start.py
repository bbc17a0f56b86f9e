"""First weights with which a small language model copies words from the start, instead of having to find out how.

An induction head is two layers deep: in the first a head looks one token back and notes what stood there, in the
second a head looks for a place that notes the present token, and says what stands at it. A network of half a million
weights needs longer to find this than the rest of its training takes, so it begins with it; everything trains on.
The token's part of a state lies in its first half, the note in its second, and its last number is a constant.
Source: Olsson et al. 2022, arXiv:2209.11895 (induction heads); Trockman and Kolter 2023, arXiv:2305.09828 (attention
that begins as trained attention looks).
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Ministral3ForCausalLM

CONSTANT = 3.0
"""Size of a state's last number, for a mean square of 1 in the token's part."""
BACK, MATCH, SAID = 8.0, 20.0, 2.0
"""By how much the token before stands out, and one that matches (both in logits), and how loud it is said."""
FAST, SLOW = 0.1, 0.01
"""Radians by which a rotary pair turns from a token to the next: fast ones tell neighbours, slow ones keep words."""
OTHERS = 0.2
"""What is left of the random first weights in the heads that are set here."""


@torch.no_grad()
def start_copying(network: Ministral3ForCausalLM, generator: torch.Generator) -> None:
    """Overwrite embeddings and the first heads of the first two layers; the rest stays random.

    ValueError for fewer than two layers, or heads that share keys: each needs its own here.
    """
    config: Any = network.config
    if len(network.model.layers) < 2 or config.num_attention_heads != config.num_key_value_heads:
        raise ValueError(
            f"a start that copies needs two layers or more and a key for every head, got {len(network.model.layers)} "
            f"layers, {config.num_attention_heads} heads and {config.num_key_value_heads} keys"
        )
    width = (config.hidden_size - 1) // 2
    heads = -(-width // config.head_dim)
    if heads > config.num_attention_heads:
        raise ValueError(f"half of hidden_size must fit into the heads, got {config.hidden_size} and head_dim x heads")
    _set_embeddings(network, width, generator)
    theta = float(config.rope_parameters["rope_theta"])
    turns = theta ** (-torch.arange(0, config.head_dim, 2) / config.head_dim)
    layers: Any = network.model.layers
    first, second = (layers[number].self_attn for number in range(2))
    one, two = (math.sqrt((parts + CONSTANT**2 / width) / config.hidden_size) for parts in (1, 2))
    for head in range(heads):
        rows = slice(head * config.head_dim, (head + 1) * config.head_dim)
        part = torch.arange(head * config.head_dim, min(width, (head + 1) * config.head_dim))
        _look_back(first, rows, turns, CONSTANT / math.sqrt(width) / one)
        _carry(first, rows, part, part + width, one)
        _look_for(second, rows, turns, width, two, generator)
        _carry(second, rows, part, part, two * SAID)


def _set_embeddings(network: Ministral3ForCausalLM, width: int, generator: torch.Generator) -> None:
    """Directions at random, of length 1 exactly: the constant must not vary with the token after normalisation."""
    table = network.model.embed_tokens.weight
    tokens = torch.randn(len(table), width, generator=generator)
    table.copy_(0.005 * torch.randn(table.shape, generator=generator))
    table[:, :width] = tokens / tokens.norm(dim=1, keepdim=True)
    table[:, -1] = CONSTANT / math.sqrt(width)


def _look_back(attention: Any, rows: slice, turns: Float[Tensor, " pairs"], constant: float) -> None:
    """Queries and keys of a head from the constant alone, keys turned on by one place: they meet the token before."""
    query, key = (getattr(attention, name).weight[rows] for name in ("q_proj", "k_proj"))
    fast = (turns > FAST).float()
    contrast = BACK / float(((1 - turns.cos()) * fast).sum())
    size = math.sqrt(contrast * math.sqrt(2 * len(turns))) / constant
    for weight in (query, key):
        weight *= OTHERS
        weight[:, -1] = 0
    query[: len(turns), -1] = size * fast
    key[:, -1] = size * torch.cat([turns.cos() * fast, turns.sin() * fast])


def _look_for(
    attention: Any,
    rows: slice,
    turns: Float[Tensor, " pairs"],
    width: int,
    scale: float,
    generator: torch.Generator,
) -> None:
    """Queries of the token, keys of the note on the one before, in the pairs that hardly turn over a whole text."""
    query, key = (getattr(attention, name).weight[rows] for name in ("q_proj", "k_proj"))
    slow = torch.nonzero(turns < SLOW)[:, 0]
    places = torch.cat([slow, slow + len(turns)])[:width]
    directions = torch.linalg.qr(torch.randn(width, width, generator=generator))[0][: len(places)]
    size = scale * math.sqrt(MATCH * math.sqrt(2 * len(turns)) * width / max(len(places), 1))
    for weight, start in ((query, 0), (key, width)):
        weight *= OTHERS
        weight[places, start : start + width] = size * directions


def _carry(attention: Any, rows: slice, part: Int[Tensor, " n"], to: Int[Tensor, " n"], scale: float) -> None:
    """The head passes on this part of the token it looks at, to these places of the state."""
    value, out = attention.v_proj.weight[rows], attention.o_proj.weight[:, rows]
    value.zero_()
    out.zero_()
    value[torch.arange(len(part)), part] = scale
    out[to, torch.arange(len(part))] = 1.0
