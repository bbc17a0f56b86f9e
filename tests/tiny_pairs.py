"""A few preferred pairs among small encoded images, made in code; for tests in one process and in several."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from tiny_training import CHANNELS, tiny_store

from components.data.latents import LatentStore, manifest_hash
from components.data.records import PAIRS, SELECTION

PAIRS_TO_TRAIN, PAIRS_HELD_OUT, SHIFT = 10, 6, 0.6


def pair_store() -> LatentStore:
    """Winners and losers in turn, two of each prompt; a winner's latents are higher by 2 `SHIFT` in the mean."""
    rng = np.random.default_rng(3)
    num_pairs = PAIRS_TO_TRAIN + PAIRS_HELD_OUT
    rows = [
        {
            "sample_id": f"{kind}{pair}",
            "category": "food",
            "style": "Noto",
            "concept": "",
            "split": "train" if pair < PAIRS_TO_TRAIN else "heldout",
            "probability": 0.05 if pair < PAIRS_TO_TRAIN else 0.0,
        }
        for pair in range(num_pairs)
        for kind in ("win", "lose")
    ]
    table = pa.Table.from_pylist(rows, schema=SELECTION)
    side = np.tile([SHIFT, -SHIFT], num_pairs)[:, None, None, None]
    latents = (0.5 * rng.standard_normal((2 * num_pairs, CHANNELS, 2, 2)) + side).astype(np.float16)
    return replace(
        tiny_store(),
        latents=latents,
        rows=table,
        captions={"prompt": np.repeat(np.arange(num_pairs) % 12 + 1, 2)},
        manifest_hash=manifest_hash(table),
    )


def pair_table() -> pa.Table:
    """The pairs of `pair_store`, each with a prompt of its own."""
    return pa.Table.from_pylist(
        [
            {
                "prompt": f"text {pair}",
                "winner": f"win{pair}",
                "loser": f"lose{pair}",
                "judge": "planted",
                "margin": 1.0 + pair,
                "is_human": False,
                "split": "train" if pair < PAIRS_TO_TRAIN else "heldout",
                "category": "food",
            }
            for pair in range(PAIRS_TO_TRAIN + PAIRS_HELD_OUT)
        ],
        schema=PAIRS,
    )
