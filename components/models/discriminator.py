"""A head on the features of a frozen transformer: it tells real from drawn, and only it is trained."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ErnieImageTransformer2DModel
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class FeatureHead(nn.Module):
    """Logits from features, large for real data: one for each image token, or one for their mean if `is_pooled`.

    Features are RMS-normed, since their size differs between blocks and noise levels. The last layer starts at 0: the
    head begins undecided, and the student's first gradients from it are 0.
    """

    def __init__(self, width: int, hidden: int, *, is_pooled: bool = False) -> None:
        super().__init__()
        self.is_pooled = is_pooled
        self.first, self.last = nn.Linear(width, hidden), nn.Linear(hidden, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, features: Float[Tensor, "b n d"]) -> Float[Tensor, "b m"]:
        """Logits of each sample, `m` is `n` or 1; computed in the type of the head's weights."""
        features = features.to(self.first.weight.dtype)
        normed = functional.rms_norm(features, features.shape[-1:], eps=1e-6)
        if self.is_pooled:
            normed = reduce(normed, "b n d -> b 1 d", "mean")
        return rearrange(self.last(functional.silu(self.first(normed))), "b m 1 -> b m")


def check_block(transformer: ErnieImageTransformer2DModel, block: int) -> None:
    """ValueError if there is no such block."""
    if not 0 <= block < len(transformer.layers):
        raise ValueError(f"block {block} of the teacher; allowed: 0 to {len(transformer.layers) - 1}")


@contextmanager
def teacher_features(transformer: ErnieImageTransformer2DModel, block: int) -> Generator[list[Float[Tensor, "b n d"]]]:
    """What the block has put out for the image tokens, one entry for each call of the transformer inside.

    Gradients flow through them to the transformer's input; its weights get none if they are frozen. ValueError if
    there is no such block.
    """
    check_block(transformer, block)
    seen: list[Tensor] = []
    num_tokens = 0

    def count_tokens(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal num_tokens
        height, width = (args[0] if args else named["hidden_states"]).shape[-2:]
        num_tokens = height * width // transformer.config["patch_size"] ** 2

    def keep(_: nn.Module, __: tuple[Any, ...], output: torch.Tensor) -> None:
        # Tokens come first in the released model, and the image's before the text's.
        seen.append(rearrange(output[:num_tokens], "n b d -> b n d"))

    hooks = [
        transformer.register_forward_pre_hook(count_tokens, with_kwargs=True),
        transformer.layers[block].register_forward_hook(keep),
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
