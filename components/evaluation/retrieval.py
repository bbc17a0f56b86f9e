"""A small image-text model of our own: two linear maps from frozen features into one space, trained contrastively.

It is trained on the training split only and its retrieval on real held-out images is published beside every use, since
a judge that cannot match real images says nothing about generated ones.
Source: the loss is that of CLIP, Radford et al. 2021, arXiv:2103.00020, figure 3.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from components.evaluation.config import RetrievalConfig


class Tower(nn.Module):
    """Unit vectors of features: standardised, then mapped linearly."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: Float[Tensor, "n d"], width: int) -> None:
        super().__init__()
        self.register_buffer("mean", features.mean(0))
        self.register_buffer("std", features.std(0) + 1e-3)
        self.linear = nn.Linear(features.shape[1], width)

    def forward(self, features: Float[Tensor, "n d"], dropout: float = 0.0) -> Float[Tensor, "n width"]:
        """The vectors; `dropout` is the share of channels set to 0, in training."""
        standard = (features - self.mean) / self.std
        kept = nn.functional.dropout(standard, dropout, training=dropout > 0)
        return nn.functional.normalize(self.linear(kept), dim=1)


class TwoTower(nn.Module):
    """A tower for image features and one for texts (mean token states), with the scale of their similarity."""

    def __init__(self, image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n e"], width: int) -> None:
        super().__init__()
        self.image = Tower(image_features, width)
        self.text = Tower(text_features, width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))


def contrastive_loss(similarity: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Mean of the two cross-entropies, each image against all texts and each text against all images."""
    targets = torch.arange(len(similarity))
    return (nn.functional.cross_entropy(similarity, targets) + nn.functional.cross_entropy(similarity.T, targets)) / 2


def train_two_tower(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n e"], config: RetrievalConfig, seed: int
) -> TwoTower:
    """The two maps fitted to pairs (row i of both is a pair); seeded, draws from a generator of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # constructors and dropout draw from the global generator
        model = TwoTower(image_features, text_features, config.width)
        optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        batch_size = min(config.batch_size, len(image_features))
        for _ in range(config.num_steps):
            rows = torch.randperm(len(image_features))[:batch_size]
            images = model.image(image_features[rows], config.feature_dropout)
            texts = model.text(text_features[rows], config.feature_dropout)
            loss = contrastive_loss(model.log_scale.exp().clamp(max=100.0) * images @ texts.T)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval().requires_grad_(False)


def retrieval_ranks(images: Float[Tensor, "n width"], texts: Float[Tensor, "n width"]) -> Int[Tensor, " n"]:
    """For each image the number of texts that match it better than its own (0 is right); ties count against it.

    Equal texts must not both be candidates: give each prompt once.
    """
    similarity = images @ texts.T
    own = similarity.diagonal().unsqueeze(1)
    better_or_equal = (similarity >= own).sum(dim=1)
    return better_or_equal - 1
