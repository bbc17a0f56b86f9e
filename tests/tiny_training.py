"""A small encoded selection and a small network, made in code; for tests in one process and in several."""

import numpy as np
import pyarrow as pa
import torch

from components.data.latents import LatentStore, manifest_hash, pack_texts
from components.data.records import SELECTION
from components.models.config import DiTConfig
from components.models.denoiser import Denoiser
from components.models.transformer import build_transformer

CHANNELS, TEXT_DIM, ROWS = 8, 10, 12
TINY = DiTConfig(
    hidden_size=24, num_layers=2, num_attention_heads=2, ffn_hidden_size=48, rope_axes_dim=(4, 4, 4), rope_theta=256
)


def tiny_store() -> LatentStore:
    """Eight rows to train on, two of each held-out split; text 0 is empty, texts 1 to 12 are short, 13 to 24 tags.

    Row 3 has no tags.
    """
    rng = np.random.default_rng(0)
    splits = ["train"] * 8 + ["heldout_cell"] * 2 + ["heldout_concept"] * 2
    rows = [
        {
            "sample_id": f"sample{row}",
            "category": "food",
            "style": "Noto",
            "concept": f"concept{row}",
            "split": split,
            "probability": (row + 1) / 36 if split == "train" else 0.0,
        }
        for row, split in enumerate(splits)
    ]
    table = pa.Table.from_pylist(rows, schema=SELECTION)
    lengths = [2, *rng.integers(3, 9, 2 * ROWS)]
    tags = np.arange(ROWS) + 1 + ROWS
    tags[3] = -1
    return LatentStore(
        latents=rng.standard_normal((ROWS, CHANNELS, 2, 2)).astype(np.float16),
        rows=table,
        captions={"short": np.arange(ROWS) + 1, "tags": tags},
        texts=pack_texts([rng.standard_normal((n, TEXT_DIM)).astype(np.float16) for n in lengths]),
        prompts=["", *(f"text {n}" for n in range(1, 2 * ROWS + 1))],
        manifest_hash=manifest_hash(table),
    )


def tiny_denoiser() -> Denoiser:
    """A new network, the same in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Denoiser(build_transformer(TINY, CHANNELS, TEXT_DIM))
