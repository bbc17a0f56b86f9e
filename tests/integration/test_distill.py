"""The stage `distill` on a tiny network: what it leaves, that a kill changes nothing, what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from seen_batches import watch_batches
from tiny_distill_stage import PARAMS, TRAINING, write_distill_inputs, write_expert
from tiny_preferences import SHAPE

from components.data.records import SFT_SELECTION, read_table, write_table
from components.models.config import DiTConfig
from components.models.experts import ExpertError
from components.models.transformer import build_transformer, load_transformer
from components.objectives.committee import CommitteeConfig
from components.training.checkpoint_store import CheckpointStore, open_checkpoints
from components.training.distillation import DistillationObjective
from flows import settings
from flows.lineage.drawn import drawn_by
from flows.stages.distill import Metrics, Params, distill

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_distill_inputs(tmp_path_factory.mktemp("distill"))


def train(inputs: dict[str, Path], folder: Path, params: Params = PARAMS) -> Metrics:
    return distill(params, **inputs, model=folder / "model", grids=folder / "grids")


def changed(**training: Any) -> Params:
    return PARAMS.model_copy(update={"training": replace(TRAINING, **training)})


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metrics]:
    """What a run leaves that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(inputs, folder)


def test_it_leaves_a_model_that_says_how_it_is_drawn_and_what_it_kept(inputs, whole):
    folder, metrics = whole
    record = json.loads((folder / "model" / "training.json").read_text())
    assert record["distilled"] == {"num_steps": 4, "guidance_scale": 1.0, "rollout": "euler"}
    assert record["sampling"] == {"num_sampling_steps": 4, "guidance_scale": 1.0}
    assert record["shift"] == 1.5
    assert (metrics.student_evaluations, metrics.teacher_evaluations) == (4, 8)
    assert [look["student_updates"] for look in record["looks"]][-1] == 4
    for look in record["looks"]:
        for domain in ("poster", "symbol", "general", "all"):
            assert look[f"drift/{domain}/alignment"] == pytest.approx(
                look[f"student/{domain}/alignment"] / look[f"teacher/{domain}/alignment"]
            )
    kept = next(look for look in record["looks"] if look["images_seen"] == record["images_seen"])
    assert metrics.alignment_share == kept["drift/all/alignment"]
    assert metrics.worst_alignment_share == min(kept[f"drift/{d}/alignment"] for d in ("poster", "symbol", "general"))
    raw = WEIGHTS.replace("transformer", "raw", 1)
    assert load_file(inputs["init"] / WEIGHTS).keys() == load_file(folder / "model" / WEIGHTS).keys()
    assert load_file(inputs["init"] / WEIGHTS).keys() == load_file(folder / "model" / raw).keys()
    assert load_transformer(folder / "model" / "transformer").config.num_layers == SHAPE.num_layers


def test_killed_twice_it_leaves_the_same_bytes(inputs, whole, tmp_path, monkeypatch):
    profile = settings.load_profile(settings.find_root(Path(__file__)), "cpu")
    often = replace(profile, execution=replace(profile.execution, checkpoint_every_steps=1))
    monkeypatch.setattr(settings, "current_profile", lambda: often)
    call = DistillationObjective.__call__

    class Killed(BaseException):
        """What no part of the training catches."""

    store = CheckpointStore(tmp_path / "checkpoints", {"stage": "distill"})
    for step in (4, 9):

        def dying(self, model, batch, step=step):
            if batch.start // TRAINING.batch.batch_size == step:
                raise Killed
            return call(self, model, batch)

        monkeypatch.setattr(DistillationObjective, "__call__", dying)
        with open_checkpoints(store), pytest.raises(Killed):
            train(inputs, tmp_path)
        assert not (tmp_path / "model").exists()
    monkeypatch.setattr(DistillationObjective, "__call__", call)
    with open_checkpoints(store):
        metrics = train(inputs, tmp_path)
    assert metrics == whole[1]
    assert files(tmp_path / "model") == files(whole[0] / "model")


