"""Inputs of the preferences stage, made in code: a tiny random network, probes, two encoded selections."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from components.data import latents as store
from components.data.buckets import Bucket
from components.data.config import Buckets, DecodeLimits
from components.data.records import CANDIDATES, CAPTIONS, PAIRS, SELECTION, read_table
from components.models.autoencoder import autoencoder_sha256, build_autoencoder
from components.models.config import AutoencoderConfig, DiTConfig
from components.models.image_features import NUM_FEATURES
from components.models.linear_probe import LinearProbe, save_probe
from components.models.text_encoder import TextEncoder
from components.models.transformer import build_transformer
from components.preference.config import PairRules
from components.samplers.config import SamplingConfig
from components.training.encoding import encode_texts
from flows.stages.preferences import Metrics, OwnCandidates, Params, preferences

PX, STYLES, CATEGORIES = 32, ("outline", "filled"), ("food", "animals")
SHAPE = DiTConfig(32, 1, 2, 48, (4, 6, 6), 256)
OUTPUTS = {
    "pairs": "pairs.parquet",
    "candidates": "candidates.parquet",
    "candidate_images": "images",
    "pair_latents": "latents",
}


def write_latents(folder: Path, kind: str, splits: list[str], encoder: TextEncoder, sha256: str) -> None:
    rows = [
        {"sample_id": f"{kind}{i}", "category": CATEGORIES[i // 2 % 2], "style": STYLES[i % 2], "concept": f"c{i}"}
        | {"split": split, "probability": 1 / splits.count("train") if split == "train" else 0.0}
        for i, split in enumerate(splits)
    ]
    texts = [
        {"sample_id": row["sample_id"], "kind": kind, "language": "en", "text": f"{kind} thing {i}, {row['style']}"}
        for i, row in enumerate(rows)
    ]
    selection = pa.Table.from_pylist(rows, schema=SELECTION)
    links, prompts = store.link_captions(selection, pa.Table.from_pylist(texts, schema=CAPTIONS), [kind], "en")
    store.write_layout(folder, store.Layout(sha256, "pad", {PX: [Bucket(PX, PX)]}))
    store.write_latents(folder, PX, np.zeros((len(rows), 16, 2, 2), np.float16))
    store.write_texts(folder, links, prompts, store.pack_texts(encode_texts(encoder, prompts)))
    store.write_rows(folder, selection)


def write_inputs(root: Path) -> dict[str, Path]:
    """What the stage reads, each in a folder of its own."""
    torch.manual_seed(0)
    build_autoencoder(AutoencoderConfig(4, (8, 8, 8, 8), 1, 4)).save_pretrained(root / "autoencoder")
    sha256, encoder = autoencoder_sha256(root / "autoencoder"), TextEncoder.load()
    write_latents(root / "latents", "short", ["train"] * 20 + ["heldout_cell"] * 4, encoder, sha256)
    write_latents(root / "sft_latents", "request", ["train"] * 8 + ["heldout_poster"] * 4, encoder, sha256)
    network = build_transformer(SHAPE, 16, 384)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    network.save_pretrained(root / "model" / "transformer")
    (root / "model" / "training.json").write_text(json.dumps({"px": PX, "shift": 2.0, "images_seen": 640}))
    draw = np.random.default_rng(0)
    for folder, name, classes in (
        ("classifier", "style", STYLES),
        ("classifier", "category", CATEGORIES),
        ("scorer", "aesthetic", ("better", "worse")),
    ):
        weight = 0.1 * draw.normal(size=(2, NUM_FEATURES)).astype(np.float32)
        probe = LinearProbe(classes, weight, np.zeros(2, np.float32))
        save_probe(probe, root / folder, name, {"px": PX, "precision": "fp32"})
    (root / "raw").mkdir()
    names = ("model", "autoencoder", "latents", "sft_latents", "classifier", "scorer", "raw")
    return {name: root / name for name in names}


OWN = OwnCandidates(
    num_prompts=16,
    caption_shares={"short": 0.75, "request": 0.25},
    candidates_per_prompt=3,
    sampling=SamplingConfig(2, 2.0, 20),
    judges={"alignment": 1.0, "aesthetic_proxy": 0.5, "lettering": 0.0},
)
PARAMS = Params(
    px=PX,
    own=OWN,
    files=(),
    votes=None,
    rules=PairRules(0.0, None, 1, "moderate_first", 0.3, 0),
    min_pairs=4,
    buckets=Buckets(1.0, "pad"),
    batch_size=4,
    limits=DecodeLimits(max_pixels=10_000, max_bytes=100_000, max_ratio=100.0),
    seed=0,
)


@dataclass(frozen=True)
class Made:
    metrics: Metrics
    folder: Path

    def rows(self, name: str) -> list[dict[str, Any]]:
        schema = {"pairs": PAIRS, "candidates": CANDIDATES}[name]
        return read_table(self.folder / OUTPUTS[name], schema).to_pylist()

    def latents(self, px: int = PX) -> store.LatentStore:
        return store.read_latents(self.folder / "latents", px)


def make(inputs: dict[str, Path], folder: Path, **changes: Any) -> Made:
    params = PARAMS.model_copy(update=changes)
    return Made(preferences(params, **inputs, **{name: folder / file for name, file in OUTPUTS.items()}), folder)
