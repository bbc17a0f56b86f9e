"""The Aes model: a score from 0 to 100 for how pleasing a picture looks, with the distribution that it is the mean of.

What "pleasing" means is whatever its labels meant, and `description` says which they were. In the default run nobody
judged anything: the labels are a PROXY, damage of known order.

A folder holds `aes.safetensors` (the head) and `aes.json` (its backbone, its labels, what it reached).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Float32
from safetensors import SafetensorError

from components.models.aes_backbones import Features, Pictures, load_backbone
from components.models.aes_config import AesBackbone
from components.models.linear_probe import LinearProbe, load_probe, save_probe
from components.models.score_head import LEVELS, score

NAME = "aes"
PROXY = "Aes (proxy labels)"
"""What a score is called whose labels are no person's."""


@dataclass(frozen=True)
class AesModel:
    """A head on a frozen backbone. `description` says in a sentence what the labels were; `facts` are aes.json's.

    `device` is where a backbone of others computes.
    """

    backbone: AesBackbone
    head: LinearProbe
    description: str
    facts: Mapping[str, Any]
    device: str = "cpu"

    def scores(self, images_u8: Pictures) -> Float32[np.ndarray, " n"]:
        """The expected score of each picture, in [0, 100]."""
        return self.scores_of_features(self.features(images_u8))

    def features(self, images_u8: Pictures) -> Float[np.ndarray, "n d"]:
        """What the backbone sees in pictures of any size, which a stack of equal ones may hold."""
        if not len(images_u8):
            return np.zeros((0, self.head.weight.shape[1]), np.float32)
        return self._see(images_u8)

    def scores_of_features(self, features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, " n"]:
        """The expected scores of pictures from the backbone's features of them."""
        return score(self.head, features)[0]

    def distributions(self, features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n 101"]:
        """The probabilities of the levels 0 to 100; each row sums to 1."""
        return score(self.head, features)[1]

    @cached_property
    def _see(self) -> Features:
        return load_backbone(self.backbone, self.device)


def save_aes(model: AesModel, folder: Path) -> None:
    """Write the model into `folder`, which is made."""
    told = {**model.facts, "description": model.description, "backbone": asdict(model.backbone)}
    save_probe(model.head, folder, NAME, told)


def load_aes(folder: Path, device: str = "cpu") -> AesModel:
    """The model that `save_aes` wrote; ValueError in one line where there is none."""
    if not (folder / f"{NAME}.json").is_file():
        raise ValueError(f"{folder}: has no {NAME}.json, so no Aes model; make one with: easel run --until aes")
    try:
        head, facts = load_probe(folder, NAME)
        described, backbone = str(facts.pop("description")), AesBackbone(**cast(Any, facts.pop("backbone")))
        _check_head(head)
    except (ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        told = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{folder}: no Aes model that can be read ({told}); make it again: easel run --until aes"
        ) from error
    return AesModel(backbone, head, described, facts, device)


def _check_head(head: LinearProbe) -> None:
    is_right = head.weight.ndim == 2 and len(head.classes) == len(head.weight) == len(head.bias) == LEVELS
    if not is_right or not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise ValueError(f"its head has {len(head.classes)} classes; allowed: {LEVELS} levels, finite weights")