def test_a_student_of_adapters_is_left_as_a_whole_network(inputs, tmp_path):
    metrics = train(inputs, tmp_path, changed(student=TRAINING.fake, num_student_updates=1, cold_start=None))
    assert metrics.student_updates <= 1
    assert (tmp_path / "model" / "lora").is_dir()
    assert load_file(tmp_path / "model" / WEIGHTS).keys() == load_file(inputs["init"] / WEIGHTS).keys()


def other_architecture(inputs: dict[str, Path], folder: Path) -> dict[str, Path]:
    shape = DiTConfig(SHAPE.hidden_size, SHAPE.num_layers + 1, *list(vars(SHAPE).values())[2:])
    build_transformer(shape, 16, 384).save_pretrained(folder / "transformer")
    return {**inputs, "lettering": folder}


def other_base(inputs: dict[str, Path], folder: Path) -> dict[str, Path]:
    network = load_transformer(inputs["init"] / "transformer")
    with torch.no_grad():
        next(iter(network.parameters())).add_(0.1)
    network.save_pretrained(folder / "base" / "transformer")
    return {**inputs, "lettering": write_expert(folder / "base", folder / "expert")}


@pytest.mark.parametrize("broken", [other_architecture, other_base])
def test_an_expert_of_another_architecture_or_base_is_refused(inputs, tmp_path, broken):
    with pytest.raises(ExpertError, match=r"^expert lettering: ") as refused:
        train(broken(inputs, tmp_path), tmp_path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "model").exists()


def test_weights_that_do_not_sum_are_refused_with_the_parameters():
    given = json.loads(PARAMS.model_dump_json())
    given["training"]["committee"]["weights"]["ca"]["poster"]["low"] = [0.5, 0.6]
    with pytest.raises(ValidationError, match=r"weights of ca\.poster\.low are \(0\.5, 0\.6\); allowed: 2 numbers"):
        Params.model_validate(given)


def test_a_domain_without_prompts_is_refused(inputs, tmp_path):
    rows = read_table(inputs["sft_selection"], SFT_SELECTION).to_pylist()
    alike = [row | {"domain": "symbol"} for row in rows]
    write_table(pa.Table.from_pylist(alike, schema=SFT_SELECTION), tmp_path / "selection.parquet")
    with pytest.raises(ValueError, match=r"names the domain 'poster', which has no prompts \(there: symbol\)"):
        train({**inputs, "sft_selection": tmp_path / "selection.parquet"}, tmp_path)


def test_an_expert_that_the_stage_is_not_given_is_refused(inputs, tmp_path):
    one = TRAINING.committee
    committee = CommitteeConfig(("general", "nobody"), one.bands, one.general, one.weights)
    with pytest.raises(ValueError, match=r"names 'nobody', but the stage has no such input \(there: gen"):
        train(inputs, tmp_path, changed(committee=committee))


@pytest.mark.parametrize("rollout", ["renoise", "noised_data"])
def test_a_roll_out_that_the_exported_sampler_does_not_take_is_refused(inputs, tmp_path, rollout):
    with pytest.raises(ValueError, match=rf"sampler\.rollout is '{rollout}'.*choose 'euler'"):
        train(inputs, tmp_path, changed(sampler=replace(TRAINING.sampler, rollout=rollout)))


def test_a_grid_that_differs_from_the_one_it_is_made_for_is_refused():
    given = json.loads(PARAMS.model_dump_json())
    given["training"]["grid"]["shift"] = 3.0
    with pytest.raises(ValidationError, match=r"shift 3\.0 .* but the student is made for 4, 1\.5 and 1\.0"):
        Params.model_validate(given)


def test_what_it_drew_is_what_its_files_tell(inputs, tmp_path, monkeypatch):
    seen = watch_batches(monkeypatch)
    train(inputs, tmp_path)
    found = drawn_by("distill", PARAMS, inputs, tmp_path / "model")
    assert found is not None
    assert found.drawn == seen
    assert found.drawn <= found.offered
