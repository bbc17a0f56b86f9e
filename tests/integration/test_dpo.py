"""The dpo stage on pairs that the preferences stage makes of a tiny network: what it leaves, what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from seen_batches import watch_batches
from tiny_losses import ANCHORED
from tiny_preferences import OUTPUTS, PX, SHAPE, make, write_inputs

from components.data.errors import DataError
from components.data.feature_table import write_features
from components.data.records import PAIRS, SELECTION, read_table, write_table
from components.models.config import DiTConfig, LoraShape
from components.models.image_features import NUM_FEATURES
from components.models.initial import InitialWeightsError
from components.objectives.config import PreferenceLoss
from components.paths.config import TimestepDensity
from components.training.config import GridConfig, OptimiserConfig, PreferenceConfig, WatchConfig
from flows.lineage.drawn import drawn_by
from flows.stages.dpo import Metrics, Params, PictureQuality, dpo

TRAINING = PreferenceConfig(
    num_pairs=16,
    batch_size=4,
    caption_dropout_frac=0.0,
    in_order=True,
    loss=replace(ANCHORED, winner_preserving=0.5),
    reference="copy",
    optimiser=OptimiserConfig(1e-3, (0.9, 0.95), 0.0, 1.0, 0, 0.5, "linear"),
    timesteps=TimestepDensity("logit_normal", 0.0, 1.0, 1.5),
    ema_decay=0.5,
    precision="32-true",
    lora=None,
    watch=WatchConfig(every_images=8, visits=2, max_error_rise=9.0, max_quality_fall=9.0, patience=0, seed=0),
    grid=GridConfig(1000, ("short thing",), 2, 2.0, 1.5, 0),
    seed=0,
)
PARAMS = Params(
    px=PX,
    model=SHAPE,
    pictures=PictureQuality(
        guardrails=("alignment", "frechet"),
        num_prompts=6,
        num_sampling_steps=2,
        num_reference_images=16,
        num_axes=3,
        seed=0,
    ),
    training=TRAINING,
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("dpo")
    before = write_inputs(root)
    made = make(before, root / "made")
    ids = read_table(before["latents"] / "rows.parquet", SELECTION).column("sample_id").to_pylist()
    features = np.random.default_rng(1).normal(size=(len(ids), NUM_FEATURES)).astype(np.float16)
    write_features(features, ids, root / "features")
    return {
        "init": before["model"],
        "pairs": made.folder / OUTPUTS["pairs"],
        "pair_latents": made.folder / OUTPUTS["pair_latents"],
        "features": root / "features",
        **{name: before[name] for name in ("latents", "classifier", "autoencoder")},
    }


def train(inputs: dict[str, Path], folder: Path, params: Params = PARAMS) -> Metrics:
    return dpo(params, **inputs, model=folder / "model", grids=folder / "grids")


def changed(**training: Any) -> Params:
    return PARAMS.model_copy(update={"training": TRAINING.__class__(**{**vars(TRAINING), **training})})


def test_it_leaves_a_model_its_looks_and_grids_from_before_and_after(inputs, tmp_path):
    metrics = train(inputs, tmp_path)
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert [look["images_seen"] for look in record["looks"]] == [0, 8, 16]
    first, last = record["looks"][0], record["looks"][-1]
    assert (first["accuracy"], first["win_ratio"], first["lose_ratio"]) == (0.5, 1.0, 1.0)
    assert (metrics.pairs_seen, metrics.ended_early) == (16, 0)
    assert metrics.heldout_accuracy == last["accuracy"]
    assert (metrics.alignment_before, metrics.alignment_after) == (first["alignment"], last["alignment"])
    assert (metrics.frechet_before, metrics.frechet_after) == (first["frechet"], last["frechet"])
    assert record["consumed"]["stop"] == 16
    assert sorted(file.name for file in (tmp_path / "grids").iterdir()) == ["000000000.png", "000000016.png"]
    weights = "transformer/diffusion_pytorch_model.safetensors"
    before, after = load_file(inputs["init"] / weights), load_file(tmp_path / "model" / weights)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_same_again_is_the_same_bytes(inputs, tmp_path):
    assert train(inputs, tmp_path / "a") == train(inputs, tmp_path / "b")
    for file in (tmp_path / "a" / "model").rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes(), file.name


def test_adapters_are_trained_against_the_network_without_them(inputs, tmp_path):
    lora = LoraShape(rank=2, alpha=4, layers=("to_q", "to_v"))
    metrics = train(inputs, tmp_path, changed(lora=lora, reference="adapters_off"))
    assert metrics.pairs_seen == 16
    assert (tmp_path / "model" / "lora" / "pytorch_lora_weights.safetensors").is_file()


def test_a_fault_ends_it_with_the_weights_from_before(inputs, tmp_path):
    strict = WatchConfig(every_images=8, visits=2, max_error_rise=0.0, max_quality_fall=9.0, patience=0, seed=0)
    naive = PreferenceLoss(5.0, 1.0, 0.0, 0.0, "sum", "mean", None, None, 0.0, 0.0, 0.0)
    wild = OptimiserConfig(0.3, (0.9, 0.95), 0.0, 1e9, 0, 0.0, "linear")
    metrics = train(inputs, tmp_path, changed(watch=strict, loss=naive, optimiser=wild, num_pairs=400))
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (metrics.ended_early, metrics.pairs_seen) == (1, 0)
    assert record["ended_early"].startswith("both errors rise")
    weights = "transformer/diffusion_pytorch_model.safetensors"
    before, after = load_file(inputs["init"] / weights), load_file(tmp_path / "model" / weights)
    assert all(torch.equal(before[name], after[name]) for name in before)


def pairs_with(inputs: dict[str, Path], folder: Path, **columns: str) -> dict[str, Path]:
    rows = read_table(inputs["pairs"], PAIRS).to_pylist()
    for row in rows:
        row.update(columns)
    table = read_table(inputs["pairs"], PAIRS).from_pylist(rows, schema=PAIRS)
    write_table(table, folder / "pairs.parquet")
    return {**inputs, "pairs": folder / "pairs.parquet"}


def test_pairs_at_fault_are_refused_before_training(inputs, tmp_path):
    with pytest.raises(DataError, match="image gone is not among the encoded ones"):
        train(pairs_with(inputs, tmp_path, winner="gone"), tmp_path)
    with pytest.raises(DataError, match="are of one prompt"):
        train(pairs_with(inputs, tmp_path, prompt="the same"), tmp_path)
    with pytest.raises(DataError, match="pairs to hold out, and 1 are needed"):
        train(pairs_with(inputs, tmp_path, split="train"), tmp_path)
    with pytest.raises(DataError, match="pairs to train on, and 64 are needed"):
        train(inputs, tmp_path, changed(batch_size=64, num_pairs=64))
    assert not (tmp_path / "model").exists()


def test_a_reference_of_another_architecture_is_refused(inputs, tmp_path):
    other = PARAMS.model_copy(update={"model": DiTConfig(64, 1, 2, 48, (8, 12, 12), 256)})
    with pytest.raises(InitialWeightsError):
        train(inputs, tmp_path, other)
    empty = tmp_path / "empty"
    shutil.copytree(inputs["init"], empty)
    shutil.rmtree(empty / "transformer")
    with pytest.raises(InitialWeightsError):
        train({**inputs, "init": empty}, tmp_path)


def test_unknown_guardrails_are_refused():
    with pytest.raises(ValidationError, match="guardrails"):
        PictureQuality(
            guardrails=("beauty",), num_prompts=6, num_sampling_steps=2, num_reference_images=16, num_axes=3, seed=0
        )


def test_what_it_drew_is_what_its_files_tell(inputs, tmp_path, monkeypatch):
    seen = watch_batches(monkeypatch)
    train(inputs, tmp_path)
    found = drawn_by("dpo", PARAMS, inputs, tmp_path / "model")
    assert found is not None
    assert found.drawn == seen
    assert found.drawn <= found.offered
    assert found.held_out.isdisjoint(found.drawn)
