"""Weights of the objectives' terms, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReconstructionWeights:
    """Weights of the terms of `reconstruction.reconstruction_terms`, under the terms' names."""

    l1: float
    half_l1: float
    gradient_l1: float
    kl: float
    coarse_l1: float
