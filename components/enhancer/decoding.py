"""Writes descriptions with a trained enhancer: the same text for the same message and seed, alone or in a batch.

Each text draws from a generator of its own. Shorter messages of a batch are padded in front with what nobody sees, and
count their positions from their own beginning: what a text becomes depends on its company by rounding only.
Source: Holtzman et al. 2020, arXiv:1904.09751 (nucleus sampling).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor
from transformers import DynamicCache, Ministral3ForCausalLM, PreTrainedTokenizerBase

from components.enhancer.tokenizer import ids_of, load_tokenizer, special_ids
from components.models.language_model import load_language_model

MODEL, TOKENIZER = "pe", "pe_tokenizer"
"""The folders of a trained enhancer, named as in the release."""
MAX_BATCH = 128


class EnhancerError(ValueError):
    """An enhancer that cannot be loaded; one line says what is missing, where, and what to do."""


class Writer:
    """A language model that answers user messages.

    A temperature of 0 takes the likeliest token always; else tokens are drawn among the likeliest ones that together
    have the probability `top_p`.
    """

    def __init__(
        self,
        network: Ministral3ForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        temperature: float = 0.6,
        top_p: float = 0.95,
    ) -> None:
        if temperature < 0 or not 0 < top_p <= 1:
            raise ValueError(f"temperature must be at least 0 and top_p in (0, 1], got {temperature} and {top_p}")
        self._network, self._tokenizer = network.eval(), tokenizer
        self._temperature, self._top_p = temperature, top_p
        ids = special_ids(tokenizer)
        self._end, self._padding = ids["eos_token_id"], ids["pad_token_id"]

    @classmethod
    def load(cls, directory: Path, temperature: float = 0.6, top_p: float = 0.95) -> "Writer":
        """The enhancer that the stage of this name made in `directory`; EnhancerError if a part of it is missing."""
        try:
            tokenizer = load_tokenizer(directory / TOKENIZER)
            return cls(load_language_model(directory / MODEL), tokenizer, temperature, top_p)
        except (ValueError, OSError, SafetensorError) as error:
            told = " ".join(str(error).split())
            raise EnhancerError(f"the prompt enhancer in {directory} cannot be loaded: {told:.300}") from error

    def write(self, message: str, seed: int) -> str:
        """The answer to one message."""
        return self.write_many([message], seed)[0]

    def write_many(self, messages: Sequence[str], seed: int) -> list[str]:
        """The answer to each message, as `write` would give it."""
        asked = [self._ids(message) for message in messages]
        order = sorted(range(len(asked)), key=lambda number: len(asked[number]))
        answers = [""] * len(messages)
        for start in range(0, len(order), MAX_BATCH):
            batch = order[start : start + MAX_BATCH]
            written = self._continue([asked[number] for number in batch], seed)
            for number, ids in zip(batch, written, strict=True):
                answers[number] = str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()
        return answers

    def _ids(self, message: str) -> list[int]:
        chat = [{"role": "user", "content": message}]
        return ids_of(self._tokenizer, str(self._tokenizer.apply_chat_template(chat, tokenize=False)))

    @torch.inference_mode()
    def _continue(self, asked: Sequence[list[int]], seed: int) -> list[list[int]]:
        """The tokens that follow each text up to its end, which is left out, and no more than the tokenizer allows."""
        longest = max(map(len, asked))
        tokens = torch.tensor([[self._padding] * (longest - len(ids)) + ids for ids in asked])
        seen = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in asked])
        generators = [torch.Generator().manual_seed(seed) for _ in asked]
        written = [list[int]() for _ in asked]
        running, cache = list(range(len(asked))), DynamicCache(config=self._network.config)
        room = self._network.config.max_position_embeddings - longest
        for _ in range(min(int(self._tokenizer.model_max_length), room)):
            positions = (seen.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
            logits = self._network(tokens, seen, positions, cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            drawn = torch.stack([torch.rand(1, generator=generators[number]) for number in running])
            found = pick(logits.float(), drawn, self._temperature, self._top_p)
            going = torch.nonzero(found != self._end)[:, 0]
            if not len(going):
                break
            if len(going) < len(running):
                cache.batch_select_indices(going)
                running = [running[place] for place in going.tolist()]
            tokens = found[going][:, None]
            seen = torch.cat([seen[going], torch.ones_like(tokens)], dim=1)
            for number, token in zip(running, tokens[:, 0].tolist(), strict=True):
                written[number].append(token)
        return written


def pick(
    logits: Float[Tensor, "b vocabulary"], drawn: Float[Tensor, "b 1"], temperature: float, top_p: float
) -> Tensor:
    """A token for each row: the likeliest for temperature 0, else the one at the place `drawn` (in [0, 1)) among them.

    Tokens lie in the order of their probability, and only those count before which less than `top_p` lies.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    probability, order = (logits / temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    before = probability.cumsum(dim=-1) - probability
    kept = torch.where(before < top_p, probability, 0.0)
    reached = kept.cumsum(dim=-1)
    place = (reached <= drawn * reached[:, -1:]).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return order.gather(1, place)[:, 0]
