"""The language model: transformers' own `Ministral3ForCausalLM`, built small, loaded, saved, and fed with packed rows.

Several texts share a row. Each sees itself and the row's beginning, which is the same for all of them, and counts its
positions on from there: what the network says of a text does not depend on its neighbours.
Source: Ministral 3; Krell et al. 2021, arXiv:2107.02027 (packing without contamination).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import Ministral3Config, Ministral3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from components.models.config import LoraShape
from components.models.denoiser import Denoiser
from components.models.language_config import LanguageShape

SHARED, FILLING = 0, -1
"""Numbers of the text that all others in the row see, and of what only fills the row up."""
HEAD = "network.lm_head.weight"
"""Is the embedding, under another name."""


@dataclass(frozen=True)
class TokenRows:
    """Rows of packed texts: tokens, their positions, the number of the text each is of, and which are to be said."""

    tokens: Int[Tensor, "b n"]
    positions: Int[Tensor, "b n"]
    texts: Int[Tensor, "b n"]
    is_answer: Bool[Tensor, "b n"]

    def to(self, device: torch.device) -> "TokenRows":
        """The same rows on `device`."""
        moved = {name: getattr(self, name).to(device) for name in ("tokens", "positions", "texts", "is_answer")}
        return replace(self, **moved)


class LanguageModel(Denoiser):
    """Logits of the tokens that are to be said, each from what stands before it; float32 in any precision.

    A `Denoiser` in name only: that is what the core of the trainings calls the network it trains.
    """

    def __init__(self, network: Ministral3ForCausalLM) -> None:
        nn.Module.__init__(self)
        self.network = network
        self.compute_dtype = None

    @property
    def transformer(self) -> nn.Module:  # pyright: ignore[reportIncompatibleVariableOverride] - held by the network
        """The network without its head, whose `layers` strategies shard one by one."""
        return self.network.model

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - it reads no pictures
        self, rows: TokenRows
    ) -> Float[Tensor, "answers vocabulary"]:
        """One line of logits for each token with `is_answer`, in the order of the rows."""
        states = self.network.model(
            input_ids=rows.tokens, position_ids=rows.positions, attention_mask=sees(rows.texts), use_cache=False
        ).last_hidden_state
        before_answers = states[:, :-1][rows.is_answer[:, 1:]]
        return self.network.lm_head(before_answers).float()

    def compute_in(self, dtype: torch.dtype | None) -> None:
        """Nothing is to be set: tokens have no precision, and states take the weights'."""

    def checkpoint_activations(self) -> None:
        """Let layers keep their input only, and compute the rest again in the backward pass."""
        self.network.activation_checkpointing_enable()


def sees(texts: Int[Tensor, "b n"]) -> Bool[Tensor, "b 1 n n"]:
    """Whether a token (third axis) sees another: one before it, of its own text or of the shared one."""
    is_own = texts[:, :, None] == texts[:, None, :]
    is_earlier = torch.ones(texts.shape[1], texts.shape[1], dtype=torch.bool, device=texts.device).tril()
    return ((is_own | (texts == SHARED)[:, None, :]) & is_earlier)[:, None]


def build_language_model(shape: LanguageShape, seed: int, *, special: dict[str, int]) -> Ministral3ForCausalLM:
    """A language model with random weights from `seed`; `special` are its `bos_token_id` and its like."""
    settings: dict[str, Any] = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.ffn_hidden_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_attention_heads,
        "num_key_value_heads": shape.num_key_value_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.max_position_embeddings,
        "initializer_range": shape.initializer_range,
        "tie_word_embeddings": True,
        "rope_parameters": _rotation(shape),
        **special,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Ministral3ForCausalLM(Ministral3Config(**settings))


def _rotation(shape: LanguageShape) -> dict[str, Any]:
    """The release's kind of rotary positions, with the factor 1 that leaves them as they are."""
    return {
        "rope_type": "yarn",
        "rope_theta": shape.rope_theta,
        "factor": 1.0,
        "original_max_position_embeddings": shape.max_position_embeddings,
        "llama_4_scaling_beta": 0.0,
    }


def load_language_model(directory: Path) -> Ministral3ForCausalLM:
    """The language model that transformers saved in `directory`, in float32; ValueError if there is none."""
    if not (directory / "config.json").is_file():
        raise ValueError(f"{directory}: no config.json; name a folder that the stage `enhancer` made")
    disable_progress_bar()
    return Ministral3ForCausalLM.from_pretrained(
        directory, local_files_only=True, use_safetensors=True, dtype=torch.float32
    ).eval()


def network_like(
    network: Ministral3ForCausalLM, weights: Mapping[str, Tensor], lora: LoraShape | None
) -> Ministral3ForCausalLM:
    """Another network of that shape, with a `LanguageModel`'s weights; adapters among them are merged."""
    with torch.random.fork_rng():
        made, plain = (Ministral3ForCausalLM(network.config).eval() for _ in range(2))
        if lora is not None:
            add_adapters(made, lora)
    absent = LanguageModel(made).load_state_dict(weights, strict=False).missing_keys
    assert set(absent) <= {HEAD}, f"weights are missing: {absent}"
    if lora is not None:
        merge_adapters(made)
    # A network that had adapters remembers it, and could not be saved.
    plain.load_state_dict(made.state_dict())
    return plain


def add_adapters(network: Ministral3ForCausalLM, shape: LoraShape) -> None:
    """Freeze the network and add low-rank adapters that change nothing yet; draws from torch's global generator.

    Source: Hu et al. 2021, arXiv:2106.09685.
    """
    network.requires_grad_(False)
    network.add_adapter(
        LoraConfig(r=shape.rank, lora_alpha=shape.alpha, target_modules=list(shape.layers), lora_dropout=0.0)
    )


def merge_adapters(network: Ministral3ForCausalLM) -> None:
    """Add the adapters' products to the layers they stand beside, and drop them."""
    for name, module in list(network.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            network.set_submodule(name, module.get_base_layer())


def save_language_model(network: Ministral3ForCausalLM, directory: Path) -> None:
    """Write it as transformers loads it, in safetensors."""
    disable_progress_bar()
    network.save_pretrained(directory, safe_serialization=True)


def directory_sha256(directory: Path) -> str:
    """What identifies the language model in `directory`: SHA-256 over configuration, weights and tokenizer."""
    names = ("config.json", "*.safetensors", "tokenizer.json")
    files = [file for name in names for file in sorted(directory.glob(name))]
    if len({file.suffix for file in files}) < 2:
        raise ValueError(f"{directory}: no language model there; name a folder that transformers saved")
    digests = [f"{file.name} {_sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
