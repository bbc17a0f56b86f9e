"""What the stage `distill` reads, made in code: a tiny aligned network, an expert on it, prompts of two domains."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch
from tiny_distillation import DISTILL, LORA
from tiny_preferences import PX, SHAPE, write_inputs

from components.data.records import SFT_SELECTION, write_table
from components.models.lora import add_lora, merge_lora
from components.models.transformer import load_transformer
from components.training.config import BatchConfig, PriorConfig
from flows.stages.distill import Params, Pictures

POSTERS = (0, 2, 4, 8, 9, 10, 11)
"""Numbers of curated samples of the domain `poster`; the others are symbols."""
TRAINING = replace(DISTILL, batch=BatchConfig(4, {"request": 1.0}, 0.0), prior=PriorConfig(0.25, {"short": 1.0}))
PARAMS = Params(
    px=PX,
    model=SHAPE,
    pictures=Pictures(
        num_prompts_per_domain=2,
        images_per_prompt=2,
        teacher_steps=4,
        batch_size=8,
        judges={"alignment": 1.0, "aesthetic_proxy": 0.5, "lettering": 0.0},
        seed=0,
    ),
    training=TRAINING,
)


def write_expert(backbone: Path, folder: Path, seed: int = 1) -> Path:
    """An expert as `sft` leaves it: adapters on the network in `backbone`, alone and merged."""
    network = load_transformer(backbone / "transformer")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        add_lora(network, LORA)
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
    merge_lora(network, folder / "lora")
    network.save_pretrained(folder / "transformer")
    return folder


def write_distill_inputs(root: Path) -> dict[str, Path]:
    """The paths of the stage's inputs by role."""
    made = write_inputs(root)
    rows = [
        {"sample_id": f"request{row}", "pool": "catalogue", "domain": "poster" if row in POSTERS else "symbol"}
        | {"found_by": "words", "relevance": 1.0, "weight": 1 / 12, "category": "food", "style": "", "concept": ""}
        for row in range(12)
    ]
    write_table(pa.Table.from_pylist(rows, schema=SFT_SELECTION), root / "sft_selection.parquet")
    record = json.loads((made["model"] / "training.json").read_text())
    assert record["px"] == PX
    return {
        "init": made["model"],
        "curated": made["sft_latents"],
        "sft_selection": root / "sft_selection.parquet",
        "lettering": write_expert(made["model"], root / "lettering"),
        **{name: made[name] for name in ("latents", "classifier", "scorer", "autoencoder")},
    }
